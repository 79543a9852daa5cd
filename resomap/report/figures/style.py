"""The look of all figures: colours, text sizes, axes, and the marks that figures share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from resomap.analysis.findings.baseline import majority_baseline
from resomap.report.text.format import without_isolates
from resomap.system.files import replacing

# The page replaces these colours by CSS variables, so that figures follow light and dark.
INK, MUTED, GRID, PAPER = "#1c2733", "#5d6b78", "#dfe4e9", "#fefefe"
CHOSEN = "#c1121f"
BLUE, ORANGE, GREEN, PINK = "#0072b2", "#d98200", "#009e73", "#cc79a7"
# Both palettes follow Okabe and Ito (2008), which colour-blind readers can separate.
MODEL_COLOURS = (BLUE, "#d55e00", GREEN, PINK, "#e69f00", "#56b4e9")
GROUP_COLOURS = ("#7b8794", BLUE, ORANGE, "#b0257f", GREEN, "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
HALO = [withStroke(linewidth=3, foreground=PAPER)]
LABEL_ON_LINES: dict[str, Any] = {"color": INK, "fontsize": 11.5, "path_effects": HALO}
PIXELS_PER_INCH = 100
MIN_TICKS = 3
# Line heights in inches, of text with 50 points to an inch of line: 15 and 11.5 points.
TITLE_LINE, NOTE_LINE = 0.3, 0.23
TITLE_LETTERS_PER_INCH, NOTE_LETTERS_PER_INCH = 7.8, 12
# Factor on the x of single runs, so that they stand just right of their mean.
RUN_OFFSET = 1.018
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
    # Text as outlines, so that an SVG looks the same without our font.
    "svg.fonttype": "path",
    # A fixed salt makes the ids in an SVG, and so its bytes, the same in every run.
    "svg.hashsalt": "resomap",
    # A class may be called "$x$"; it must not be parsed as mathematics.
    "text.parse_math": False,
}


@dataclass(frozen=True)
class Drawing:
    """A figure, its title (a sentence that states the finding), and the numbers it shows."""

    figure: Figure
    title: str
    data: pd.DataFrame


def new_figure(
    title: str, note: str, size: tuple[float, float], *, compressed: bool = False
) -> Figure:
    """Return an empty figure with a bold title and a muted note above.

    `size` is in inches for a title of one line and a note of two; more lines make it higher.
    `compressed` moves panels of a fixed aspect together.
    """
    width, height = size
    headings = wrap(without_isolates(title), int((width - 0.2) * TITLE_LETTERS_PER_INCH))
    notes = wrap(without_isolates(note), int((width - 0.2) * NOTE_LETTERS_PER_INCH))
    height += TITLE_LINE * max(len(headings) - 1, 0) + NOTE_LINE * max(len(notes) - 2, 0)
    layout: Any = "compressed" if compressed else "constrained"
    figure = Figure(figsize=(width, height), layout=layout)
    left, top = 0.13 / width, 0.14
    for line in headings:
        style = {"weight": "bold", "color": INK, "fontsize": 50 * TITLE_LINE}
        figure.text(left, 1 - top / height, line, va="top", **style)
        top += TITLE_LINE
    for line in notes:
        style = {"weight": "normal", "color": MUTED, "fontsize": 50 * NOTE_LINE}
        figure.text(left, 1 - top / height, line, va="top", **style)
        top += NOTE_LINE
    engine = figure.get_layout_engine()
    assert engine is not None
    # The constrained layout ignores free text, so it gets only the space below the note.
    engine.set(rect=(0, 0, 1, 1 - (top + 0.1) / height), w_pad=0.1, h_pad=0.06)
    return figure


def draw_nothing(title: str, reason: str, data: pd.DataFrame) -> Drawing:
    """Return a small figure that gives the reason why there is nothing to draw."""
    return Drawing(new_figure(title, reason, (9.5, 1.1)), title, data)


def save_drawing(drawing: Drawing, folder: Path, name: str, png_above_bytes: int = 0) -> None:
    """Write `name`.svg with the title in its metadata, `name`.png at 200 dpi and `name`.csv.

    The PNG is written where the SVG is larger than `png_above_bytes`.
    """
    # Without a date and a version in the metadata, equal tables give equal bytes.
    metadata = {"svg": {"Title": drawing.title, "Date": None}, "png": {"Software": None}}
    with mpl.rc_context(STYLE):
        for kind, values in metadata.items():
            # The PNG comes second. Drawing it takes as long as drawing the SVG.
            if kind == "png" and (folder / f"{name}.svg").stat().st_size <= png_above_bytes:
                continue
            with replacing(folder / f"{name}.{kind}") as temporary:
                drawing.figure.savefig(temporary, dpi=2 * PIXELS_PER_INCH, metadata=values)
    with replacing(folder / f"{name}.csv") as temporary:
        drawing.data.to_csv(temporary, index=False, lineterminator="\n")


def unique(values: Iterable[Any]) -> list[Any]:
    """Return the distinct values in order of appearance."""
    return list(dict.fromkeys(values))


def model_style(models: Sequence[str], model: str) -> dict[str, str]:
    """Return colour and marker of a model, the same in every figure of a sweep."""
    index = list(models).index(model)
    return {
        "color": MODEL_COLOURS[index % len(MODEL_COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
    }


def group_colour(groups: Sequence[str], group: str) -> str:
    """Return the colour of a group, the same in every figure of a sweep."""
    return GROUP_COLOURS[list(groups).index(group) % len(GROUP_COLOURS)]


def dot_handle(colour: str, **style: Any) -> Line2D:
    """Return the legend entry of a line with dots."""
    look = {"marker": "o", "markersize": 8, "markeredgecolor": PAPER} | style
    return Line2D([], [], color=colour, **look)


def group_handles(groups: Sequence[str]) -> list[Line2D]:
    """Return a legend entry for each group."""
    return [dot_handle(group_colour(groups, group)) for group in groups]


def legend_below(figure: Any, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Draw a legend below all axes, in as many columns as fit into the width of the figure."""
    most = min(len(handles), int(figure.get_figwidth() / 1.5))
    for columns in range(most, 0, -1):
        legend = figure.legend(
            list(handles), list(labels), loc="outside lower center", ncols=columns
        )
        # Long names take more than their share of the width.
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            break
        legend.remove()


