import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from resomap.config.training import Monitor
from resomap.data.loading.loader import EvalLoader, Normalise, TrainLoader
from resomap.training.checkpoint import save_weights
from resomap.training.fit import HISTORY_COLUMNS, Outcome, fit
from resomap.training.memory import predict
from resomap.training.optimizers import build_optimizer
from resomap.training.schedules import build_schedule
from resomap.training.trainer import Trainer
from tests.recipes import augmentation, optimizer, schedule

NORMALISE = Normalise((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), torch.device("cpu"))
LOSS = Monitor(name="val_loss", mode="min")


def pictures(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noise that is a little brighter on the upper half (class 0) or on the lower (class 1)."""
    images = np.random.default_rng(seed).integers(0, 150, (count, 8, 8, 3))
    labels = np.arange(count) % 2
    for image, label in zip(images, labels, strict=True):
        image[4 * label : 4 * label + 4] += 100
    return torch.from_numpy(images.astype(np.uint8)), torch.from_numpy(labels)


def batches(seed: int = 0, batch_size: int = 16) -> tuple[TrainLoader, EvalLoader]:
    train = TrainLoader(
        *pictures(72, 1), NORMALISE, batch_size, seed, augmentation(horizontal_flip=0.5)
    )
    return train, EvalLoader(*pictures(30, 2), NORMALISE, 16)


def trainer(
    seed: int = 0,
    lr: float = 0.02,
    epochs: int = 6,
    model: nn.Module | None = None,
    batch_size: int = 16,
    **options: Any,
) -> Trainer:
    torch.manual_seed(seed)
    model = (model or convolutional()).to(memory_format=torch.channels_last)
    train, val = batches(seed, batch_size)
    adamw = build_optimizer(optimizer(lr), model)
    rates = build_schedule(schedule(), adamw, len(train), epochs, LOSS)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    return Trainer(
        model,
        "cpu",
        criterion,
        adamw,
        train,
        val,
        scheduler=rates,
        val_criterion=nn.CrossEntropyLoss(),
        **options,
    )


def convolutional() -> nn.Module:
    stage = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU()
    )
    return nn.Sequential(stage, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2))


def positional() -> nn.Module:
    """A network that sees position, without BatchNorm."""
    torch.manual_seed(0)  # built before the trainer seeds
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))


def test_what_can_be_told_apart_is_learnt():
    outcome = fit(trainer(model=positional()), 6, LOSS)
    assert outcome.status == "ok"
    assert outcome.scores["val_accuracy"] == 1.0
    assert [row["epoch"] for row in outcome.history] == list(range(6))
    assert all(set(row) == set(HISTORY_COLUMNS) for row in outcome.history)
    assert outcome.history[-1]["train_loss"] < outcome.history[0]["train_loss"]


def test_equal_seeds_make_equal_files_and_other_seeds_make_others(tmp_path):
    files = [
        trained(tmp_path / f"{turn}.safetensors", seed) for turn, seed in enumerate((0, 0, 1))
    ]
    assert files[0] == files[1]
    assert files[0] != files[2]


def trained(path: Path, seed: int) -> bytes:
    outcome = fit(trainer(seed), 2, LOSS)
    save_weights(path, outcome.weights, {"status": outcome.status})
    return path.read_bytes()


def test_the_schedule_steps_once_an_optimizer_step():
    one = trainer(epochs=3)
    outcome = fit(one, 3, LOSS)
    assert one.scheduler.state_dict()["warmup_steps"] == 5
    assert one.scheduler.scheduler.last_epoch == 10
    assert outcome.history[0]["learning_rate"] == pytest.approx(0.02 / 5)
    assert outcome.history[1]["learning_rate"] == pytest.approx(0.02)
    assert one.optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)


def test_every_epoch_has_its_own_draws_and_trains_after_it_was_validated():
    asked = list[int]()
    one = trainer(epochs=3)
    one.train_loader.set_epoch = lambda epoch, step: asked.append(epoch)
    fit(one, 3, LOSS)
    assert asked == [0, 1, 2]
    assert one.model[0][1].num_batches_tracked == 15


def scripted(values: list[float], monitor: Monitor) -> tuple[Outcome, list[dict[str, Tensor]]]:
    """Train with scores that are given instead of measured; the outcome, and the weights after each epoch."""
    one, seen = trainer(), list[dict[str, Tensor]]()

    def validate() -> dict[str, float]:
        seen.append({name: tensor.clone() for name, tensor in one.model.state_dict().items()})
        others = {"loss": 1.0, "accuracy": 0.5, "precision": 0.5, "recall": 0.5, "f1": 0.5}
        return {**others, monitor.name.removeprefix("val_"): values[len(seen) - 1]}

    one.validate = validate
    return fit(one, len(values), monitor), seen


@pytest.mark.parametrize(
    ("name", "mode", "values", "best"),
    [
        ("val_loss", "min", [0.9, 0.4, 0.6], 1),
        ("val_loss", "min", [0.9, 0.4, 0.4], 1),
        ("val_f1", "max", [0.2, 0.1, 0.7], 2),
        ("val_f1", "max", [0.7, 0.7, 0.1], 0),
        ("val_accuracy", "min", [0.7, 0.6, 0.65], 1),
    ],
)
def test_the_epoch_that_the_monitor_likes_best_is_kept_and_the_earlier_wins_a_tie(
    name, mode, values, best
):
    outcome, seen = scripted(values, Monitor(name=name, mode=mode))
    assert (outcome.scores["epoch"], outcome.scores[name]) == (best, values[best])
    assert set(outcome.scores) == {
        "epoch",
        "val_loss",
        "val_accuracy",
        "val_precision",
        "val_recall",
        "val_f1",
    }
    for key, tensor in seen[best].items():
        assert torch.equal(outcome.weights[key], tensor)


def test_a_validation_that_is_no_number_ends_the_training_and_keeps_what_was_said_before():
    outcome, seen = scripted([0.5, math.nan, 0.1], LOSS)
    assert (outcome.status, outcome.weights, outcome.scores, outcome.steps) == (
        "diverged",
        {},
        {},
        10,
    )
    assert outcome.reason == "the validation loss is not finite at step 10, in epoch 2"
    assert [row["epoch"] for row in outcome.history] == [0]
    assert len(seen) == 2


def test_a_loss_that_is_no_number_is_a_status_and_not_a_number():
    one = trainer()
    with torch.no_grad():
        one.model[-1].bias.fill_(math.nan)
    outcome = fit(one, 2, LOSS)
    assert (outcome.status, outcome.weights, outcome.scores, outcome.history) == (
        "diverged",
        {},
        {},
        [],
    )
    assert outcome.reason == "the training loss is not finite at step 1, in epoch 1"


def test_weights_that_leave_the_numbers_are_a_status_too():
    one = trainer(lr=1e38, model=positional(), batch_size=72)
    outcome = fit(one, 2, LOSS)
    assert (outcome.status, outcome.weights) == ("diverged", {})


def test_validation_is_what_a_direct_computation_says():
    one = trainer()
    _, val = batches()
    images, labels = (torch.cat(parts) for parts in zip(*val, strict=True))
    found = one.validate()
    one.model.eval()
    with torch.no_grad():
        logits = one.model(images)
    right = logits.argmax(1) == labels
    recalls = [right[labels == label].float().mean().item() for label in (0, 1)]
    assert found["loss"] == pytest.approx(
        functional.cross_entropy(logits, labels).item(), rel=1e-6
    )
    assert found["accuracy"] == pytest.approx(right.float().mean().item())
    assert found["recall"] == pytest.approx(sum(recalls) / 2)
    assert all(type(value) is float for value in found.values())


def test_validation_leaves_the_weights_and_the_statistics_alone():
    one = trainer()
    before = {name: tensor.clone() for name, tensor in one.model.state_dict().items()}
    one.validate()
    assert all(
        torch.equal(tensor, before[name]) for name, tensor in one.model.state_dict().items()
    )


def test_the_training_loss_is_the_smoothed_mean_over_pictures():
    one = trainer(lr=1e-12, model=positional(), batch_size=50)
    train = one.train_loader
    with torch.no_grad():
        images, labels = (torch.cat(parts) for parts in zip(*train, strict=True))
        expected = functional.cross_entropy(
            one.model(images), labels, label_smoothing=0.1
        ).item()
    assert fit(one, 1, LOSS).history[0]["train_loss"] == pytest.approx(expected, rel=1e-6)


def test_predictions_come_in_order_in_float32_and_in_evaluation_mode():
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(192, 2)).train()
    images, labels = pictures(10, 0)
    logits = predict(model, EvalLoader(images, labels, NORMALISE, 3))
    assert (logits.shape, logits.dtype, logits.requires_grad) == ((10, 2), torch.float32, False)
    torch.testing.assert_close(logits, model(NORMALISE(images)).detach())
