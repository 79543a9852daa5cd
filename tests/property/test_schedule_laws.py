import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD

from resomap.config.training import Monitor
from resomap.training.schedules import build_schedule
from tests.recipes import schedule

PEAK, STEPS_PER_EPOCH = 0.01, 4
LOSS = Monitor(name="val_loss", mode="min")
KINDS = st.sampled_from(["cosine", "step", "multistep", "exponential", "plateau"])


def course(kind: str, warmup_epochs: int, epochs: int, min_lr: float = 0.0) -> list[float]:
    """The rate at each step of a training, and the one after its last."""
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=PEAK)
    rates = build_schedule(
        schedule(kind, float(warmup_epochs), min_lr), optimizer, STEPS_PER_EPOCH, epochs, LOSS
    )
    found = [optimizer.param_groups[0]["lr"]]
    for step in range(STEPS_PER_EPOCH * epochs):
        optimizer.step()
        rates.step()
        if (step + 1) % STEPS_PER_EPOCH == 0:
            rates.step(metrics={"loss": 1.0}) if kind == "plateau" else None
        found.append(optimizer.param_groups[0]["lr"])
    return found


@given(kind=KINDS, warmup=st.integers(0, 5), extra=st.integers(1, 12))
def test_the_rate_rises_to_its_peak_and_then_only_falls(kind, warmup, extra):
    found = course(kind, warmup, warmup + extra)
    rise, fall = found[: warmup * STEPS_PER_EPOCH], found[warmup * STEPS_PER_EPOCH :]
    assert rise == sorted(rise)
    assert fall == sorted(fall, reverse=True)
    assert max(found) == pytest.approx(PEAK)
    assert min(found) >= 0


@given(warmup=st.integers(0, 5), extra=st.integers(1, 12), floor=st.floats(0, PEAK))
def test_a_cosine_ends_on_its_floor(warmup, extra, floor):
    assert course("cosine", warmup, warmup + extra, floor)[-1] == pytest.approx(
        floor, rel=1e-9, abs=1e-15
    )


@given(kind=KINDS, warmup=st.integers(1, 5), extra=st.integers(0, 5))
def test_no_step_is_without_learning(kind, warmup, extra):
    assert all(rate > 0 for rate in course(kind, warmup, warmup + extra)[:-1])
