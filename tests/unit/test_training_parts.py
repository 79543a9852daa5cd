"""Accumulation, clipping, precision, averaging: what a step is made of."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import StepLR

from resomap.training import LRSchedulerCallback, Trainer

ROOT = Path(__file__).parents[2]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    )


def pictures(count: int = 22) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, 8, 8, generator=generator), torch.arange(count) % 3


def in_batches(size: int) -> list[tuple[Tensor, Tensor]]:
    images, labels = pictures()
    return list(zip(images.split(size), labels.split(size), strict=True))


def trainer(
    size: int = 8, criterion: nn.Module | None = None, lr: float = 0.1, **options: Any
) -> Trainer:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    return Trainer(
        model,
        "cpu",
        criterion or nn.CrossEntropyLoss(),
        optimizer,
        in_batches(size),
        [pictures(9)],
        **options,
    )


def trained(**options: Any) -> list[Tensor]:
    one = trainer(**options)
    one.train_epoch()
    return [parameter.detach() for parameter in one.model.parameters()]


CRITERIA = [
    nn.CrossEntropyLoss(),
    nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.5]), label_smoothing=0.1),
]


@pytest.mark.parametrize("criterion", CRITERIA, ids=["plain", "weighted and smoothed"])
@pytest.mark.parametrize(
    "parts",
    [
        {"size": 2, "gradient_accumulation_steps": 4},
        {"micro_batch": 3},
        {"size": 4, "gradient_accumulation_steps": 2, "micro_batch": 1},
    ],
)
def test_accumulated_gradients_are_those_of_the_whole_batch_in_the_last_partial_window_too(
    criterion, parts
):
    torch.testing.assert_close(
        trained(criterion=criterion, **parts),
        trained(criterion=criterion),
        rtol=1e-5,
        atol=1e-6,
    )


def test_one_batch_at_a_time_is_the_textbooks_loop_to_the_bit():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for images, labels in in_batches(8):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    assert all(
        torch.equal(mine, theirs)
        for mine, theirs in zip(trained(), model.parameters(), strict=True)
    )


def test_a_gradient_is_clipped_to_its_norm():
    model = network()
    images, labels = pictures(8)
    nn.functional.cross_entropy(model(images), labels).backward()
    norm = nn.utils.get_total_norm([parameter.grad for parameter in model.parameters()])
    one = trainer(gradient_clip_norm=float(norm) / 4, lr=1.0)
    one.train_loader = [(images, labels)]
    before = [parameter.detach().clone() for parameter in one.model.parameters()]
    one.train_epoch()
    for old, new, parameter in zip(
        before, one.model.parameters(), model.parameters(), strict=True
    ):
        torch.testing.assert_close(old - new, parameter.grad / 4, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_the_bits_train_nearly_alike_and_leave_float32_weights(precision):
    found = trained(precision=precision)
    assert {parameter.dtype for parameter in found} == {torch.float32}
    exact = trained()
    assert any(not torch.equal(one, other) for one, other in zip(found, exact, strict=True))
    torch.testing.assert_close(found, exact, rtol=0.05, atol=0.02)


def test_use_amp_changes_nothing_without_a_gpu():
    assert all(
        torch.equal(one, other)
        for one, other in zip(trained(use_amp=True), trained(), strict=True)
    )


def test_the_averaged_weights_are_what_is_validated():
    one, decay = trainer(size=22, ema_decay=0.7), 0.7
    averages: list[Tensor] | None = None
    for _ in range(3):
        one.train_epoch()
        now = [parameter.detach().clone() for parameter in one.model.parameters()]
        averages = (
            now
            if averages is None
            else [
                decay * old + (1 - decay) * new for old, new in zip(averages, now, strict=True)
            ]
        )
    torch.testing.assert_close(
        list(one.eval_model.parameters()), averages, rtol=1e-5, atol=1e-6
    )
    images, labels = pictures(9)
    expected = nn.functional.cross_entropy(one.eval_model(images), labels).item()
    assert one.validate()["loss"] == pytest.approx(expected, rel=1e-6)


def test_an_epoch_tells_what_it_measured():
    found = trainer().train_epoch()
    assert set(found) == {
        "loss",
        "accuracy",
        "precision",
        "recall",
        "f1",
        "epoch_seconds",
        "images_per_second",
        "peak_memory_mib",
    }
    assert found["images_per_second"] == pytest.approx(22 / found["epoch_seconds"])


@pytest.mark.parametrize("own", [True, False])
def test_a_schedule_that_the_trainer_was_given_steps_once_an_epoch(own):
    one = trainer()
    one.scheduler = (
        LRSchedulerCallback(one.optimizer, "step", {"step_size": 1, "gamma": 0.5})
        if own
        else StepLR(one.optimizer, 1, 0.5)
    )
    for _ in range(3):
        one.train_epoch()
        one.validate()
    assert one.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 / 8)


def test_a_plateau_that_the_trainer_was_given_hears_the_validation():
    one = trainer()
    one.scheduler = LRSchedulerCallback(
        one.optimizer, "plateau", {"patience": 0, "factor": 0.5, "monitor": "val_epochs"}
    )
    one._validate = lambda: {"loss": 1.0, "epochs": 2.0}
    for _ in range(3):
        one.train_epoch()
        one.validate()
    assert one.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 / 4)


TWO_PROCESSES = """
import sys, torch
from torch import nn
sys.path.insert(0, {root!r})
from resomap.training.distributed import join_group
from tests.unit.test_training_parts import network, pictures
from resomap.training import Trainer

with join_group(torch.device("cpu")) as (group, device):
    images, labels = pictures()
    batches = [(some.tensor_split(group.world_size)[group.rank], their.tensor_split(group.world_size)[group.rank])
               for some, their in zip(images.split(11), labels.split(11))]
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    criterion = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.5]))
    one = Trainer(model, device, criterion, optimizer, batches, [pictures(9)], micro_batch={micro}, group=group)
    scores = [one.train_epoch(), one.validate()]
    if group.is_leader:
        torch.save((model.state_dict(), scores[0]["accuracy"], scores[1]["loss"]), {path!r})
"""


@pytest.mark.parametrize("micro", [None, 2])
def test_two_processes_train_what_one_does(tmp_path, micro):
    path, script = tmp_path / "weights.pt", tmp_path / "two.py"
    script.write_text(TWO_PROCESSES.format(root=str(ROOT), path=str(path), micro=micro))
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(script),
    ]
    done = subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    weights, accuracy, val_loss = torch.load(path, weights_only=True)
    one = trainer(size=11, criterion=nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.5])))
    alone, validated = one.train_epoch(), one.validate()
    torch.testing.assert_close(weights, dict(one.model.state_dict()), rtol=1e-5, atol=1e-6)
    assert accuracy == alone["accuracy"]
    assert val_loss == pytest.approx(validated["loss"], rel=1e-5)
