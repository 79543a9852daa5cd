from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import StepLR

from resomap.training import LRSchedulerCallback, Trainer
from resomap.training.optimizers import warmed_up_decay
from tests.tiny_training import build_network, build_noise_trainer, noise_batches

CRITERIA = {
    "plain": nn.CrossEntropyLoss(),
    "weighted and smoothed": nn.CrossEntropyLoss(
        weight=torch.tensor([1.0, 5.0, 0.5]), label_smoothing=0.1
    ),
}
SPLITS = [
    {"batch_size": 2, "gradient_accumulation_steps": 4},
    {"micro_batch": 3},
    {"batch_size": 4, "gradient_accumulation_steps": 2, "micro_batch": 1},
]


def build_trainer(**options: Any) -> Trainer:
    return build_noise_trainer(build_network(), **options)


def trained_parameters(**options: Any) -> list[Tensor]:
    trainer = build_trainer(**options)
    trainer.train_epoch()
    return [parameter.detach() for parameter in trainer.model.parameters()]


@pytest.mark.parametrize("criterion", CRITERIA.values(), ids=CRITERIA)
@pytest.mark.parametrize("split", SPLITS)
def test_accumulation_equals_whole_batch(criterion, split):
    split_up = trained_parameters(criterion=criterion, **split)
    whole = trained_parameters(criterion=criterion)
    torch.testing.assert_close(split_up, whole, rtol=1e-5, atol=1e-6)


def test_step_equals_textbook_loop_bitwise():
    model = build_network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for images, labels in noise_batches(22, 8):
        optimizer.zero_grad()
        functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    assert all(map(torch.equal, trained_parameters(), model.parameters()))


def test_gradient_is_clipped_to_norm():
    model, [(images, labels)] = build_network(), noise_batches(8, 8)
    functional.cross_entropy(model(images), labels).backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    limit = float(nn.utils.get_total_norm(gradients)) / 4
    trainer = build_trainer(gradient_clip_norm=limit, lr=1.0)
    trainer.train_loader = [(images, labels)]
    trainer.train_epoch()
    for before, after in zip(model.parameters(), trainer.model.parameters(), strict=True):
        step = (before - after).detach()
        torch.testing.assert_close(step, before.grad / 4, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_close_with_float32_weights(precision):
    half, exact = trained_parameters(precision=precision), trained_parameters()
    assert {parameter.dtype for parameter in half} == {torch.float32}
    assert not all(map(torch.equal, half, exact))
    torch.testing.assert_close(half, exact, rtol=0.05, atol=0.02)


def test_use_amp_changes_nothing_on_cpu():
    assert all(map(torch.equal, trained_parameters(use_amp=True), trained_parameters()))


def test_moving_average_is_what_is_validated():
    trainer, averages = build_trainer(batch_size=22, ema_decay=0.7), list[Tensor]()
    for updates in range(3):
        trainer.train_epoch()
        decay = warmed_up_decay(0.7, updates)
        weights = [parameter.detach().clone() for parameter in trainer.model.parameters()]
        old = averages or weights
        averages = [decay * a + (1 - decay) * w for a, w in zip(old, weights, strict=True)]
    averaged = list(trainer.eval_model.parameters())
    torch.testing.assert_close(averaged, averages, rtol=1e-5, atol=1e-6)
    [(images, labels)] = noise_batches(9, 9)
    expected = functional.cross_entropy(trainer.eval_model(images), labels).item()
    assert trainer.validate()["loss"] == pytest.approx(expected, rel=1e-6)


def test_epoch_metrics_have_scores_and_rates():
    metrics = build_trainer().train_epoch()
    scores = {"loss", "accuracy", "precision", "recall", "f1"}
    assert set(metrics) == {*scores, "epoch_seconds", "images_per_second", "peak_memory_mib"}
    assert metrics["images_per_second"] == pytest.approx(22 / metrics["epoch_seconds"])


@pytest.mark.parametrize("own", [True, False])
def test_epoch_schedule_is_stepped_once_an_epoch(own):
    trainer = build_trainer()
    if own:
        params = {"step_size": 1, "gamma": 0.5}
        trainer.scheduler = LRSchedulerCallback(trainer.optimizer, "step", params)
    else:
        trainer.scheduler = StepLR(trainer.optimizer, 1, 0.5)
    for _ in range(3):
        trainer.train_epoch()
        trainer.validate()
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 / 8)


def test_plateau_is_stepped_with_validation_scores():
    trainer = build_trainer()
    params = {"patience": 0, "factor": 0.5, "monitor": "val_epochs"}
    trainer.scheduler = LRSchedulerCallback(trainer.optimizer, "plateau", params)
    trainer._validate = lambda: {"loss": 1.0, "epochs": 2.0}
    for _ in range(3):
        trainer.train_epoch()
        trainer.validate()
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 / 4)


def test_validation_scores_equal_direct_computation():
    trainer = build_noise_trainer(build_network(batch_norm=True))
    [(images, labels)], scores = noise_batches(9, 9), trainer.validate()
    logits = trainer.model.eval()(images).detach()
    right = (logits.argmax(1) == labels).float()
    recalls = [right[labels == label].mean().item() for label in range(3)]
    loss = functional.cross_entropy(logits, labels).item()
    assert scores["loss"] == pytest.approx(loss, rel=1e-6)
    assert scores["accuracy"] == pytest.approx(right.mean().item())
    assert scores["recall"] == pytest.approx(sum(recalls) / 3)
    assert all(type(value) is float for value in scores.values())


def test_validation_changes_no_weights_or_statistics():
    trainer = build_noise_trainer(build_network(batch_norm=True))
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    trainer.validate()
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
