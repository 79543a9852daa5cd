"""Panels of pictures: the classes at every resolution."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resomap.report.figures.style import Drawing, new_figure, shorten_name

MOST_CLASSES = 8
GAP = 0.16


@dataclass(frozen=True)
class StoredImages:
    """The test split on disk: uint8 images a resolution (N, r, r, 3), labels (N,), masks (N, H, W) or None."""

    manifest: dict[str, Any]
    folder: Path

    @property
    def labels(self) -> np.ndarray:
        """Class of every test picture (N,)."""
        return np.asarray(np.load(self.folder / "labels_test.npy"))

    def stored(self, pictures: np.ndarray) -> np.ndarray:
        """Those test pictures, by their indices (n,), as stored: uint8 (n, native, native, 3)."""
        rows = np.load(self.folder / "rows_test.npy")[pictures]
        return np.asarray(np.load(self.folder / "native.npy", mmap_mode="r")[rows])

    def has(self, resolution: int) -> bool:
        """Whether the pictures are there at a resolution already: a sweep may be on its way."""
        return (self.folder / f"r{resolution}" / "test.npy").exists()

    def at(self, resolution: int) -> np.ndarray:
        """Test pictures at one resolution of the sweep."""
        return np.asarray(np.load(self.folder / f"r{resolution}" / "test.npy", mmap_mode="r"))

    def mask(self, picture: int) -> np.ndarray | None:
        """Area that the object covers, 0..255, where the data has masks."""
        return (
            np.asarray(np.load(self.folder / "masks_test.npy", mmap_mode="r")[picture])
            if self.manifest["mask"]
            else None
        )


def plot_pictures(pictures: StoredImages, resolutions: Sequence[int]) -> Drawing:
    """Two test pictures of each class as stored, and the second of them at every resolution."""
    native, classes, labels = (
        pictures.manifest["native_resolution"],
        pictures.manifest["classes"],
        pictures.labels,
    )
    by_class = {
        name: chosen
        for index, name in enumerate(classes)
        if len(chosen := np.flatnonzero(labels == index)[:2])
    }
    names = list(by_class)[:MOST_CLASSES]
    first, second = (np.array([by_class[name][number] for name in names]) for number in (0, -1))
    title = "What is left of a picture at each resolution"
    note = f"Two test pictures of each class as stored, at {native} px; below, the second of them at the resolutions of the sweep."
    rows = [("", pictures.stored(first)), (f"{native} px", pictures.stored(second))]
    ladder = [
        resolution
        for resolution in sorted(resolutions, reverse=True)
        if resolution != native and pictures.has(resolution)
    ]
    rows += [(f"{resolution} px", pictures.at(resolution)[second]) for resolution in ladder]
    figure = new_figure(
        title, note, (max(1.4 * len(names) + 0.8, 7.5), 1.42 * len(rows) + 1.25)
    )
    panels = blocks(figure, [1, len(rows) - 1], [len(names)])
    for axes_row, (name, images) in zip(panels, rows, strict=True):
        for axes, image in zip(axes_row, images, strict=True):
            show(axes, image)
        axes_row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for axes, name in zip(panels[0], names, strict=True):
        axes.set_title(shorten_name(name, 16), fontsize=11, loc="center")
    shown = [{"class": name, "index": int(index)} for name in names for index in by_class[name]]
    return Drawing(figure, title, pd.DataFrame(shown))


def blocks(figure: Figure, rows: Sequence[int], columns: Sequence[int]) -> np.ndarray:
    """Axes close together in blocks of so many rows and columns, a gap between the blocks."""
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    heights, widths = _with_gaps(rows), _with_gaps(columns)
    grid = figure.add_gridspec(
        len(heights), len(widths), height_ratios=heights, width_ratios=widths
    )
    return np.array(
        [
            [
                figure.add_subplot(grid[row, column])
                for column, width in enumerate(widths)
                if width == 1
            ]
            for row, height in enumerate(heights)
            if height == 1
        ]
    )


def _with_gaps(counts: Sequence[int]) -> list[float]:
    """Sizes of lines: 1 for each of a block, GAP between two blocks."""
    sizes: list[float] = []
    for count in counts:
        sizes += [GAP] * bool(sizes) + [1.0] * count
    return sizes


def show(axes: Axes, image: np.ndarray, **options: Any) -> Any:
    """Draw pixels as squares on the unit square, without an axis."""
    axes.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(1, 0))
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return axes.imshow(image, extent=(0, 1, 1, 0), interpolation="nearest", **options)