def resolution_axis(
    axes: Axes, resolutions: Sequence[int], label: str = "input resolution (px)"
) -> None:
    """Make x logarithmic with a tick at each resolution of the sweep."""
    axes.set_xscale("log", base=2)
    names = [str(resolution) for resolution in resolutions]
    axes.set_xticks(list(resolutions), names, rotation=45 if len(resolutions) > 6 else 0)
    axes.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    # One resolution alone would give an axis without extent.
    axes.set_xlim(min(resolutions) / 1.15, max(resolutions) * 1.15)
    axes.set_xlabel(label)


def resolution_rows(panels: np.ndarray, resolutions: Sequence[int], label: str) -> None:
    """Give every panel of a grid a resolution axis, and `label` to its lowest row only."""
    for axes in panels.ravel():
        resolution_axis(axes, resolutions, "")
    for axes in panels[-1]:
        axes.set_xlabel(label)


def mark_native(axes: Axes, native_resolution: int, label: str, va: str = "bottom") -> None:
    """Draw a dotted line at the native resolution, its label at the `va` end (bottom, top)."""
    axes.axvline(native_resolution, color=MUTED, linestyle=":")
    axes.text(
        native_resolution,
        {"bottom": 0.03, "top": 0.98}[va],
        label,
        color=MUTED,
        fontsize=10.5,
        rotation=90,
        transform=axes.get_xaxis_transform(),
        ha="right",
        va=va,
        path_effects=HALO,
    )


def mark_majority(axes: Axes, cells: pd.DataFrame) -> None:
    """Draw a dotted line at the accuracy of the majority class in the test images."""
    majority = majority_baseline(cells).numbers["majority"].value
    axes.axhline(majority, color=MUTED, linestyle=":", linewidth=1.3, zorder=1)
    look = {"color": MUTED, "fontsize": 10.5, "va": "bottom", "path_effects": HALO}
    label = f"majority class {majority:.3f}"
    axes.text(0.01, majority, label, transform=axes.get_yaxis_transform(), **look)


