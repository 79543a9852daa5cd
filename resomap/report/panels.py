"""Panels of pictures: the classes at every resolution, and the maps that explain a network's answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resomap import files
from resomap.analysis.answers import group_names, in_group
from resomap.report import titles
from resomap.report.evidence import METHOD_NAMES
from resomap.report.inputs import Tables
from resomap.report.style import INK, MUTED, Drawing, draw_nothing, new_figure, short

MOST_CLASSES = 8
MOST_PICTURES = 6
OUTLINE = "#4be3d0"
FULL_SCALE = 99
"""Percentile of a map's absolute values at which its colours saturate."""
GAP = 0.16
HALF_COVERED = 127.5


@dataclass(frozen=True)
class Pictures:
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
        return np.asarray(np.load(self.folder / "masks_test.npy", mmap_mode="r")[picture]) if self.manifest["mask"] else None


def plot_pictures(pictures: Pictures, resolutions: Sequence[int]) -> Drawing:
    """Two test pictures of each class as stored, and the second of them at every resolution."""
    native, classes, labels = pictures.manifest["native_resolution"], pictures.manifest["classes"], pictures.labels
    by_class = {name: chosen for index, name in enumerate(classes) if len(chosen := np.flatnonzero(labels == index)[:2])}
    names = list(by_class)[:MOST_CLASSES]
    first, second = (np.array([by_class[name][number] for name in names]) for number in (0, -1))
    title = "What is left of a picture at each resolution"
    note = f"Two test pictures of each class as stored, at {native} px; below, the second of them at the resolutions of the sweep."
    rows = [("", pictures.stored(first)), (f"{native} px", pictures.stored(second))]
    ladder = [resolution for resolution in sorted(resolutions, reverse=True) if resolution != native and pictures.has(resolution)]
    rows += [(f"{resolution} px", pictures.at(resolution)[second]) for resolution in ladder]
    figure = new_figure(title, note, (max(1.4 * len(names) + 0.8, 7.5), 1.42 * len(rows) + 1.25))
    panels = _blocks(figure, [1, len(rows) - 1], [len(names)])
    for axes_row, (name, images) in zip(panels, rows, strict=True):
        for axes, image in zip(axes_row, images, strict=True):
            _show(axes, image)
        axes_row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for axes, name in zip(panels[0], names, strict=True):
        axes.set_title(short(name, 16), fontsize=11, loc="center")
    shown = [{"class": name, "index": int(index)} for name in names for index in by_class[name]]
    return Drawing(figure, title, pd.DataFrame(shown))


