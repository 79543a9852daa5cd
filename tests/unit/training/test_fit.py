import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from resomap.config.training import Monitor
from resomap.training.checkpoint import save_weights
from resomap.training.fit import HISTORY_COLUMNS, Outcome, fit
from resomap.training.optimizers import build_optimizer
from resomap.training.schedules import build_schedule
from resomap.training.tally import Tally
from resomap.training.trainer import Trainer
from tests.recipes import optimizer, schedule
from tests.tiny_training import VAL_LOSS, build_loaders, build_noise_trainer
from tests.tiny_training import build_network as build_noise_network


def build_trainer(
    seed: int = 0,
    lr: float = 0.02,
    epochs: int = 6,
    model: nn.Module | None = None,
    batch_size: int = 16,
) -> Trainer:
    torch.manual_seed(seed)
    model = (model or convolutional()).to(memory_format=torch.channels_last)
    train, val = build_loaders(seed, batch_size)
    adamw = build_optimizer(optimizer(lr), model)
    return Trainer(
        model,
        "cpu",
        nn.CrossEntropyLoss(label_smoothing=0.1),
        adamw,
        train,
        val,
        scheduler=build_schedule(schedule(), adamw, len(train), epochs, VAL_LOSS),
        val_criterion=nn.CrossEntropyLoss(),
    )


def convolutional() -> nn.Module:
    convolution = nn.Conv2d(3, 6, 3, padding=1, bias=False)
    stage = nn.Sequential(convolution, nn.BatchNorm2d(6), nn.ReLU())
    return nn.Sequential(stage, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2))


def linear() -> nn.Module:
    """Return a network that sees position, without BatchNorm."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))


def test_separable_classes_are_learned():
    outcome = fit(build_trainer(model=linear()), 6, VAL_LOSS)
    assert outcome.status == "ok"
    assert outcome.scores["val_accuracy"] == 1.0
    assert [row["epoch"] for row in outcome.history] == list(range(6))
    assert all(set(row) == set(HISTORY_COLUMNS) for row in outcome.history)
    assert outcome.history[-1]["train_loss"] < outcome.history[0]["train_loss"]


def trained_bytes(path: Path, seed: int) -> bytes:
    outcome = fit(build_trainer(seed), 2, VAL_LOSS)
    save_weights(path, outcome.weights, {"status": outcome.status})
    return path.read_bytes()


def test_equal_seeds_give_equal_weight_files(tmp_path):
    first, second, other = (
        trained_bytes(tmp_path / f"{run}.safetensors", seed)
        for run, seed in enumerate((0, 0, 1))
    )
    assert first == second
    assert first != other


def test_schedule_is_stepped_once_an_optimizer_step():
    trainer = build_trainer(epochs=3)
    outcome = fit(trainer, 3, VAL_LOSS)
    assert trainer.scheduler.state_dict()["warmup_steps"] == 5
    assert trainer.scheduler.scheduler.last_epoch == 10
    assert outcome.history[0]["learning_rate"] == pytest.approx(0.02 / 5)
    assert outcome.history[1]["learning_rate"] == pytest.approx(0.02)
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)


def test_epochs_are_set_and_validation_restores_train_mode():
    epochs = list[int]()
    trainer = build_trainer(epochs=3)
    trainer.train_loader.set_epoch = lambda epoch, step: epochs.append(epoch)
    fit(trainer, 3, VAL_LOSS)
    assert epochs == [0, 1, 2]
    assert trainer.model[0][1].num_batches_tracked == 15


def fit_with_scores(
    values: list[float], monitor: Monitor
) -> tuple[Outcome, list[dict[str, Tensor]]]:
    """Return the outcome for given validation scores, and the weights after each epoch."""
    trainer, weights = build_trainer(), list[dict[str, Tensor]]()

    def validate() -> dict[str, float]:
        state = trainer.model.state_dict()
        weights.append({name: tensor.clone() for name, tensor in state.items()})
        others = {"loss": 1.0, "accuracy": 0.5, "precision": 0.5, "recall": 0.5, "f1": 0.5}
        return {**others, monitor.name.removeprefix("val_"): values[len(weights) - 1]}

    trainer.validate = validate
    return fit(trainer, len(values), monitor), weights


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
def test_best_epoch_is_kept_and_earlier_wins_ties(name, mode, values, best):
    outcome, weights = fit_with_scores(values, Monitor(name=name, mode=mode))
    assert (outcome.scores["epoch"], outcome.scores[name]) == (best, values[best])
    scores = {"val_loss", "val_accuracy", "val_precision", "val_recall", "val_f1"}
    assert set(outcome.scores) == {"epoch", *scores}
    for key, tensor in weights[best].items():
        assert torch.equal(outcome.weights[key], tensor)


def without_result(outcome: Outcome) -> bool:
    return (outcome.weights, outcome.scores) == ({}, {})


def test_nan_validation_diverges_and_keeps_history():
    outcome, weights = fit_with_scores([0.5, math.nan, 0.1], VAL_LOSS)
    assert (outcome.status, outcome.steps) == ("diverged", 10)
    assert without_result(outcome)
    assert outcome.reason == "the validation loss is not finite at step 10, in epoch 2"
    assert [row["epoch"] for row in outcome.history] == [0]
    assert len(weights) == 2


def test_nan_training_loss_diverges_at_its_step():
    trainer = build_trainer()
    torch.nn.init.constant_(trainer.model[-1].bias, math.nan)
    outcome = fit(trainer, 2, VAL_LOSS)
    assert (outcome.status, outcome.history) == ("diverged", [])
    assert without_result(outcome)
    assert outcome.reason == "the training loss is not finite at step 1, in epoch 1"


def test_overflowing_weights_diverge():
    outcome = fit(build_trainer(lr=1e38, model=linear(), batch_size=72), 2, VAL_LOSS)
    assert outcome.status == "diverged"
    assert without_result(outcome)


def test_train_loss_is_smoothed_mean_over_images():
    trainer = build_trainer(lr=1e-12, model=linear(), batch_size=50)
    images, labels = (torch.cat(parts) for parts in zip(*trainer.train_loader, strict=True))
    logits = trainer.model(images).detach()
    expected = functional.cross_entropy(logits, labels, label_smoothing=0.1).item()
    loss = fit(trainer, 1, VAL_LOSS).history[0]["train_loss"]
    assert loss == pytest.approx(expected, rel=1e-6)


def test_on_epoch_receives_history_and_timing():
    epochs = list[dict[str, float]]()
    fit(build_trainer(), 2, VAL_LOSS, on_epoch=lambda _, values: epochs.append(values))
    timing = {"epoch_seconds", "images_per_second", "peak_memory_mib"}
    assert [values["epoch"] for values in epochs] == [0, 1]
    assert set(epochs[0]) == {*HISTORY_COLUMNS, *timing}


def test_peak_memory_is_the_largest_of_all_epochs_and_processes():
    outcome = Outcome(epoch_timings=[{"peak_memory_mib": 300.0}, {"peak_memory_mib": 200.0}])
    assert outcome.peak_memory_mib(250.0) == 300
    assert outcome.peak_memory_mib(350.0) == 350
    assert Outcome().peak_memory_mib(1.0) == 1


def test_peak_of_a_gpu_is_not_reset_between_epochs(monkeypatch):
    resets = list[object]()
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", resets.append)
    trainer = build_noise_trainer(build_noise_network())
    trainer.device, trainer.train_loader = torch.device("cuda"), []
    trainer.train_epoch(1, Tally(torch.device("cpu"), trainer.group))
    assert resets == []
