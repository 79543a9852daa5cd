"""What agreement is made of, against the libraries that define it."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse
from scipy.optimize import linprog
from scipy.stats import spearmanr, wasserstein_distance

from resomap.explain.agreement.measures import emd, spearman, top_k
from resomap.explain.grids import reduce_maps

maps = np.random.default_rng(0).normal(size=(4, 24, 24)).astype(np.float32)
tied = arrays(np.float32, (2, 1, 5, 5), elements=st.integers(-3, 3).map(float)).filter(
    lambda two: np.ptp(two, axis=(2, 3)).all()
)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 6, 8, 12, 24])
def test_reducing_is_adaptive_pooling_and_opencvs_area_where_the_grid_divides(side):
    reduced = reduce_maps(maps, side)
    pooled = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(maps), side).numpy()
    np.testing.assert_allclose(reduced, pooled, atol=1e-6)
    np.testing.assert_allclose(
        reduced,
        [cv2.resize(each, (side, side), interpolation=cv2.INTER_AREA) for each in maps],
        atol=1e-6,
    )


@pytest.mark.parametrize("side", [5, 7, 9, 17, 23])
def test_reducing_is_opencvs_area_also_where_the_grid_does_not_divide(side):
    area = [
        cv2.resize(each, (side, side), interpolation=cv2.INTER_AREA)
        for each in maps.astype(np.float64)
    ]
    np.testing.assert_allclose(reduce_maps(maps, side), area, atol=1e-5)


@settings(deadline=None)
@given(tied)
def test_the_rank_correlation_is_scipys(two):
    np.testing.assert_allclose(
        spearman(*two), spearmanr(*two.reshape(2, -1)).statistic, atol=1e-12
    )


def test_the_overlap_is_counted_and_corrected_for_chance():
    a, b = maps[:2, None]
    strongest = [set(np.argsort(each, axis=None)[-72:]) for each in (a, b)]  # an eighth of 576
    overlap = len(strongest[0] & strongest[1]) / 72
    np.testing.assert_allclose(top_k(a, b), (overlap - 1 / 8) / (1 - 1 / 8))


@settings(deadline=None)
@given(
    arrays(np.float64, (2, 12), elements=st.integers(0, 5).map(float)).filter(
        lambda rows: rows.any(axis=1).all()
    )
)
def test_on_a_single_row_the_distance_is_scipys(rows):
    places = (np.arange(12) + 0.5) / 12
    expected = wasserstein_distance(places, places, *rows)
    np.testing.assert_allclose(emd(*rows.reshape(2, 1, 1, 12)), expected, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    arrays(np.float64, (2, 4, 4), elements=st.integers(-2, 5).map(float)).filter(
        lambda two: (two > 0).any(axis=(1, 2)).all()
    )
)
def test_the_distance_is_the_least_that_linear_programming_finds(two):
    one, other = (positive / positive.sum() for positive in np.maximum(two, 0).reshape(2, 16))
    centres = (np.indices((4, 4)).reshape(2, 16).T + 0.5) / 4
    costs = np.linalg.norm(centres[:, None] - centres, axis=-1)
    leaves, arrives = sparse.kron(np.eye(16), np.ones(16)), sparse.kron(np.ones(16), np.eye(16))
    least = linprog(
        costs.ravel(), A_eq=sparse.vstack([leaves, arrives]), b_eq=np.concatenate([one, other])
    ).fun
    np.testing.assert_allclose(emd(*two[:, None]), least, atol=1e-7)
