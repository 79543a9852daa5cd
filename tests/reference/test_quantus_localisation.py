"""Localisation against Quantus (Hedström et al. 2023) for non-negative maps and binary masks."""

import numpy as np
import pytest

from resomap.explain.localisation import localise

MEASURES = {
    "relevance_mass": "RelevanceMassAccuracy",
    "relevance_rank": "RelevanceRankAccuracy",
    "pointing_game": "PointingGame",
}


# Three docstrings of Quantus have invalid escapes, reported when they are first compiled.
@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("seed", range(3))
def test_measures_equal_quantus(measure, seed):
    import quantus

    rng = np.random.default_rng(seed)
    maps = rng.gamma(0.5, size=(40, 12, 12)).astype(np.float32)
    masks = rng.random((40, 12, 12)) < rng.uniform(0.05, 0.7, (40, 1, 1))
    masks[:, 5, 5] = True
    metric = getattr(quantus, MEASURES[measure])(normalise=False, disable_warnings=True)
    theirs = metric(
        model=None,
        x_batch=np.zeros((40, 3, 12, 12)),
        y_batch=np.zeros(40),
        a_batch=maps[:, None],
        s_batch=masks[:, None],
    )
    ours = localise(maps, masks * np.uint8(255), tolerance=0)[measure]
    assert 0.1 < ours.mean() < 0.9
    np.testing.assert_allclose(ours, np.array(theirs, np.float64), rtol=1e-5)
