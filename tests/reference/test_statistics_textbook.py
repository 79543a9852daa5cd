"""Intervals against scipy and against the formulas of Obuchowski, Rockette and Hillis."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from resomap.analysis.statistics import (
    accuracy_interval,
    compute_spread,
    crossed_error,
    mean_interval,
    wilson,
)


@pytest.mark.parametrize(("right", "count"), [(0, 10), (1, 10), (5, 10), (37, 400), (400, 400)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_wilson_equals_scipy(right: int, count: int, confidence: float) -> None:
    expected = stats.binomtest(right, count).proportion_ci(confidence, method="wilson")
    assert wilson(right / count, count, confidence) == pytest.approx(
        (expected.low, expected.high), abs=1e-12
    )


def test_crossed_interval_equals_obuchowski_rockette_with_hillis_df() -> None:
    rng = np.random.default_rng(0)
    correct = (
        rng.normal(0, 1, 120) + rng.normal(0, 1, (4, 120)) + rng.normal(0, 0.5, (4, 1)) < 0.2
    ).astype(float)
    readers, cases = correct.shape
    mean_square = correct.mean(axis=1).var(ddof=1)
    covariance = np.mean(
        [
            np.cov(correct[i], correct[j])[0, 1] / cases
            for i, j in combinations(range(readers), 2)
        ]
    )
    error = np.sqrt((mean_square + readers * covariance) / readers)
    df = (readers - 1) * ((mean_square + readers * covariance) / mean_square) ** 2
    half = stats.t.ppf(0.9, df) * error
    interval = mean_interval(correct, 0.8)
    assert (interval.low, interval.high) == pytest.approx(
        (correct.mean() - half, correct.mean() + half)
    )


def test_accuracy_interval_is_wilson_with_the_same_error() -> None:
    correct = np.random.default_rng(0).random((4, 120)) < 0.7
    error, df = crossed_error(compute_spread(correct))
    mean = correct.mean()
    expected = wilson(mean, mean * (1 - mean) / error**2, 0.8, df)
    interval = accuracy_interval(correct, 0.8)
    assert (interval.low, interval.high) == pytest.approx(expected)
