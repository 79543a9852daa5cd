"""Panels of images and maps: the stored test images, their layout, and how a map is drawn."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resomap.analysis.findings.accuracy import model_in_focus
from resomap.analysis.tables import Tables
from resomap.report.figures.style import INK, MUTED, Drawing, new_figure
from resomap.report.methods import method_name
from resomap.report.text.format import shorten_name
from resomap.workflow.artifacts import RUN_PATH
from resomap.workflow.checked_files import map_array, read_arrays

MAX_CLASSES = 8
GAP = 0.16
MARGIN_INCHES = 0.1
OUTLINE_COLOUR = "#4be3d0"
# Of a mask in 0..255: where the object covers half of the pixel.
HALF_COVERED = 127.5
# Percentile of the absolute values at which the colours of maps saturate.
FULL_SCALE = 99
SHORT_NAMES = {"integrated_gradients": "Int. Gradients", "guided_backprop": "Guided BP"}
# Perceptually uniform and diverging, with zero in the middle.
MAP_COLOURS = sns.color_palette("icefire", as_cmap=True)

RunKeys = dict[str, Any]
MapFiles = dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class StoredImages:
    """The test split on disk: images uint8 (N, r, r, 3) by resolution, labels (N,), masks."""

    manifest: dict[str, Any]
    folder: Path

    @property
    def labels(self) -> np.ndarray:
        """Class of every test image (N,)."""
        return np.asarray(map_array(self.folder / "labels_test.npy"))

    def class_name(self, index: int) -> str:
        """Return the class name of a test image, short enough for a panel."""
        return shorten_name(self.manifest["classes"][self.labels[index]], 16)

    def native(self, indices: np.ndarray) -> np.ndarray:
        """Return the test images at `indices` (n,) as stored: uint8 (n, native, native, 3)."""
        # All splits share native.npy, in the order of the files; it may exceed the memory.
        rows = map_array(self.folder / "rows_test.npy")[indices]
        return np.asarray(map_array(self.folder / "native.npy")[rows])

    def has_resolution(self, resolution: int) -> bool:
        """Return whether the resized images exist; a partial report may come before them."""
        return (self.folder / f"r{resolution}" / "test.npy").exists()

    def at(self, resolution: int) -> np.ndarray:
        """Return all test images at one resolution of the sweep: uint8 (N, r, r, 3)."""
        return np.asarray(map_array(self.folder / f"r{resolution}" / "test.npy"))

    def mask(self, index: int) -> np.ndarray | None:
        """Return the area that the object covers, uint8 (H, W), if the dataset has masks."""
        if not self.manifest["mask"]:
            return None
        return np.asarray(map_array(self.folder / "masks_test.npy")[index])


def plot_images(images: StoredImages, resolutions: Sequence[int]) -> Drawing:
    """Plot two test images of each class as stored, and the second at every resolution."""
    native = images.manifest["native_resolution"]
    indices_of = _first_two_of_each_class(images)
    names = list(indices_of)[:MAX_CLASSES]
    first, second = (
        np.array([indices_of[name][position] for name in names]) for position in (0, -1)
    )
    rows = [("", images.native(first)), (f"{native} px", images.native(second))]
    for resolution in sorted(resolutions, reverse=True):
        if resolution != native and images.has_resolution(resolution):
            rows.append((f"{resolution} px", images.at(resolution)[second]))
    title = "What an image looks like at each resolution"
    note = (
        f"Two test images of each class as stored, at {native} px; below, the second one at "
        "the resolutions of the sweep."
    )
    size = (max(1.4 * len(names) + 0.8, 7.5), 1.42 * len(rows) + 1.25)
    figure = new_figure(title, note, size)
    panels = image_grid(figure, [1, len(rows) - 1], [len(names)])
    for axes_row, (label, row) in zip(panels, rows, strict=True):
        for axes, image in zip(axes_row, row, strict=True):
            show(axes, image)
        label_row(axes_row, label, fontsize=12.5)
    for axes, name in zip(panels[0], names, strict=True):
        axes.set_title(shorten_name(name, 16), fontsize=11, loc="center")
    shown = [
        {"class": name, "index": int(index)} for name in names for index in indices_of[name]
    ]
    return Drawing(figure, title, pd.DataFrame(shown))


def _first_two_of_each_class(images: StoredImages) -> dict[str, np.ndarray]:
    labels, indices_of = images.labels, {}
    for label, name in enumerate(images.manifest["classes"]):
        indices = np.flatnonzero(labels == label)[:2]
        if len(indices):
            indices_of[name] = indices
    return indices_of


def image_grid(figure: Figure, rows: Sequence[int], columns: Sequence[int]) -> np.ndarray:
    """Return axes close together in blocks of so many rows and columns, gaps between blocks."""
    engine = figure.get_layout_engine()
    assert engine is not None
    left, bottom, width, height = engine.get()["rect"]
    margin = MARGIN_INCHES / figure.get_figwidth()
    # Without a margin the labels of the rows touch the edge of the figure.
    engine.set(rect=(left + margin, bottom, width - margin, height))
    engine.set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    heights, widths = _with_gaps(rows), _with_gaps(columns)
    grid = figure.add_gridspec(
        len(heights), len(widths), height_ratios=heights, width_ratios=widths
    )
    lines, places = (np.flatnonzero(np.equal(sizes, 1)) for sizes in (heights, widths))
    panels = np.empty((len(lines), len(places)), object)
    for y, row in enumerate(lines):
        for x, column in enumerate(places):
            panels[y, x] = figure.add_subplot(grid[row, column])
    return panels


def _with_gaps(counts: Sequence[int]) -> list[float]:
    # Sizes of grid lines: 1 for each panel, GAP between two blocks.
    sizes: list[float] = []
    for count in counts:
        sizes += [GAP] * bool(sizes) + [1.0] * count
    return sizes


def show(axes: Axes, image: np.ndarray, **options: Any) -> None:
    """Draw pixels as squares on the unit square, without an axis."""
    axes.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(1, 0))
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    # One extent for all sizes, so that the outline of a mask fits maps of any grid.
    axes.imshow(image, extent=(0, 1, 1, 0), interpolation="nearest", **options)


def label_row(row: Sequence[Axes] | np.ndarray, label: str, fontsize: float = 10) -> None:
    """Write a horizontal label to the left of a row of panels."""
    row[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=fontsize)


def map_label(method: str, side: int) -> str:
    """Return the name of a method and the grid of its maps, in two lines."""
    name = SHORT_NAMES.get(method, method_name(method))
    return f"{name}\n{side} \N{MULTIPLICATION SIGN} {side}"


def ends_and_middle(values: Sequence[int]) -> list[int]:
    """Return the first, the middle and the last of the values."""
    return [values[index] for index in sorted({0, len(values) // 2, len(values) - 1})]


def explained_runs(tables: Tables) -> pd.DataFrame:
    """Return the keys of the explained runs of the model in focus, else of the first model."""
    keys = ["family", "model", "resolution", "seed"]
    runs = tables.explanations.drop_duplicates(keys[1:])[keys]
    model = model_in_focus(tables)
    if model not in set(runs["model"]) and len(runs):
        model = runs["model"].iloc[0]
    return runs[runs["model"] == model].sort_values(["resolution", "seed"])


def explanations_folder(runs: Path, run: RunKeys) -> Path:
    """Return the folder that holds the maps and tables of an explained run."""
    return runs / RUN_PATH.format(**run) / "explanations"


def read_maps(runs: Path, run: RunKeys, methods: Iterable[str]) -> MapFiles:
    """Return the arrays of the map file of each method: attribution (n, h, w), index (n,)."""
    folder = explanations_folder(runs, run)
    return {method: read_arrays(folder / f"{method}.npz") for method in methods}


def maps_of(arrays: dict[str, np.ndarray], indices: Sequence[int]) -> np.ndarray:
    """Return the maps (k, h, w) of test images in the order of `indices`."""
    # Files hold the maps of explained images only.
    row_of = {int(index): row for row, index in enumerate(arrays["index"])}
    return np.asarray(arrays["attribution"][[row_of[index] for index in indices]])


def full_scale(maps: np.ndarray) -> float:
    """Return the absolute value at which the colours of maps on one scale saturate."""
    percentile = float(np.percentile(np.abs(maps), FULL_SCALE))
    # A few cells may hold everything; a map of zeros has any scale.
    return percentile or float(np.abs(maps).max()) or 1.0


def draw_map(axes: Axes, attribution: np.ndarray, scale: float) -> None:
    """Draw a signed map, its colours saturated at `scale` either way."""
    show(axes, attribution, cmap=MAP_COLOURS, vmin=-scale, vmax=scale)


def draw_outline(axes: Axes, mask: np.ndarray | None) -> None:
    """Draw the line within which the object covers half of a pixel or more."""
    if mask is not None and mask.min() < HALF_COVERED < mask.max():
        y, x = ((np.arange(side) + 0.5) / side for side in mask.shape)
        levels = [HALF_COVERED]
        axes.contour(x, y, mask, levels=levels, colors=OUTLINE_COLOUR, linewidths=1.1)


def scale_bar(figure: Figure, panels: np.ndarray) -> None:
    """Draw the colour bar of all maps below the panels."""
    colours = mpl.cm.ScalarMappable(mpl.colors.Normalize(-1, 1), MAP_COLOURS)
    shape = {"location": "bottom", "aspect": 60, "shrink": 0.5, "pad": 0.01}
    bar = figure.colorbar(colours, ax=panels, **shape)
    bar.set_ticks([-1, 0, 1], labels=["against the class", "0", "for the class"])
    bar.ax.tick_params(length=0, labelcolor=INK, color=MUTED)
    bar.outline.set_visible(False)
