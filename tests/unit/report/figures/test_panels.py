from pathlib import Path

import numpy as np

from resomap.report.figures.panels import (
    FULL_SCALE,
    StoredImages,
    draw_outline,
    full_scale,
    plot_images,
)
from resomap.report.figures.style import new_figure
from tests.drawings import stored_images
from tests.synthetic import CLASSES, Sweep, write_results


def test_native_images_follow_the_row_file(images: StoredImages) -> None:
    indices = np.array([3, 17])
    native = images.manifest["native_resolution"]
    assert np.array_equal(images.native(indices), images.at(native)[indices])


def test_class_without_test_images_has_no_column(tmp_path: Path) -> None:
    write_results(tmp_path, Sweep(models=(), resolutions=(24,), test=6, val=24, native=24))
    drawing = plot_images(stored_images(tmp_path), [24])
    assert drawing.data["class"].tolist() == CLASSES[:6]


def test_uniform_mask_has_no_outline() -> None:
    axes = new_figure("", "", (2, 2)).subplots()
    draw_outline(axes, np.zeros((8, 8), np.uint8))
    draw_outline(axes, np.full((8, 8), 255, np.uint8))
    draw_outline(axes, None)
    assert len(axes.collections) == 0


def test_scale_of_sparse_maps_is_positive() -> None:
    assert full_scale(np.zeros((2, 3, 3))) == 1.0
    spike = np.zeros((1, 30, 30))
    spike[0, 0, 0] = 5.0
    assert np.percentile(spike, FULL_SCALE) == 0
    assert full_scale(spike) == 5.0
