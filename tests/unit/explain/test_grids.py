import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from resomap.errors import DataError
from resomap.explain.grids import blur_weights, crop_maps, reduce_maps


def test_reduce_maps_never_enlarges():
    with pytest.raises(DataError, match="6 x 6 cells cannot be brought to 7 x 7"):
        reduce_maps(np.zeros((1, 6, 6)), 7)


def test_reduce_maps_removes_rounding_differences():
    constant = reduce_maps(np.full((1, 7, 7), 0.1), 3)
    cancelled = reduce_maps(np.tile([[0.1, -0.1], [-0.1, 0.1]], (3, 3))[None], 3)
    np.testing.assert_array_equal(constant, constant[0, 0, 0])
    np.testing.assert_array_equal(cancelled, 0)


@pytest.mark.parametrize("side", [8, 24, 31])
def test_blur_equals_gaussian_of_scipy(side):
    image = np.random.default_rng(0).normal(size=(side, side))
    weights = blur_weights(side)
    expected = gaussian_filter(image, 0.1 * side, mode="reflect")
    np.testing.assert_allclose(weights @ image @ weights.T, expected, atol=1e-12)


def test_padded_part_of_a_map_is_cut_off():
    maps = np.arange(9.0).reshape(1, 3, 3)
    assert crop_maps(maps, 1.0).tolist() == maps.tolist()
    assert crop_maps(maps, 2 / 3).tolist() == [[[0, 1], [3, 4]]]
    # 2.5 cells become 3: the first holds 5/6 of a cell, the second the rest and 2/3 of the next.
    columns = crop_maps(np.tile([1.0, 0.0, 0.0], (1, 3, 1)), 2.5 / 3)
    np.testing.assert_allclose(columns[0, 0], [1, 0.2, 0], atol=1e-12)
