import pytest
from hypothesis import given
from hypothesis import strategies as st

from resomap.training.schedules import cosine_factor

SHARES = st.floats(0, 1)


@given(warmup=st.integers(0, 50), steps=st.integers(1, 200), floor=SHARES, step=st.integers(0, 400))
def test_the_rate_is_never_negative_and_never_above_its_peak(warmup, steps, floor, step):
    assert 0 <= cosine_factor(step, warmup, steps, floor) <= 1 + 1e-12


@given(warmup=st.integers(0, 50), extra=st.integers(1, 200), floor=SHARES)
def test_it_rises_to_its_peak_falls_to_its_floor_and_stays_there(warmup, extra, floor):
    steps = warmup + extra
    factors = [cosine_factor(step, warmup, steps, floor) for step in range(steps + 3)]
    rise, fall = factors[:warmup], factors[warmup:]
    assert rise == sorted(rise)
    assert fall == sorted(fall, reverse=True)
    assert factors[warmup] == pytest.approx(1)
    assert factors[steps:] == [pytest.approx(floor)] * 3


@given(warmup=st.integers(1, 50), extra=st.integers(0, 50))
def test_no_step_is_without_learning(warmup, extra):
    assert all(cosine_factor(step, warmup, warmup + extra, 0.0) > 0 for step in range(warmup + extra))
