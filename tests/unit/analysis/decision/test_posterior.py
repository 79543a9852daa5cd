"""What a sweep says about its unknown accuracies and variances."""

import numpy as np
import pytest

from resomap.analysis.decision.posterior import (
    DRAWS,
    cell_variances,
    draw_excess,
    draw_seed_variances,
    draw_sweeps,
)
from tests.unit.analysis.decision.test_advice import ranking


def test_draws_agree_with_means_at_hand() -> None:
    known = ranking(images=2000)
    draws = draw_sweeps(known, cell_variances(known), np.random.default_rng(0))
    # What is drawn adds up to the means that were measured, whatever the accuracies are.
    total = draws.accuracy + draws.seed_luck + draws.test_luck
    assert total.mean(axis=0) == pytest.approx(known.test.means, abs=1e-3)
    assert total.std(axis=0).max() < 1e-3


def test_many_degrees_of_freedom_leave_little_open() -> None:
    rng = np.random.default_rng(0)
    drawn = np.sqrt(draw_excess(5.0, 5000, 1.0, 1.0, rng))
    assert drawn.shape == (DRAWS, 1)
    assert drawn.mean() == pytest.approx(2.0, rel=0.05)


def test_few_degrees_of_freedom_leave_an_excess_of_zero_open() -> None:
    rng = np.random.default_rng(0)
    few, many = (draw_excess(1.0, df, 1.0, 1.0, rng) for df in (1, 200))
    assert np.quantile(few, 0.8) > 5 * np.quantile(many, 0.8)


def test_seed_variance_estimated_as_zero_is_not_known_to_be_zero() -> None:
    contrasts = ranking(luck=0.0, images=2000).test
    drawn = draw_seed_variances(contrasts, np.zeros(4), 0.01, np.random.default_rng(0))
    assert drawn.shape == (DRAWS, 4)
    assert np.quantile(np.sqrt(drawn), 0.9) > 0.001