class DecadeLocator(mpl.ticker.LogLocator):  # type: ignore[misc]  # untyped library
    """Ticks at 1, 2 and 5 of every decade; at equal steps where fewer than three are seen."""

    def __init__(self) -> None:
        super().__init__(subs=(1, 2, 5))

    def tick_values(self, vmin: float, vmax: float) -> np.ndarray:
        """Return the ticks of an axis from `vmin` to `vmax`."""
        ticks: np.ndarray = super().tick_values(vmin, vmax)
        if np.count_nonzero((vmin <= ticks) & (ticks <= vmax)) >= MIN_TICKS:
            return ticks
        steps: np.ndarray = mpl.ticker.MaxNLocator(8, steps=[1, 2, 5, 10]).tick_values(
            vmin, vmax
        )
        return steps


def log_ticks(axis: Any, form: str) -> None:
    """Label the digits of a logarithmic axis that suit its range."""
    axis.set_major_locator(DecadeLocator())
    axis.set_major_formatter(lambda value, _: f"{value:{form}}")
    axis.set_minor_locator(mpl.ticker.NullLocator())


def latency_axis(axes: Axes, label: str) -> None:
    """Make the x axis one of latencies: their ratios matter, from microseconds to seconds."""
    axes.set_xscale("log")
    log_ticks(axes.xaxis, "g")
    axes.set_xlabel(label)


def percent_axis(axis: Any) -> None:
    """Label the ticks of an axis in percent."""
    axis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")


def dodge(index: int, count: int) -> float:
    """Return the factor on x that separates the points of `count` series at one resolution."""
    return float(2 ** (0.12 * (index - (count - 1) / 2) / max(count, 3)))


def draw_interval(axes: Axes, x: Any, rows: pd.DataFrame, name: str, **style: Any) -> None:
    """Draw the means in column `name` with their intervals, joined by a line."""
    # Matplotlib takes distances from the mean; tables hold the ends.
    mean = rows[name].to_numpy(float)
    ends = np.abs(np.stack([rows[f"{name}_low"], rows[f"{name}_high"]]) - mean)
    edge = {"markersize": 7, "markeredgecolor": PAPER, "markeredgewidth": 0.7}
    axes.errorbar(x, mean, yerr=ends, elinewidth=2.6, **edge, **style)


def draw_means(axes: Axes, x: Any, y: Any, colour: str, **style: Any) -> None:
    """Draw means as filled dots joined by a line."""
    look = {"marker": "o", "markersize": 7, "markeredgecolor": PAPER} | style
    axes.plot(x, y, color=colour, **look)


def draw_runs(axes: Axes, x: Any, y: Any, colour: str) -> None:
    """Draw single runs as small hollow dots, a little to the right of their mean."""
    look = {"facecolor": "none", "edgecolor": colour, "linewidth": 1.1, "alpha": 0.8}
    axes.scatter(x * RUN_OFFSET, y, s=20, zorder=3, **look)


def draw_failed(axes: Axes, points: pd.Series) -> None:
    """Grey out points (by their x) of methods that fail the sanity check."""
    look = {"color": MUTED, "linestyle": "none", "markeredgecolor": MUTED, "zorder": 5}
    hollow = {"markersize": 8, "markerfacecolor": PAPER, "markeredgewidth": 1.3}
    axes.plot(points.index, points, marker="o", **hollow, **look)
    # A two-armed star turned by 45 degrees is a stroke through the dot.
    stroke = {"marker": (2, 2, -45), "markersize": 15, "markeredgewidth": 1.6}
    axes.plot(points.index, points, **stroke, **look)


def panel_grid(figure: Figure, count: int, columns: int, **options: Any) -> list[Axes]:
    """Return `count` axes in rows of `columns`; what remains of the last row stays empty."""
    columns = min(columns, count)
    rows = -(-count // columns)
    axes = figure.subplots(rows, columns, squeeze=False, **options).ravel()
    for spare in axes[count:]:
        spare.set_axis_off()
    return list(axes[:count])
