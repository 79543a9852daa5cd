from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.failures import (
    actual_interval,
    daly_interval,
    expected_waste,
    first_order_waste,
    young_interval,
)

between_failures = st.floats(60, 1e8)
saves = st.floats(1e-3, 50)
factors = st.floats(0.1, 10)
shares = st.floats(1e-3, 1.9)  # of a save in the time between failures


@given(saves, between_failures, factors)
def test_young_wastes_least_to_first_order(save, between, factor):
    best = young_interval(save, between)
    least = first_order_waste(best, save, between)
    assert least <= first_order_waste(factor * best, save, between) * (1 + 1e-12)
    assert least == pytest.approx(sqrt(2 * save / between))


@given(shares, between_failures, factors)
def test_daly_wastes_nearly_least_in_complete_model(share, between, factor):
    save = share * between
    best = daly_interval(save, between)
    least, other = (
        expected_waste(interval, save, between, restart=0.0)
        for interval in (best, factor * best)
    )
    assert 1 + least <= (1 + other) * 1.01


@given(shares, between_failures)
def test_daly_is_never_worse_than_young(share, between):
    save = share * between
    daly, young = (
        expected_waste(interval(save, between), save, between, restart=0.0)
        for interval in (daly_interval, young_interval)
    )
    assert daly <= young * (1 + 1e-9)


@given(between_failures)
def test_daly_approaches_young_for_free_saves(between):
    save = 1e-9 * between
    expected = pytest.approx(young_interval(save, between), rel=1e-4)
    assert daly_interval(save, between) == expected


@pytest.mark.parametrize("save", [200.0, 300.0])
def test_daly_of_very_slow_saves_is_time_between_failures(save):
    assert daly_interval(save, 100.0) == 100.0


@given(saves, st.floats(1, 1e4))
def test_waste_without_failures_is_saving_alone(save, interval):
    waste = expected_waste(interval, save, 1e13, 300.0)
    assert waste == pytest.approx(save / interval, rel=1e-3, abs=1e-3)


def test_simulated_failures_waste_as_the_complete_model():
    interval, save, between, restart, segments = 300.0, 20.0, 1000.0, 50.0, 20_000
    failures, wall = np.random.default_rng(0), 0.0
    for _ in range(segments):
        # A segment counts only if all of it, its save included, passes without a failure.
        needed = interval + save
        while (until := failures.exponential(between)) < needed:
            wall += until
            needed = restart + interval + save
        wall += needed
    expected = expected_waste(interval, save, between, restart)
    assert wall / (segments * interval) - 1 == pytest.approx(expected, rel=0.03)


def test_actual_interval_limits_the_share_of_saving():
    assert actual_interval(0.1, 30.0, 0.02) == 30.0
    assert actual_interval(9.0, 30.0, 0.02) == 450.0
