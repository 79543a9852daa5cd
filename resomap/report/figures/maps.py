"""Maps of evidence as pictures: signed, zero in the middle of a perceptually uniform scale, on their own grid."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from resomap.report.figures.panels import show
from resomap.report.figures.style import INK, MUTED
from resomap.report.methods import method_name
from resomap.report.tables import Tables
from resomap.report.text.accuracy import focus_model
from resomap.system import files

OUTLINE = "#4be3d0"
OUTLINE_NOTE = " The line is the object's outline."
HALF_COVERED = 127.5
FULL_SCALE = 99
"""Percentile of the absolute values of maps at which their colours saturate."""
SHORT_NAMES = {"integrated_gradients": "Int. Gradients", "guided_backprop": "Guided BP"}
STRUCK_NOTE = (
    " A crossed-out method keeps its maps when the network's last weights are drawn anew."
)

Cell = dict[str, Any]
Maps = dict[str, dict[str, np.ndarray]]
"""What each method's file holds."""


def ends_and_middle(values: Sequence[int]) -> list[int]:
    """The first, the middle and the last of them."""
    return [values[place] for place in sorted({0, len(values) // 2, len(values) - 1})]


def explained_runs(tables: Tables) -> pd.DataFrame:
    """Family, model, resolution and seed of the explained runs of the model in focus, else of the first that was explained."""
    runs = tables.explanations.drop_duplicates(["model", "resolution", "seed"])[
        ["family", "model", "resolution", "seed"]
    ]
    model = focus_model(tables)
    if model not in set(runs["model"]) and len(runs):
        model = runs["model"].iloc[0]
    return runs[runs["model"] == model].sort_values(["resolution", "seed"])


def explanations_folder(runs: Path, cell: Cell) -> Path:
    """Where a run keeps what explains it."""
    return (
        runs
        / cell["family"]
        / cell["model"]
        / f"r{cell['resolution']}"
        / f"seed{cell['seed']}"
        / "explanations"
    )


def read_maps(runs: Path, cell: Cell, methods: Sequence[str]) -> Maps:
    """What the files of a run hold, a method each."""
    return {
        method: files.read_arrays(explanations_folder(runs, cell) / f"{method}.npz")
        for method in methods
    }


def maps_of(arrays: dict[str, np.ndarray], shown: Sequence[int]) -> np.ndarray:
    """The maps (k, h, w) of those test pictures, in their order."""
    place = {int(picture): number for number, picture in enumerate(arrays["index"])}
    return np.asarray(arrays["attribution"][[place[picture] for picture in shown]])


def full_scale(maps: np.ndarray) -> float:
    """The absolute value at which the colours of maps on one scale saturate."""
    return float(np.percentile(np.abs(maps), FULL_SCALE)) or float(np.abs(maps).max()) or 1.0


def head_column(axes: Axes, method: str, side: int, *, crossed: bool) -> None:
    """The name of a method and the grid of its maps over a column; the name crossed where it was struck out."""
    name = SHORT_NAMES.get(method, method_name(method))
    axes.set_title(
        f"{name}\n{side} \N{MULTIPLICATION SIGN} {side}",
        fontsize=9,
        weight="normal",
        loc="center",
    )
    if crossed:
        axes.plot(
            [0.1, 0.9],
            [1.26, 1.26],
            transform=axes.transAxes,
            clip_on=False,
            color=INK,
            linewidth=1.3,
        )


def row_name(method: str, side: int, *, crossed: bool) -> str:
    """The same beside a row."""
    return (
        f"{SHORT_NAMES.get(method, method_name(method))}\n{side} \N{MULTIPLICATION SIGN} {side}"
        + "\n(struck out)" * crossed
    )


def draw_map(axes: Axes, attribution: np.ndarray, scale: float) -> None:
    """A signed map, its colours full at `scale` either way."""
    show(
        axes,
        attribution,
        cmap=sns.color_palette("icefire", as_cmap=True),
        vmin=-scale,
        vmax=scale,
    )


def draw_outline(axes: Axes, mask: np.ndarray | None) -> None:
    """The line inside which the object covers half of a pixel or more."""
    if mask is not None and mask.min() < HALF_COVERED < mask.max():
        y, x = ((np.arange(side) + 0.5) / side for side in mask.shape)
        axes.contour(x, y, mask, levels=[HALF_COVERED], colors=OUTLINE, linewidths=1.1)


def scale_bar(figure: Figure, panels: np.ndarray) -> None:
    """What the colours of all maps mean."""
    colours = mpl.cm.ScalarMappable(
        mpl.colors.Normalize(-1, 1), sns.color_palette("icefire", as_cmap=True)
    )
    bar = figure.colorbar(
        colours, ax=panels, location="bottom", aspect=60, shrink=0.5, pad=0.01
    )
    bar.set_ticks([-1, 0, 1], labels=["speaks against", "0", "speaks for"])
    bar.ax.tick_params(length=0, labelcolor=INK, color=MUTED)
    bar.outline.set_visible(False)
