"""The parts of agreement against the libraries that define them."""

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

MAPS = np.random.default_rng(0).normal(size=(4, 24, 24)).astype(np.float32)


def whole_numbers(low: int, high: int) -> st.SearchStrategy[float]:
    return st.integers(low, high).map(float)


def resize_by_area(maps: np.ndarray, side: int) -> list[np.ndarray]:
    return [cv2.resize(each, (side, side), interpolation=cv2.INTER_AREA) for each in maps]


@pytest.mark.parametrize("side", [1, 2, 3, 4, 6, 8, 12, 24])
def test_reducing_equals_adaptive_pooling_and_opencv(side):
    reduced = reduce_maps(MAPS, side)
    pooled = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(MAPS), side).numpy()
    np.testing.assert_allclose(reduced, pooled, atol=1e-6)
    np.testing.assert_allclose(reduced, resize_by_area(MAPS, side), atol=1e-6)


@pytest.mark.parametrize("side", [5, 7, 9, 17, 23])
def test_reducing_on_other_grids_equals_opencv(side):
    expected = resize_by_area(MAPS.astype(np.float64), side)
    np.testing.assert_allclose(reduce_maps(MAPS, side), expected, atol=1e-5)


@settings(deadline=None)
@given(
    arrays(np.float32, (2, 1, 5, 5), elements=whole_numbers(-3, 3)).filter(
        lambda maps: np.ptp(maps, axis=(2, 3)).all()
    )
)
def test_rank_correlation_with_ties_equals_scipy(maps):
    expected = spearmanr(*maps.reshape(2, -1)).statistic
    np.testing.assert_allclose(spearman(*maps), expected, rtol=1e-6, atol=1e-12)  # float32


def test_top_k_equals_counted_overlap():
    a, b = MAPS[:2, None]
    # An eighth of 576 cells.
    top = [set(np.argsort(each, axis=None)[-72:]) for each in (a, b)]
    overlap = len(top[0] & top[1]) / 72
    np.testing.assert_allclose(top_k(a, b), (overlap - 1 / 8) / (1 - 1 / 8))


@settings(deadline=None)
@given(
    arrays(np.float64, (2, 12), elements=whole_numbers(0, 5)).filter(
        lambda rows: rows.any(axis=1).all()
    )
)
def test_distance_on_single_row_equals_scipy(rows):
    centres = (np.arange(12) + 0.5) / 12
    expected = wasserstein_distance(centres, centres, *rows)
    np.testing.assert_allclose(emd(*rows.reshape(2, 1, 1, 12)), expected, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    arrays(np.float64, (2, 4, 4), elements=whole_numbers(-2, 5)).filter(
        lambda maps: (maps > 0).any(axis=(1, 2)).all()
    )
)
def test_distance_equals_linear_programming(maps):
    first, second = (
        positive / positive.sum() for positive in np.maximum(maps, 0).reshape(2, 16)
    )
    centres = (np.indices((4, 4)).reshape(2, 16).T + 0.5) / 4
    costs = np.linalg.norm(centres[:, None] - centres, axis=-1)
    # Row sums of the transport plan are the first map, column sums the second.
    each, ones = sparse.coo_array(np.eye(16)), sparse.coo_array(np.ones((1, 16)))
    outgoing, incoming = sparse.kron(each, ones), sparse.kron(ones, each)
    constraints = sparse.vstack([outgoing, incoming])
    result = linprog(costs.ravel(), A_eq=constraints, b_eq=np.concatenate([first, second]))
    np.testing.assert_allclose(emd(*maps[:, None]), result.fun, atol=1e-7)
