"""One look for all figures: colour-blind-safe, legible from the last row, the title a sentence of what is seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from resomap.system.files import replacing

INK, MUTED, GRID, PAPER = "#1c2733", "#5d6b78", "#dfe4e9", "#fefefe"
MODEL_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
GROUP_COLOURS = ("#7b8794", "#0072b2", "#d98200", "#b0257f", "#009e73", "#56b4e9")
CHOSEN = "#c1121f"
BLUE, ORANGE = "#0072b2", "#d98200"
HALO = [withStroke(linewidth=3, foreground=PAPER)]
ON_LINES: dict[str, Any] = {"color": INK, "fontsize": 11.5, "path_effects": HALO}
"""Text that stays legible where lines run under it."""
PIXELS_PER_INCH = 100
BESIDE = 1.018
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 12.5,
    "axes.labelsize": 12.5,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.9,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 2.2,
    "legend.frameon": False,
    "figure.facecolor": PAPER,
    "svg.fonttype": "path",
    "svg.hashsalt": "resomap",
    "text.parse_math": False,
}


@dataclass(frozen=True)
class Drawing:
    """A figure, the sentence that heads it, and the numbers it shows."""

    figure: Figure
    title: str
    data: pd.DataFrame


def new_figure(title: str, note: str, size: tuple[float, float]) -> Figure:
    """An empty figure of `size` inches under a bold title and a muted note on what is drawn."""
    width, height = size
    figure = Figure(figsize=size, layout="constrained")
    top = 0.14
    for text, weight, colour, points, letters_per_inch in (
        (title, "bold", INK, 15, 7.8),
        (note, "normal", MUTED, 11.5, 12),
    ):
        for row in wrap(text, int((width - 0.2) * letters_per_inch)):
            figure.text(
                0.13 / width,
                1 - top / height,
                row,
                weight=weight,
                color=colour,
                fontsize=points,
                va="top",
            )
            top += 0.02 * points
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(rect=(0, 0, 1, 1 - (top + 0.1) / height), w_pad=0.1, h_pad=0.06)
    return figure


def save_drawing(drawing: Drawing, folder: Path, name: str) -> None:
    """Write `name`.svg, .png (two pixels a point of the screen) and .csv; the SVG carries the title."""
    with mpl.rc_context(STYLE):
        for kind, options in (
            ("svg", {"metadata": {"Title": drawing.title, "Date": None}}),
            ("png", {"metadata": {"Software": None}}),
        ):
            with replacing(folder / f"{name}.{kind}") as temporary:
                drawing.figure.savefig(temporary, dpi=2 * PIXELS_PER_INCH, **options)
    with replacing(folder / f"{name}.csv") as temporary:
        drawing.data.to_csv(temporary, index=False, lineterminator="\n")


def model_look(models: Sequence[str], model: str) -> dict[str, str]:
    """Colour and marker of a model, the same in every figure of a sweep."""
    index = list(models).index(model)
    return {
        "color": MODEL_COLOURS[index % len(MODEL_COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
    }


def group_colour(groups: Sequence[str], group: str) -> str:
    """Colour of a group, the same in every figure of a sweep."""
    return GROUP_COLOURS[list(groups).index(group) % len(GROUP_COLOURS)]


def resolution_axis(
    axes: Axes, resolutions: Sequence[int], label: str = "input resolution (px)"
) -> None:
    """A logarithmic axis whose ticks are the resolutions that were run."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(
        list(resolutions),
        [str(resolution) for resolution in resolutions],
        rotation=45 if len(resolutions) > 6 else 0,
    )
    axes.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    axes.set_xlim(min(resolutions) / 1.15, max(resolutions) * 1.15)
    axes.set_xlabel(label)


def mark_native(axes: Axes, native_resolution: int, words: str, va: str = "bottom") -> None:
    """A dotted line where pictures have no more information, with `words` along it, at the end where `va` says that nothing else is."""
    axes.axvline(native_resolution, color=MUTED, linestyle=":")
    place = {
        "transform": axes.get_xaxis_transform(),
        "ha": "right",
        "va": va,
        "path_effects": HALO,
    }
    axes.text(
        native_resolution,
        {"bottom": 0.03, "top": 0.98}[va],
        words,
        color=MUTED,
        fontsize=10.5,
        rotation=90,
        **place,
    )


def shorten_name(name: str, most: int = 22) -> str:
    """A name that fits beside a drawing, its middle left out where it is longer than `most` letters."""
    half = most // 2
    return (
        name
        if len(name) <= most
        else f"{name[: most - half - 1]}\N{HORIZONTAL ELLIPSIS}{name[-half:]}"
    )


def dodge(index: int, count: int) -> float:
    """Factor that keeps the points of several models at one resolution apart on a logarithmic axis."""
    return float(2 ** (0.12 * (index - (count - 1) / 2) / max(count, 3)))


def draw_interval(axes: Axes, x: Any, rows: pd.DataFrame, name: str, **look: Any) -> None:
    """Means of `name` with their intervals, joined by a line."""
    mean = rows[name].to_numpy(float)
    ends = np.abs(np.stack([rows[f"{name}_low"], rows[f"{name}_high"]]) - mean)
    axes.errorbar(
        x,
        mean,
        yerr=ends,
        markersize=7,
        elinewidth=2.6,
        markeredgecolor=PAPER,
        markeredgewidth=0.7,
        **look,
    )


def draw_runs(axes: Axes, x: Any, y: Any, colour: str) -> None:
    """Single runs as small hollow dots, a little to the right of their mean."""
    axes.scatter(
        x * BESIDE,
        y,
        s=20,
        facecolor="none",
        edgecolor=colour,
        linewidth=1.1,
        alpha=0.8,
        zorder=3,
    )


def draw_struck(axes: Axes, points: pd.Series) -> None:
    """Points (by their x) that do not count: hollow, grey, a line through each."""
    look = {"color": MUTED, "linestyle": "none", "markeredgecolor": MUTED, "zorder": 5}
    axes.plot(
        points.index,
        points,
        marker="o",
        markersize=8,
        markerfacecolor=PAPER,
        markeredgewidth=1.3,
        **look,
    )
    axes.plot(
        points.index, points, marker=(2, 2, -45), markersize=15, markeredgewidth=1.6, **look
    )


def grid_of(figure: Figure, count: int, columns: int, **options: Any) -> list[Axes]:
    """`count` axes in rows of `columns`; the rest of the last row stays empty."""
    columns = min(columns, count)
    rows = -(-count // columns)
    axes = figure.subplots(rows, columns, squeeze=False, **options).ravel()
    for spare in axes[count:]:
        spare.set_axis_off()
    return list(axes[:count])


def draw_nothing(title: str, reason: str, data: pd.DataFrame) -> Drawing:
    """A small figure that says why there is nothing to draw."""
    return Drawing(new_figure(title, reason, (9.5, 1.1)), title, data)
