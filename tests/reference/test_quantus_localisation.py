"""Our localisation against Quantus (Hedström et al. 2023), where the two ask the same: no negative relevance, binary masks, no ties."""

import numpy as np
import pytest

from resomap.explain.localisation import localise

MEASURES = {
    "relevance_mass": "RelevanceMassAccuracy",
    "relevance_rank": "RelevanceRankAccuracy",
    "pointing_game": "PointingGame",
}


@pytest.mark.filterwarnings(
    "ignore:invalid escape sequence"
)  # in three docstrings of Quantus, the first time they are compiled
@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("seed", range(3))
def test_measures_equal_those_of_quantus(measure, seed):
    import quantus

    draw = np.random.default_rng(seed)
    maps = draw.gamma(0.5, size=(40, 12, 12)).astype(np.float32)
    masks = draw.random((40, 12, 12)) < draw.uniform(0.05, 0.7, (40, 1, 1))
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
