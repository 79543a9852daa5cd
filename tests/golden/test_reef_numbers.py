"""The first eight training images of seed 0; a change here changes every result on the reef."""

import numpy as np
import pytest

from resomap.config.data import Reef
from resomap.data.reef.render import render_split

SETTINGS = Reef(train=8, val=8, test=8, seed=0, frequencies=(10.0, 20.0, 40.0), shortcut=0.95)


@pytest.fixture(scope="module")
def images():
    return render_split(SETTINGS, "train", 8, 128)


def test_labels_and_positions_are_unchanged(images):
    assert images.labels.tolist() == [5, 2, 7, 4, 1, 3, 6, 0]
    np.testing.assert_allclose(
        images.x, [0.302, 0.651, 0.318, 0.351, 0.314, 0.373, 0.523, 0.443], atol=5e-4
    )
    np.testing.assert_allclose(
        images.y, [0.717, 0.616, 0.351, 0.687, 0.496, 0.245, 0.247, 0.210], atol=5e-4
    )


def test_stripes_are_unchanged(images):
    np.testing.assert_allclose(
        images.frequency,
        [20.787, 9.498, 39.931, 19.341, 19.896, 10.025, 41.277, 42.186],
        atol=5e-4,
    )
    np.testing.assert_allclose(
        images.orientation,
        [-4.979, 91.392, 3.585, 95.731, 82.835, -0.025, 96.603, -0.105],
        atol=5e-4,
    )


def test_mask_areas_are_unchanged(images):
    covered = images.masks.mean(axis=(1, 2)) / 255
    cue = images.cue_masks.mean(axis=(1, 2)) / 255
    np.testing.assert_allclose(
        covered, [0.1320, 0.1380, 0.1620, 0.1529, 0.0986, 0.1512, 0.1007, 0.1696], atol=5e-4
    )
    np.testing.assert_allclose(
        cue, [0.1104, 0.1199, 0.1401, 0.1295, 0.0782, 0.1322, 0.0841, 0.1476], atol=5e-4
    )


def test_colours_are_unchanged(images):
    red = [87.73, 64.12, 43.34, 77.70, 63.32, 58.46, 85.46, 66.48]
    green = [76.62, 107.16, 89.91, 103.24, 119.03, 147.68, 80.50, 61.57]
    blue = [117.95, 128.20, 116.17, 121.56, 91.96, 115.65, 139.50, 121.24]
    np.testing.assert_allclose(
        images.images.mean(axis=(1, 2)), np.stack([red, green, blue], axis=1), atol=0.05
    )
    np.testing.assert_allclose(
        images.images.std(axis=(1, 2, 3)),
        [34.54, 43.79, 40.20, 39.46, 40.56, 49.78, 42.89, 40.57],
        atol=0.05,
    )
