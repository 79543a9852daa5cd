"""The figure of other preprocessings than that of the training."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from resomap.analysis.findings.preprocessing import faithful_preprocessing, measured_rows
from resomap.report.figures.style import (
    GRID,
    MUTED,
    Drawing,
    dot_handle,
    draw_nothing,
    legend_below,
    model_style,
    new_figure,
    percent_axis,
    unique,
)
from resomap.report.text.preprocessing import preprocessing_title

MAX_CELLS = 6
"""Cells that are drawn: those of which faithful preprocessings change most answers."""
SMALLEST_SHARE = 0.01
"""Shares below it are on a linear scale, which has a 0."""
GROUPS = {
    "means to do the same": ("same filter", "decoder"),
    "loses detail of the file": ("compression",),
    "another resize": ("another filter", "no antialias", "nearest pixel", "half-pixel shift"),
    "mistake": ("rows and columns swapped", "colour order", "normalisation"),
}
ROW_INCHES, GROUP_GAP = 0.29, 0.9


def plot_preprocessing(table: pd.DataFrame, confidence: float) -> Drawing:
    """Plot the answers that every preprocessing changes, and the accuracy that it loses."""
    title = preprocessing_title(faithful_preprocessing(table))
    rows = measured_rows(table)
    if rows.empty:
        return draw_nothing(title, "No exported network was compared.", table)
    rows = rows.assign(cell=_cell_names(rows))
    cells = unique(rows["cell"])
    shown = _most_changed(rows, cells)
    note = (
        "Left: share of the test answers that change when another preprocessing replaces that of "
        f"the training. Right: points of accuracy lost, with the paired {100 * confidence:g} % "
        "interval."
    )
    if len(shown) < len(cells):
        note += f" Drawn: the {len(shown)} of {len(cells)} cells whose answers change most."
    places, heads = _place_rows(rows)
    height = 1.4 + ROW_INCHES * (max(places.values()) + 1.5) + 0.4
    figure = new_figure(title, note, (9.5, height))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.15, 1))
    for index, cell in enumerate(shown):
        own = rows[rows["cell"] == cell]
        shift = 0.6 * ((index + 0.5) / len(shown) - 0.5)
        _draw_cell(left, right, own, own["preprocessing"].map(places) + shift, shown)
    _finish_axes(left, right, places, heads)
    handles = [dot_handle(**_look(shown, cell), linestyle="none") for cell in shown]
    legend_below(figure, handles, shown)
    return Drawing(figure, title, table)


def _cell_names(rows: pd.DataFrame) -> list[str]:
    names = []
    for row in rows.to_dict("records"):
        trained, given = row["train_resolution"], row["eval_resolution"]
        name = f"{row['model']} at {trained} px"
        names.append(name if trained == given else f"{name}, given {given} px")
    return names


def _most_changed(rows: pd.DataFrame, cells: list[str]) -> list[str]:
    """Return the cells to draw, in the order of the table."""
    faithful = rows[rows["judged"]].groupby("cell")["flipped"].max()
    largest = sorted(cells, key=lambda cell: -faithful.get(cell, 0.0))[:MAX_CELLS]
    return [cell for cell in cells if cell in largest]


def _place_rows(rows: pd.DataFrame) -> tuple[dict[str, float], dict[str, float]]:
    """Return the height of every preprocessing and of the head of every group, from the top."""
    kinds = dict(zip(rows["preprocessing"], rows["kind"], strict=True))
    places, heads, height = dict[str, float](), dict[str, float](), 0.0
    for group, members in GROUPS.items():
        names = [name for name, kind in kinds.items() if kind in members]
        if names:
            heads[group] = height
            places |= {name: height + GROUP_GAP + place for place, name in enumerate(names)}
            height += GROUP_GAP + len(names) + 0.2
    return places, heads


def _look(cells: list[str], cell: str) -> dict[str, str]:
    style = model_style(cells, cell)
    return {"colour": style["color"], "marker": style["marker"]}


def _draw_cell(
    left: Axes, right: Axes, rows: pd.DataFrame, heights: pd.Series, cells: list[str]
) -> None:
    style = model_style(cells, str(rows["cell"].iloc[0]))
    look = {"linestyle": "none", "markersize": 6, **style}
    left.plot(rows["flipped"], heights, **look)
    lost = 100 * rows[["accuracy_lost", "accuracy_lost_low", "accuracy_lost_high"]].to_numpy()
    ends = np.abs(lost[:, 1:] - lost[:, :1]).T
    right.errorbar(lost[:, 0], heights, xerr=ends, elinewidth=1.3, **look)


def _finish_axes(
    left: Axes, right: Axes, places: dict[str, float], heads: dict[str, float]
) -> None:
    left.set_xscale("symlog", linthresh=SMALLEST_SHARE)
    left.set_xlim(-0.1 * SMALLEST_SHARE, 1.15)
    left.set_xticks([0, 0.01, 0.1, 1.0])
    left.xaxis.set_minor_locator(NullLocator())
    percent_axis(left.xaxis)
    left.set_xlabel("answers that change")
    right.set_xlabel("accuracy lost (points)")
    right.axvline(0, color=MUTED, linewidth=1, zorder=1)
    left.set_yticks(list(places.values()), list(places), fontsize=10.5)
    left.set_ylim(max(places.values()) + 0.8, -0.4)
    for axes in (left, right):
        axes.grid(visible=True, axis="y", color=GRID, linewidth=0.5)
    for name, height in heads.items():
        # Beside the names of the rows, which it stands above.
        look = {"transform": left.get_yaxis_transform(), "ha": "right", "va": "center"}
        left.text(-0.03, height, name, color=MUTED, fontsize=10.5, weight="bold", **look)
