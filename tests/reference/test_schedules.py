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

PEAK = 0.005
VAL_LOSS = Monitor(name="val_loss", mode="min")


def build_optimizer() -> SGD:
    return SGD([torch.zeros(1, requires_grad=True)], lr=PEAK)


def learning_rates(build: Callable[[Optimizer], LRScheduler], steps: int) -> list[float]:
    """Return the learning rate at each step, and the one after the last."""
    optimizer = build_optimizer()
    scheduler = build(optimizer)
    return [optimizer.param_groups[0]["lr"], *continue_rates(optimizer, scheduler, steps)]


def continue_rates(optimizer: Optimizer, scheduler: LRScheduler, steps: int) -> list[float]:
    """Return the learning rate after each of `steps` further steps."""
    rates = list[float]()
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def cosine_rates(
    warmup_epochs: float, min_lr: float, steps_per_epoch: int, epochs: int
) -> list[float]:
    config = schedule("cosine", warmup_epochs, min_lr)
    return learning_rates(
        lambda optimizer: build_schedule(config, optimizer, steps_per_epoch, epochs, VAL_LOSS),
        steps_per_epoch * epochs,
    )


@pytest.mark.parametrize("min_lr", [0.0, 1e-4])
@pytest.mark.parametrize("steps", [1, 2, 57])
def test_cosine_without_warmup_equals_torch(min_lr, steps):
    expected = learning_rates(
        lambda optimizer: CosineAnnealingLR(optimizer, T_max=steps, eta_min=min_lr), steps
    )
    found = cosine_rates(0.0, min_lr, steps, 1)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-17)


@pytest.mark.parametrize(("warmup_epochs", "warmup"), [(1.0, 10), (0.5, 5), (2.5, 25)])
def test_cosine_with_warmup_equals_torch_linear_then_cosine(warmup_epochs, warmup):
    linear = learning_rates(
        lambda optimizer: LinearLR(optimizer, start_factor=1 / warmup, total_iters=warmup - 1),
        warmup - 1,
    )
    cosine = learning_rates(
        lambda optimizer: CosineAnnealingLR(optimizer, T_max=40 - warmup, eta_min=1e-5),
        40 - warmup,
    )
    found = cosine_rates(warmup_epochs, 1e-5, 10, 4)
    assert found == pytest.approx(linear + cosine, rel=1e-12, abs=1e-17)


def test_cosine_reaches_peak_and_min_lr():
    rates = cosine_rates(1.0, 1e-4, 10, 8)
    assert max(rates) == rates[9] == PEAK
    assert math.isclose(rates[-1], 1e-4, rel_tol=1e-12)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_parameter_groups_follow_one_curve():
    weights, biases = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = SGD([{"params": [weights]}, {"params": [biases]}], lr=PEAK)
    scheduler = build_schedule(schedule(), optimizer, 4, 3, VAL_LOSS)
    for _ in range(12):
        first, second = scheduler.get_last_lr()
        assert first == second
        optimizer.step()
        scheduler.step()


TORCH_SCHEDULERS = {
    "cosine": (CosineAnnealingLR, {"T_max": 30, "eta_min": 1e-5}),
    "step": (StepLR, {"step_size": 4, "gamma": 0.3}),
    "exponential": (ExponentialLR, {"gamma": 0.93}),
    "multistep": (MultiStepLR, {"milestones": [3, 4, 9], "gamma": 0.2}),
}


@pytest.mark.parametrize("warmup", [0, 1, 5])
@pytest.mark.parametrize("kind", TORCH_SCHEDULERS)
def test_schedule_after_warmup_equals_torch(kind, warmup):
    scheduler, params = TORCH_SCHEDULERS[kind]
    expected = learning_rates(lambda optimizer: scheduler(optimizer, **params), 25)
    found = learning_rates(
        lambda optimizer: LRSchedulerCallback(optimizer, kind, params, warmup=warmup),
        25 + warmup,
    )
    rise = [PEAK * (step + 1) / warmup for step in range(warmup)]
    assert found[:warmup] == pytest.approx(rise, rel=1e-12)
    assert found[warmup:] == pytest.approx(expected, rel=1e-12)


@given(
    values=st.lists(st.floats(0, 2), min_size=1, max_size=30),
    patience=st.integers(0, 3),
    mode=st.sampled_from(["min", "max"]),
)
def test_plateau_equals_torch_for_any_metric(values, patience, mode):
    params = {"mode": mode, "factor": 0.3, "patience": patience}
    expected, optimizer = build_optimizer(), build_optimizer()
    theirs = ReduceLROnPlateau(expected, **params)
    ours = LRSchedulerCallback(optimizer, "plateau", {**params, "monitor": "val_loss"})
    for value in values:
        theirs.step(value)
        ours.step(metrics={"loss": value})
        assert optimizer.param_groups[0]["lr"] == expected.param_groups[0]["lr"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("step", [1, 1, 0.5, 0.5, 0.25]),
        ("multistep", [1, 0.1, 0.1, 0.01, 0.01]),
        ("exponential", [1, 0.9, 0.81, 0.729, 0.6561]),
    ],
)
def test_configured_epochs_count_from_warmup_end(kind, expected):
    config = schedule(kind, 2.0)
    rates = learning_rates(
        lambda optimizer: build_schedule(config, optimizer, 10, 7, VAL_LOSS), 70
    )
    assert [rate / PEAK for rate in rates[20:70:10]] == pytest.approx(expected, rel=1e-9)


def build_cosine(optimizer: Optimizer) -> LRSchedulerCallback:
    return LRSchedulerCallback(optimizer, "cosine", {"T_max": 20}, warmup=4)


@pytest.mark.parametrize("cut", [2, 4, 11])
def test_schedule_resumes_from_state(cut):
    whole = learning_rates(build_cosine, 24)
    first, second = build_optimizer(), build_optimizer()
    stopped, resumed = build_cosine(first), build_cosine(second)
    continue_rates(first, stopped, cut)
    resumed.load_state_dict(stopped.state_dict())
    second.load_state_dict(first.state_dict())
    rates = continue_rates(second, resumed, 24 - cut)
    assert rates == pytest.approx(whole[cut + 1 :], rel=1e-12, abs=1e-18)


@pytest.mark.parametrize(
    ("kind", "params", "message"),
    [
        ("step", {"step_sise": 3}, "schedule step .*sise"),
        ("linear", {}, "cosine, step, plateau, exponential, multistep"),
    ],
)
def test_wrong_schedule_is_named(kind, params, message):
    with pytest.raises(ConfigError, match=message):
        LRSchedulerCallback(build_optimizer(), kind, params)


@pytest.mark.parametrize(
    ("metrics", "message"),
    [({"accuracy": 1.0}, r"'val_loss'.* accuracy"), (None, r"needs metrics=.*val_loss")],
)
def test_plateau_without_its_metric_is_refused(metrics, message):
    plateau = LRSchedulerCallback(build_optimizer(), "plateau", {})
    with pytest.raises(ConfigError, match=message):
        plateau.step(metrics=metrics)