def _blocks(figure: Figure, rows: Sequence[int], columns: Sequence[int]) -> np.ndarray:
    """Axes close together in blocks of so many rows and columns, a gap between the blocks."""
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    heights, widths = _with_gaps(rows), _with_gaps(columns)
    grid = figure.add_gridspec(len(heights), len(widths), height_ratios=heights, width_ratios=widths)
    return np.array(
        [
            [figure.add_subplot(grid[row, column]) for column, width in enumerate(widths) if width == 1]
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


def _show(axes: Axes, image: np.ndarray, **options: Any) -> Any:
    """Draw pixels as squares on the unit square, without an axis."""
    axes.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(1, 0))
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return axes.imshow(image, extent=(0, 1, 1, 0), interpolation="nearest", **options)


def plot_explanations(tables: Tables, pictures: Pictures, runs: Path) -> Drawing:
    """Signed maps of one explained picture a group, at up to three resolutions, by every method."""
    cells = _explained_cells(tables)
    if not cells:
        return draw_nothing("No run was explained", "There are no maps to draw.", pd.DataFrame(columns=["index"]))
    methods = list(dict.fromkeys(tables.explanations["method"]))
    stored = [{method: files.read_arrays(_folder(runs, cell) / f"{method}.npz") for method in methods} for cell in cells]
    shown = _one_a_group(pictures, stored[0][methods[0]]["index"])
    title, columns = titles.explanations_title(cells[0]), len(cells) * (1 + len(methods))
    note = (
        f"The first explained test picture of each {'group' if pictures.manifest['groups'] else 'class'}. Warm speaks for the class, cold "
        f"against it; each map on its own scale, symmetric about zero, full at its {FULL_SCALE}th percentile."
        + (" The line is the object's outline." if pictures.manifest["mask"] else "")
    )
    figure = new_figure(title, note, (1.25 * columns + 0.9, 1.3 * len(shown) + 1.95))
    panels = _blocks(figure, [len(shown)], [1 + len(methods)] * len(cells))
    for number, (cell, maps) in enumerate(zip(cells, stored, strict=True)):
        block = panels[:, number * (1 + len(methods)) :][:, : 1 + len(methods)]
        _draw_block(block, pictures, shown, cell, maps)
    for axes, picture in zip(panels[:, 0], shown, strict=True):
        axes.set_ylabel(short(pictures.manifest["classes"][pictures.labels[picture]], 16), fontsize=11.5)
    _scale_bar(figure, panels)
    return Drawing(figure, title, _shown_rows(cells, stored, shown, pictures))


def _explained_cells(tables: Tables) -> list[dict[str, Any]]:
    """The chosen model (else the first), its first finished seed, its smallest, middle and largest explained resolution."""
    explained = tables.explanations.drop_duplicates(["model", "resolution", "seed"])
    if explained.empty:
        return []
    chosen = (tables.choice["choice"] or {}).get("model")
    model = chosen if chosen in set(explained["model"]) else explained["model"].iloc[0]
    of_model = explained[explained["model"] == model].sort_values(["resolution", "seed"]).drop_duplicates("resolution")
    middle = of_model.iloc[sorted({0, len(of_model) // 2, len(of_model) - 1})]
    return [{str(key): value for key, value in row.items()} for row in middle[["family", "model", "resolution", "seed"]].to_dict("records")]


def _folder(runs: Path, cell: dict[str, Any]) -> Path:
    return runs / cell["family"] / cell["model"] / f"r{cell['resolution']}" / f"seed{cell['seed']}" / "explanations"


def _one_a_group(pictures: Pictures, explained: np.ndarray) -> list[int]:
    """The first explained picture of each group, or of each class where there are no groups."""
    labels = pictures.labels[explained]
    kinds = [in_group(labels, pictures.manifest, group) for group in group_names(pictures.manifest)]
    kinds = kinds or [labels == index for index in range(len(pictures.manifest["classes"]))]
    return [int(explained[kind][0]) for kind in kinds if kind.any()][:MOST_PICTURES]


def _draw_block(
    block: np.ndarray, pictures: Pictures, shown: Sequence[int], cell: dict[str, Any], maps: dict[str, dict[str, np.ndarray]]
) -> None:
    """One resolution: the picture, then its map by every method."""
    images = pictures.at(cell["resolution"])
    for axes_row, picture in zip(block, shown, strict=True):
        _show(axes_row[0], images[picture])
        for axes, arrays in zip(axes_row[1:], maps.values(), strict=True):
            _draw_map(axes, arrays["attribution"][arrays["index"] == picture][0])
            _draw_outline(axes, pictures.mask(picture))
    block[0, 0].set_title(f"{cell['resolution']} px", fontsize=13)
    for axes, (method, arrays) in zip(block[0, 1:], maps.items(), strict=True):
        side = arrays["attribution"].shape[-1]
        axes.set_title(
            f"{METHOD_NAMES.get(method, method).replace('Integrated Gradients', 'Int. Gradients')}\n{side} \N{MULTIPLICATION SIGN} {side}",
            fontsize=9,
            weight="normal",
            loc="center",
        )


def _draw_map(axes: Axes, attribution: np.ndarray) -> None:
    scale = np.percentile(np.abs(attribution), FULL_SCALE) or 1.0
    _show(axes, attribution, cmap=sns.color_palette("icefire", as_cmap=True), vmin=-scale, vmax=scale)


def _draw_outline(axes: Axes, mask: np.ndarray | None) -> None:
    if mask is not None and mask.min() < HALF_COVERED < mask.max():
        y, x = ((np.arange(side) + 0.5) / side for side in mask.shape)
        axes.contour(x, y, mask, levels=[HALF_COVERED], colors=OUTLINE, linewidths=1.1)


def _scale_bar(figure: Figure, panels: np.ndarray) -> None:
    colours = mpl.cm.ScalarMappable(mpl.colors.Normalize(-1, 1), sns.color_palette("icefire", as_cmap=True))
    bar = figure.colorbar(colours, ax=panels, location="bottom", aspect=60, shrink=0.5, pad=0.01)
    bar.set_ticks([-1, 0, 1], labels=["speaks against", "0", "speaks for"])
    bar.ax.tick_params(length=0, labelcolor=INK, color=MUTED)
    bar.outline.set_visible(False)


def _shown_rows(
    cells: Sequence[dict[str, Any]], stored: Sequence[dict[str, dict[str, np.ndarray]]], shown: Sequence[int], pictures: Pictures
) -> pd.DataFrame:
    """What each map of the panel was scaled by."""
    return pd.DataFrame(
        [
            {
                **cell,
                "method": method,
                "index": picture,
                "class": pictures.manifest["classes"][pictures.labels[picture]],
                "full_scale": scale,
            }
            for cell, maps in zip(cells, stored, strict=True)
            for method, arrays in maps.items()
            for picture in shown
            for scale in [float(np.percentile(np.abs(arrays["attribution"][arrays["index"] == picture]), FULL_SCALE))]
        ]
    )
