import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    ReduceLROnPlateau,
    StepLR,
)

from resomap.config.training import Monitor
from resomap.errors import ConfigError
from resomap.training.schedules import LRSchedulerCallback, build_schedule
from tests.recipes import schedule

LOSS = Monitor(name="val_loss", mode="min")

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
    recipe = schedule("cosine", warmup_epochs, min_lr)
    return rates(
        lambda optimizer: build_schedule(recipe, optimizer, steps_per_epoch, epochs, LOSS),
        steps_per_epoch * epochs,
    )


@pytest.mark.parametrize("min_lr", [0.0, 1e-4])
@pytest.mark.parametrize("steps", [1, 2, 57])
def test_without_warm_up_it_is_torchs_cosine(min_lr, steps):
    theirs = rates(
        lambda optimizer: CosineAnnealingLR(optimizer, T_max=steps, eta_min=min_lr), steps
    )
    assert ours(0.0, min_lr, steps, 1) == pytest.approx(theirs, rel=1e-12, abs=1e-17)


@pytest.mark.parametrize(("warmup_epochs", "warmup"), [(1.0, 10), (0.5, 5), (2.5, 25)])
def test_with_warm_up_it_is_torchs_linear_and_then_torchs_cosine(warmup_epochs, warmup):
    linear = rates(
        lambda optimizer: LinearLR(optimizer, start_factor=1 / warmup, total_iters=warmup - 1),
        warmup - 1,
    )
    cosine = rates(
        lambda optimizer: CosineAnnealingLR(optimizer, T_max=40 - warmup, eta_min=1e-5),
        40 - warmup,
    )
    assert ours(warmup_epochs, 1e-5, 10, 4) == pytest.approx(
        linear + cosine, rel=1e-12, abs=1e-17
    )


def test_the_peak_is_reached_and_the_floor_is_the_end():
    found = ours(1.0, 1e-4, 10, 8)
    assert max(found) == found[9] == PEAK
    assert math.isclose(found[-1], 1e-4, rel_tol=1e-12)
    assert found[10:] == sorted(found[10:], reverse=True)


def test_every_group_follows_the_same_curve():
    weights, biases = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = SGD([{"params": [weights]}, {"params": [biases]}], lr=PEAK)
    rate = build_schedule(schedule(), optimizer, 4, 3, LOSS)
    for _ in range(12):
        assert optimizer.param_groups[0]["lr"] == optimizer.param_groups[1]["lr"]
        optimizer.step()
        rate.step()


THEIRS = {
    "cosine": (CosineAnnealingLR, {"T_max": 30, "eta_min": 1e-5}),
    "step": (StepLR, {"step_size": 4, "gamma": 0.3}),
    "exponential": (ExponentialLR, {"gamma": 0.93}),
    "multistep": (MultiStepLR, {"milestones": [3, 4, 9], "gamma": 0.2}),
}


@pytest.mark.parametrize("warmup", [0, 1, 5])
@pytest.mark.parametrize("kind", THEIRS)
def test_after_its_warm_up_each_schedule_is_torchs(kind, warmup):
    scheduler, params = THEIRS[kind]
    theirs = rates(lambda optimizer: scheduler(optimizer, **params), 25)
    found = rates(
        lambda optimizer: LRSchedulerCallback(optimizer, kind, params, warmup=warmup),
        25 + warmup,
    )
    assert found[:warmup] == pytest.approx(
        [PEAK * (step + 1) / warmup for step in range(warmup)], rel=1e-12
    )
    assert found[warmup:] == pytest.approx(theirs, rel=1e-12)


@given(
    values=st.lists(st.floats(0, 2), min_size=1, max_size=30),
    patience=st.integers(0, 3),
    mode=st.sampled_from(["min", "max"]),
)
def test_a_plateau_is_torchs_for_any_course_of_its_metric(values, patience, mode):
    params = {"mode": mode, "factor": 0.3, "patience": patience}
    optimizers = [SGD([torch.zeros(1, requires_grad=True)], lr=PEAK) for _ in range(2)]
    theirs = ReduceLROnPlateau(optimizers[0], **params)
    found = LRSchedulerCallback(optimizers[1], "plateau", {**params, "monitor": "val_loss"})
    for value in values:
        theirs.step(value)
        found.step(metrics={"loss": value})
        assert optimizers[1].param_groups[0]["lr"] == optimizers[0].param_groups[0]["lr"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("step", [1, 1, 0.5, 0.5, 0.25]),
        ("multistep", [1, 0.1, 0.1, 0.01, 0.01]),
        ("exponential", [1, 0.9, 0.81, 0.729, 0.6561]),
    ],
)
def test_the_epochs_of_a_recipe_count_from_the_end_of_the_warm_up(kind, expected):
    found = rates(
        lambda optimizer: build_schedule(schedule(kind, 2.0), optimizer, 10, 7, LOSS), 70
    )
    assert [rate / PEAK for rate in found[20:70:10]] == pytest.approx(expected, rel=1e-9)


def test_a_state_goes_on_where_it_was():
    whole = rates(
        lambda optimizer: LRSchedulerCallback(optimizer, "cosine", {"T_max": 20}, warmup=4), 24
    )
    for cut in (2, 4, 11):
        optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=PEAK)
        first = LRSchedulerCallback(optimizer, "cosine", {"T_max": 20}, warmup=4)
        for _ in range(cut):
            optimizer.step()
            first.step()
        other = SGD([torch.zeros(1, requires_grad=True)], lr=PEAK)
        second = LRSchedulerCallback(other, "cosine", {"T_max": 20}, warmup=4)
        second.load_state_dict(first.state_dict())
        other.load_state_dict(optimizer.state_dict())
        tail = []
        for _ in range(24 - cut):
            other.step()
            second.step()
            tail.append(other.param_groups[0]["lr"])
        assert tail == pytest.approx(whole[cut + 1 :], rel=1e-12, abs=1e-18)


def test_what_torch_refuses_is_said_in_words_of_ours():
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=PEAK)
    with pytest.raises(ConfigError, match=r"schedule step .*sise"):
        LRSchedulerCallback(optimizer, "step", {"step_sise": 3})
    with pytest.raises(ConfigError, match="cosine, step, plateau, exponential, multistep"):
        LRSchedulerCallback(optimizer, "linear")
    with pytest.raises(ConfigError, match="unknown metric 'val_loss'; known are accuracy"):
        LRSchedulerCallback(optimizer, "plateau", {}).step(metrics={"accuracy": 1.0})
    with pytest.raises(ConfigError, match=r"needs metrics=.*val_loss"):
        LRSchedulerCallback(optimizer, "plateau", {}).step(0)
