"""Laws of the intervals, and how often they cover the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from resomap.analysis.statistics import (
    accuracy_interval,
    compute_spread,
    crossed_error,
    difference_interval,
    pool_spreads,
    wilson,
)

MATRICES = st.tuples(st.integers(1, 5), st.integers(2, 60), st.integers(0, 2**31)).map(
    lambda shape: (
        np.random.default_rng(shape[2]).random(shape[:2])
        < np.random.default_rng(shape[2]).random()
    )
)


@settings(deadline=None)
@given(MATRICES, st.floats(0.5, 0.99))
def test_interval_contains_mean_and_stays_in_range(
    correct: np.ndarray, confidence: float
) -> None:
    interval = accuracy_interval(correct, confidence)
    assert 0 <= interval.low <= interval.mean + 1e-12
    assert interval.mean - 1e-12 <= interval.high <= 1


@given(st.sampled_from([0.0, 1.0]), st.integers(1, 10_000), st.floats(0.5, 0.99))
def test_interval_of_all_or_none_contains_it_exactly(mean, count, confidence):
    # By one rounding error less, the error bar of a perfect network had a negative length.
    low, high = wilson(mean, count, confidence)
    assert low <= mean <= high


@settings(deadline=None)
@given(MATRICES, st.floats(0.5, 0.9))
def test_more_confidence_is_wider(correct: np.ndarray, confidence: float) -> None:
    narrow, wide = (
        accuracy_interval(correct, confidence),
        accuracy_interval(correct, confidence + 0.05),
    )
    assert wide.low <= narrow.low + 1e-12
    assert wide.high >= narrow.high - 1e-12


@settings(deadline=None)
@given(st.floats(0, 1), st.integers(2, 500), st.integers(2, 5))
def test_more_images_narrow_wilson(mean: float, images: int, times: int) -> None:
    few, many = wilson(mean, images, 0.95), wilson(mean, times * images, 0.95)
    assert many[1] - many[0] <= few[1] - few[0]


@settings(deadline=None)
@given(MATRICES.filter(lambda correct: len(correct) > 1), st.integers(2, 5))
def test_repeated_images_never_raise_standard_error(correct: np.ndarray, times: int) -> None:
    few, many = (
        crossed_error(compute_spread(np.tile(correct, (1, repeats))))[0]
        for repeats in (1, times)
    )
    assert many <= few + 1e-12


@settings(deadline=None)
@given(MATRICES)
def test_swapped_difference_changes_sign(correct: np.ndarray) -> None:
    other = correct[:, ::-1]
    forward = difference_interval(correct, other, 0.9)
    backward = difference_interval(other, correct, 0.9)
    assert forward.low == pytest.approx(-backward.high)
    assert forward.mean == pytest.approx(-backward.mean)


@settings(deadline=None)
@given(MATRICES, st.integers(0, 100))
def test_order_of_seeds_and_images_does_not_matter(correct: np.ndarray, order: int) -> None:
    rng = np.random.default_rng(order)
    shuffled = correct[rng.permutation(len(correct))][:, rng.permutation(correct.shape[1])]
    assert accuracy_interval(shuffled, 0.95).low == pytest.approx(
        accuracy_interval(correct, 0.95).low
    )


def draw_correct(rng: np.random.Generator, seeds: int, luck: float) -> np.ndarray:
    """Draw networks whose luck differs by seed, on images of shared difficulty; the true accuracy is Phi(1 / sd)."""
    return (
        1
        + rng.normal(0, luck, (seeds, 1))
        + rng.normal(0, 1, 200)
        + rng.normal(0, 1, (seeds, 200))
        > 0
    )


@pytest.mark.parametrize(("seeds", "luck"), [(2, 0.1), (2, 0.3), (3, 0.3), (5, 0.3)])
def test_intervals_cover_truth_as_often_as_claimed(seeds: int, luck: float) -> None:
    rng, truth = np.random.default_rng(seeds), norm.cdf(1 / np.sqrt(2 + luck**2))
    covered = []
    for _ in range(150):
        cells = [draw_correct(rng, seeds, luck) for _ in range(6)]
        interval = accuracy_interval(
            cells[0], 0.9, pool_spreads([compute_spread(cell) for cell in cells])
        )
        covered.append(interval.low <= truth <= interval.high)
    assert np.mean(covered) > 0.84


def test_one_seed_covers_too_rarely() -> None:
    rng, truth = np.random.default_rng(1), norm.cdf(1 / np.sqrt(2 + 0.5**2))
    covered = []
    for _ in range(150):
        interval = accuracy_interval(draw_correct(rng, 1, 0.5), 0.9)
        covered.append(interval.low <= truth <= interval.high)
    assert np.mean(covered) < 0.7
