import numpy as np
import pytest

from resomap.explain.baselines import BASELINES, baseline_maps

INDEX = np.array([3, 4, 10, 11, 90])
EVERY_BASELINE = pytest.mark.parametrize("name", BASELINES)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(256, size=(5, 24, 24, 3), dtype=np.uint8)


@EVERY_BASELINE
def test_maps_are_non_negative_float32(images, name):
    maps = baseline_maps(name, images, INDEX)
    assert (maps.shape, maps.dtype) == ((5, 24, 24), np.float32)
    assert (maps >= 0).all()
    assert (maps.max(axis=(1, 2)) > 0).all()


@EVERY_BASELINE
def test_no_images_give_no_maps(images, name):
    assert baseline_maps(name, images[:0], INDEX[:0]).shape == (0, 24, 24)


def test_random_maps_depend_on_index_alone(images):
    maps = baseline_maps("random", images, INDEX)
    others = baseline_maps("random", images[::-1] // 2, INDEX[::-1])
    np.testing.assert_array_equal(others, maps[::-1])
    assert len({float(each.sum()) for each in maps}) == 5


def test_random_maps_are_uniform():
    maps = baseline_maps("random", np.zeros((400, 8, 8, 3), np.uint8), np.arange(400))
    np.testing.assert_allclose(maps.mean(axis=0), 0.5, atol=0.08)  # five standard errors


def test_edge_map_marks_a_step():
    images = np.full((2, 12, 12, 3), 100, np.uint8)
    images[1, :, 6:] = 200
    plain, step = baseline_maps("edge", images, np.arange(2))
    np.testing.assert_allclose(plain, 0, atol=1e-4)
    np.testing.assert_allclose(step[:, 5:7], 100, rtol=1e-6)
    np.testing.assert_allclose(np.delete(step, (5, 6), axis=1), 0, atol=1e-4)


def test_edge_map_weights_channels_by_luminance():
    images = np.zeros((3, 9, 9, 3), np.uint8)
    for channel in range(3):
        images[channel, 4, 4, channel] = 100
    maps = baseline_maps("edge", images, np.arange(3))
    np.testing.assert_allclose(maps[:, 4, 4], 4 * np.array([29.9, 58.7, 11.4]), rtol=1e-6)
    np.testing.assert_allclose(maps[:, 4, 5], [29.9, 58.7, 11.4], rtol=1e-6)


@pytest.mark.parametrize("side", [6, 24, 25, 512])
def test_centre_map_has_one_maximum(side):
    (hill,) = baseline_maps("centre", np.zeros((1, side, side, 3), np.uint8), np.arange(1))
    assert (hill == hill.max()).sum() == 1
    assert hill[side // 2, side // 2] == hill.max()
    np.testing.assert_allclose(hill, hill[::-1, ::-1], atol=0.01)
    np.testing.assert_allclose(hill, hill.T, rtol=1e-6)


def test_centre_map_is_gaussian():
    (hill,) = baseline_maps("centre", np.zeros((1, 501, 501, 3), np.uint8), np.arange(1))
    profile = hill[250]
    # One standard deviation of 0.2 widths is 100 cells.
    assert profile[350] / profile.max() == pytest.approx(np.exp(-1 / 2), rel=0.01)
