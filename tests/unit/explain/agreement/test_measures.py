import numpy as np
import pytest

from resomap.explain.agreement.measures import emd, spearman, top_k

CONSTANT = np.full((1, 5, 5), 0.1)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("measure", [spearman, top_k])
def test_correlation_with_constant_map_is_nan(measure):
    varied = normal(1, 5, 5)
    for pair in ((CONSTANT, varied), (varied, CONSTANT), (CONSTANT, CONSTANT)):
        assert np.isnan(measure(*pair)).all()


def test_distance_without_positive_cell_is_nan():
    negative, varied = -np.ones((1, 5, 5)), normal(1, 5, 5)
    for pair in ((negative, varied), (varied, negative), (negative, negative)):
        assert np.isnan(emd(*pair)).all()


@pytest.mark.parametrize("measure", [spearman, top_k, emd])
def test_undefined_pair_does_not_affect_others(measure):
    a, b = normal(2, 3, 5, 5)
    a[1] = 0
    values = measure(a, b)
    assert np.isnan(values).tolist() == [False, True, False]
    np.testing.assert_array_equal(values[[0, 2]], measure(a[[0, 2]], b[[0, 2]]))


def test_map_of_one_cell_has_only_a_distance():
    one = np.ones((1, 1, 1))
    assert np.isnan([spearman(one, one), top_k(one, one)]).all()
    assert emd(one, one) == [0]


def test_distance_ignores_rounding_differences():
    a = np.abs(normal(1, 12, 12)).astype(np.float64)
    assert emd(a, a + 1e-16 * np.abs(normal(1, 12, 12, seed=1))) == [0]
