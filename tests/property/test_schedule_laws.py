import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD

from resomap.config.training import Monitor
from resomap.training.schedules import build_schedule
from tests.recipes import schedule

PEAK, STEPS_PER_EPOCH = 0.01, 4
VAL_LOSS = Monitor(name="val_loss", mode="min")
KINDS = st.sampled_from(["cosine", "step", "multistep", "exponential", "plateau"])


def learning_rates(kind: str, warmup: int, epochs: int, min_lr: float = 0.0) -> list[float]:
    """Return the learning rate at each step of a training, and the one after its last step."""
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=PEAK)
    config = schedule(kind, float(warmup), min_lr)
    scheduler = build_schedule(config, optimizer, STEPS_PER_EPOCH, epochs, VAL_LOSS)
    rates = scheduler.get_last_lr()
    for step in range(1, STEPS_PER_EPOCH * epochs + 1):
        optimizer.step()
        scheduler.step()
        if kind == "plateau" and step % STEPS_PER_EPOCH == 0:
            scheduler.step(metrics={"loss": 1.0})
        rates += scheduler.get_last_lr()
    return rates


@given(kind=KINDS, warmup=st.integers(0, 5), extra=st.integers(1, 12))
def test_rate_rises_to_peak_then_falls(kind, warmup, extra):
    rates = learning_rates(kind, warmup, warmup + extra)
    rise, fall = rates[: warmup * STEPS_PER_EPOCH], rates[warmup * STEPS_PER_EPOCH :]
    assert rise == sorted(rise)
    assert fall == sorted(fall, reverse=True)
    assert max(rates) == pytest.approx(PEAK)
    assert min(rates) >= 0


@given(warmup=st.integers(0, 5), extra=st.integers(1, 12), floor=st.floats(0, PEAK))
def test_cosine_ends_on_min_lr(warmup, extra, floor):
    last = learning_rates("cosine", warmup, warmup + extra, floor)[-1]
    assert last == pytest.approx(floor, rel=1e-9, abs=1e-15)


@given(kind=KINDS, warmup=st.integers(1, 5), extra=st.integers(0, 5))
def test_rate_is_positive_at_every_step(kind, warmup, extra):
    assert min(learning_rates(kind, warmup, warmup + extra)[:-1]) > 0
