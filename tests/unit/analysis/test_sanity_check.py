"""The sanity check: which correlations pass, and its interval."""

import numpy as np
import pytest
from scipy import stats

from resomap.analysis.sanity_check import check_sanity


def test_method_that_loses_its_maps_passes():
    correlations = np.random.default_rng(0).normal(0, 0.1, 8)
    assert check_sanity(correlations, 0.0).passed


def test_method_that_keeps_its_maps_fails():
    assert check_sanity(np.ones(5), 0.04) == (pytest.approx(1), pytest.approx(1), False)


@pytest.mark.parametrize(
    ("correlations", "floor", "passed"),
    [
        pytest.param([0.3, 0.31, 0.29, 0.3, 0.3], 0.0, False, id="significant"),
        pytest.param([0.9, -0.4, 0.8, -0.3, 0.5], 0.0, True, id="not_significant"),
        pytest.param([0.55, 0.54, 0.56, 0.55, 0.55], 0.5, True, id="below_a_tenth"),
    ],
)
def test_method_fails_only_above_a_tenth(correlations, floor, passed):
    assert check_sanity(np.array(correlations), floor).passed == passed


def test_low_end_equals_t_interval_of_scipy():
    correlations, floor = np.array([0.2, 0.35, 0.1, 0.28, 0.3, 0.22]), 0.05
    retained = (correlations - floor) / (1 - floor)
    result = stats.ttest_1samp(retained, 0, alternative="greater")
    low = result.confidence_interval(0.95).low
    assert check_sanity(correlations, floor).retained_low == pytest.approx(low)


def test_method_with_equal_maps_of_all_images_fails():
    result = check_sanity(np.ones(5), 1.0)
    assert np.isnan(result.retained)
    assert not result.passed
