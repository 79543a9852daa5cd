import math
from collections.abc import Callable

import pytest
import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler

from resomap.sections import Schedule
from resomap.training.schedules import build_schedule

PEAK = 0.005


def rates(build: Callable[[Optimizer], LRScheduler], steps: int) -> list[float]:
    """The rate at each step, and the one after the last."""
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=PEAK)
    schedule = build(optimizer)
    found = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps):
        optimizer.step()
        schedule.step()
        found.append(optimizer.param_groups[0]["lr"])
    return found


def ours(warmup_epochs: float, min_lr: float, steps_per_epoch: int, epochs: int) -> list[float]:
    schedule = Schedule(type="cosine", warmup_epochs=warmup_epochs, min_lr=min_lr)
    return rates(lambda optimizer: build_schedule(schedule, optimizer, steps_per_epoch, epochs), steps_per_epoch * epochs)


@pytest.mark.parametrize("min_lr", [0.0, 1e-4])
@pytest.mark.parametrize("steps", [1, 2, 57])
def test_without_warm_up_it_is_torchs_cosine(min_lr, steps):
    theirs = rates(lambda optimizer: CosineAnnealingLR(optimizer, T_max=steps, eta_min=min_lr), steps)
    assert ours(0.0, min_lr, steps, 1) == pytest.approx(theirs, rel=1e-12, abs=1e-17)


@pytest.mark.parametrize(("warmup_epochs", "warmup"), [(1.0, 10), (0.5, 5), (2.5, 25)])
def test_with_warm_up_it_is_torchs_linear_and_then_torchs_cosine(warmup_epochs, warmup):
    linear = rates(lambda optimizer: LinearLR(optimizer, start_factor=1 / warmup, total_iters=warmup - 1), warmup - 1)
    cosine = rates(lambda optimizer: CosineAnnealingLR(optimizer, T_max=40 - warmup, eta_min=1e-5), 40 - warmup)
    assert ours(warmup_epochs, 1e-5, 10, 4) == pytest.approx(linear + cosine, rel=1e-12, abs=1e-17)


def test_the_peak_is_reached_and_the_floor_is_the_end():
    found = ours(1.0, 1e-4, 10, 8)
    assert max(found) == found[9] == PEAK
    assert math.isclose(found[-1], 1e-4, rel_tol=1e-12)
    assert found[10:] == sorted(found[10:], reverse=True)


def test_every_group_follows_the_same_curve():
    weights, biases = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = SGD([{"params": [weights]}, {"params": [biases]}], lr=PEAK)
    schedule = build_schedule(Schedule(type="cosine", warmup_epochs=1.0, min_lr=0.0), optimizer, 4, 3)
    for _ in range(12):
        assert optimizer.param_groups[0]["lr"] == optimizer.param_groups[1]["lr"]
        optimizer.step()
        schedule.step()
