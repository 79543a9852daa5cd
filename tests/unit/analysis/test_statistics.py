"""Intervals: their methods, pooling, and widths in special cases."""

from dataclasses import astuple, replace

import numpy as np
import pytest
from scipy import stats

from resomap.analysis.statistics import (
    Pool,
    accuracy_interval,
    compute_spread,
    crossed_error,
    difference_interval,
    effective_df,
    pool_spreads,
    t_quantile,
    wilson,
)


def draw_correct(
    rng: np.random.Generator, seeds: int, images: int, luck: float = 0.0
) -> np.ndarray:
    """Draw correctness of about 0.8 on images of varying difficulty, with luck by seed."""
    difficulty = rng.normal(0, 1, images)
    noise = rng.normal(0, 1, (seeds, images)) + rng.normal(0, luck, (seeds, 1))
    return difficulty + noise < np.sqrt(2) * 0.8416


def test_one_seed_uses_wilson() -> None:
    correct = np.array([[True] * 80 + [False] * 20])
    interval = accuracy_interval(correct, 0.95)
    assert (interval.low, interval.high) == wilson(0.8, 100, 0.95)
    assert interval.method == "Wilson, this network only"


@pytest.mark.parametrize("shape", [(5, 400), (300, 7), (1, 30), (3, 1)])
def test_spread_of_correctness_equals_that_of_its_numbers(shape: tuple[int, int]) -> None:
    correct = np.random.default_rng(shape).random(shape) < 0.8
    counted, computed = compute_spread(correct), compute_spread(correct.astype(float))
    assert astuple(counted) == pytest.approx(astuple(computed), rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("df", [1.0, 3.7, 1e9, np.inf])
def test_quantile_equals_that_of_scipy(df: float) -> None:
    assert t_quantile(0.025, df) == stats.t.isf(0.025, df)


def test_one_seed_takes_seed_variance_of_others() -> None:
    rng = np.random.default_rng(1)
    pool = pool_spreads([compute_spread(draw_correct(rng, 3, 200, 0.5)) for _ in range(6)])
    one = draw_correct(rng, 1, 200)
    interval, alone = accuracy_interval(one, 0.95, pool), accuracy_interval(one, 0.95)
    assert interval.high - interval.low > alone.high - alone.low
    assert interval.method == "Wilson over seeds of other cells and images"


def test_images_without_seed_variance_leave_pool_at_zero() -> None:
    values = np.tile(np.random.default_rng(0).random(400) < 0.8, (3, 1))
    pool = pool_spreads([compute_spread(values)])
    assert pool is not None
    assert pool.level == 0


def test_pool_recovers_seed_variance() -> None:
    rng = np.random.default_rng(2)
    cells = [draw_correct(rng, 5, 2000, 0.2) for _ in range(40)]
    pool = pool_spreads([compute_spread(cell) for cell in cells])
    assert pool is not None
    # Luck of .2 moves the threshold by .2 / sqrt(2), at a density of .28 under Phi(.8416).
    expected = (0.2 / np.sqrt(2) * 0.28) ** 2
    assert pool.level * pool.scale(np.array(0.16)) == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_pool_finds_how_seed_variance_grows(power: float) -> None:
    rng, spreads = np.random.default_rng(3), []
    for accuracy in np.linspace(0.5, 0.98, 60):
        unit = accuracy * (1 - accuracy)
        luck = np.sqrt(0.01 * unit**power)
        values = accuracy + rng.normal(0, luck, (6, 1))
        spread = compute_spread(np.repeat(values, 50, axis=1))
        spreads.append(replace(spread, unit_variance=unit))
    pool = pool_spreads(spreads)
    assert pool is not None
    assert pool.power == power


def test_pool_narrows_interval_of_two_seeds() -> None:
    rng = np.random.default_rng(2)
    cells = [draw_correct(rng, 2, 200, 0.2) for _ in range(6)]
    pool = pool_spreads([compute_spread(cell) for cell in cells])
    widest = max(cells, key=lambda cell: compute_spread(cell).seed_variance)
    alone, pooled = accuracy_interval(widest, 0.95), accuracy_interval(widest, 0.95, pool)
    assert alone.high - alone.low > 2 * (pooled.high - pooled.low)


def test_cell_unlike_the_others_keeps_its_own_variance() -> None:
    rng = np.random.default_rng(3)
    torn = np.array([[True] * 200, [True, False] * 100])
    spreads = [compute_spread(draw_correct(rng, 2, 200)) for _ in range(6)]
    pool = pool_spreads(spreads)
    interval = accuracy_interval(torn, 0.95, pool)
    assert interval.high - interval.low > 0.5


def test_pool_needs_cells_of_two_seeds() -> None:
    assert pool_spreads([compute_spread(np.ones((1, 5)))]) is None


def test_unlike_variances_have_fewer_degrees_of_freedom() -> None:
    df = np.full(12, 2.0)
    assert effective_df(np.ones(12), df) == 24
    assert effective_df(np.r_[np.ones(11), 100.0], df) < 6


def test_accuracy_of_one_keeps_width() -> None:
    interval = accuracy_interval(np.ones((3, 50), bool), 0.95)
    assert interval.high == 1
    assert interval.low == pytest.approx(wilson(1.0, 50, 0.95)[0])


def test_seeds_narrow_interval_below_that_of_one_network() -> None:
    correct = draw_correct(np.random.default_rng(7), 10, 400)
    low, high = wilson(float(correct.mean()), 400, 0.95)
    interval = accuracy_interval(correct, 0.95)
    assert interval.high - interval.low < high - low


def test_equal_cells_differ_by_zero_with_width() -> None:
    correct = draw_correct(np.random.default_rng(4), 2, 100)
    interval = difference_interval(correct, correct, 0.95)
    assert interval.mean == 0
    assert interval.low < 0 < interval.high


def test_shared_images_do_not_widen_difference() -> None:
    rng = np.random.default_rng(5)
    first = np.tile(rng.random(400) < 0.7, (3, 1))
    second = first ^ (rng.random((3, 400)) < 0.01)
    apart = accuracy_interval(first, 0.95)
    paired = difference_interval(first, second, 0.95)
    assert paired.high - paired.low < apart.high - apart.low


def test_identical_seeds_leave_error_of_images() -> None:
    same = np.tile(np.random.default_rng(6).random(300) < 0.7, (4, 1))
    error, df = crossed_error(compute_spread(same))
    assert error == pytest.approx(np.sqrt(same[0].var(ddof=1) / 300))
    assert df == 1e9


def test_pool_scale_is_power_of_unit_variance() -> None:
    assert Pool(1.0, 2.0, 0.0).scale(np.array(0.2)) == pytest.approx(0.04)
