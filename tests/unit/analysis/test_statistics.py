"""Intervals: their methods, pooling, and widths in special cases."""

import numpy as np
import pytest

from resomap.analysis.statistics import (
    accuracy_interval,
    compute_spread,
    crossed_error,
    difference_interval,
    pool_spreads,
    wilson,
)


def draw_correct(rng: np.random.Generator, seeds: int, images: int) -> np.ndarray:
    """Draw correctness of about 0.8 on images of varying difficulty."""
    difficulty = rng.normal(0, 1, images)
    return difficulty + rng.normal(0, 1, (seeds, images)) < np.sqrt(2) * 0.8416


def test_one_seed_uses_wilson() -> None:
    correct = np.array([[True] * 80 + [False] * 20])
    interval = accuracy_interval(correct, 0.95)
    assert (interval.low, interval.high) == wilson(0.8, 100, 0.95)
    assert interval.method == "Wilson, this network only"


def test_several_seeds_use_crossed_t() -> None:
    correct = draw_correct(np.random.default_rng(0), 3, 200)
    assert accuracy_interval(correct, 0.95).method == "crossed t"


def test_two_seeds_use_pooled_variance() -> None:
    rng = np.random.default_rng(1)
    cells = [draw_correct(rng, 2, 200) for _ in range(6)]
    pool = pool_spreads([compute_spread(cell) for cell in cells])
    assert pool is not None
    assert pool.df == 6
    assert accuracy_interval(cells[0], 0.95, pool).method == "crossed t, pooled"


def test_pool_narrows_interval_of_two_seeds() -> None:
    rng = np.random.default_rng(2)
    cells = [draw_correct(rng, 2, 200) for _ in range(6)]
    widest = max(cells, key=lambda cell: compute_spread(cell).dispersion)
    pool = pool_spreads([compute_spread(cell) for cell in cells])
    alone, pooled = accuracy_interval(widest, 0.95), accuracy_interval(widest, 0.95, pool)
    assert alone.high - alone.low > pooled.high - pooled.low


def test_outlier_keeps_its_own_variance() -> None:
    rng = np.random.default_rng(3)
    torn = np.array([[True] * 200, [True, False] * 100])
    spreads = [compute_spread(draw_correct(rng, 2, 200)) for _ in range(6)]
    pool = pool_spreads([*spreads, compute_spread(torn)])
    assert pool is not None
    assert pool.df == 6
    assert accuracy_interval(torn, 0.95, pool).method == "crossed t"


def test_pool_needs_cells_of_two_seeds() -> None:
    assert pool_spreads([compute_spread(np.ones((3, 5)))]) is None


def test_accuracy_of_one_keeps_width() -> None:
    interval = accuracy_interval(np.ones((3, 50), bool), 0.95)
    assert interval.high == 1
    assert interval.low == pytest.approx(wilson(1.0, 50, 0.95)[0])


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
    error, df, pooled = crossed_error(compute_spread(same))
    assert error == pytest.approx(np.sqrt(same[0].var(ddof=1) / 300))
    assert df == np.inf
    assert not pooled
