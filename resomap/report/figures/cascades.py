"""The figure of cascades and ensembles beside the single cells."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from resomap.analysis.findings.cascades import best_cascade
from resomap.analysis.tables import Tables
from resomap.report.figures.style import (
    BLUE,
    GREEN,
    HALO,
    INK,
    MUTED,
    ORANGE,
    Drawing,
    draw_nothing,
    latency_axis,
    new_figure,
    unique,
)
from resomap.report.figures.trade_off import pareto_front
from resomap.report.text.cascades import cascade_title

LOOKS = {
    "cascade that saves": {"color": ORANGE, "marker": "D"},
    "other cascade": {"color": MUTED, "marker": "D", "markerfacecolor": "none"},
    "ensemble": {"color": GREEN, "marker": "s"},
}
NAME_PLACES: tuple[dict[str, Any], ...] = (
    {"xytext": (-6, 5), "textcoords": "offset points", "ha": "right"},
    {"xytext": (6, -13), "textcoords": "offset points", "ha": "left"},
)


def plot_cascades(tables: Tables) -> Drawing:
    """Plot the test accuracy of cells, cascades and ensembles against their latency."""
    cascades = tables.cascades
    title = cascade_title(best_cascade(cascades))
    if cascades.empty:
        return draw_nothing(title, "There are no cells to combine.", cascades)
    note = (
        "Test accuracy against the mean latency of one image. A cascade runs its next cell only "
        "where the one before is not confident. Validation images set the thresholds."
    )
    figure = new_figure(title, note, (9.5, 5.4))
    axes = figure.subplots()
    cells = tables.cells.dropna(subset=["accuracy", "latency_ms_p50"])
    _draw_points(axes, cells, "latency_ms_p50", "single cell", color=BLUE, marker="o")
    for label, rows in _kinds(cascades).items():
        if len(rows):
            _draw_points(axes, rows, "cost_ms", label, **LOOKS[label])
    _label_cells(axes, cells)
    latency_axis(axes, "mean latency of one image (ms)")
    # Room for the names at the left.
    axes.margins(x=0.2)
    axes.set_ylabel("test accuracy")
    axes.legend(loc="best")
    return Drawing(figure, title, cascades)


def _label_cells(axes: Axes, cells: pd.DataFrame) -> None:
    """Name the cells that no other beats in both: a cascade is compared with them."""
    if cells.empty:
        return
    costs, accuracies = (cells[name].to_numpy() for name in ("latency_ms_p50", "accuracy"))
    models = unique(cells["model"])
    for row in cells[pareto_front(costs, accuracies)].to_dict("records"):
        name = f"{row['model']}@{row['resolution']}"
        point = (row["latency_ms_p50"], row["accuracy"])
        # Two models of nearly equal cells would be named one over the other.
        place = NAME_PLACES[models.index(row["model"]) % len(NAME_PLACES)]
        axes.annotate(name, point, fontsize=9, color=INK, path_effects=HALO, **place)


def _kinds(cascades: pd.DataFrame) -> dict[str, pd.DataFrame]:
    is_cascade, saves = cascades["kind"] == "cascade", cascades["verdict"] == "saves"
    return {
        "other cascade": cascades[is_cascade & ~saves],
        "cascade that saves": cascades[is_cascade & saves],
        "ensemble": cascades[~is_cascade],
    }


def _draw_points(axes: Axes, rows: pd.DataFrame, cost: str, label: str, **look: str) -> None:
    ends = [rows["accuracy"] - rows["accuracy_low"], rows["accuracy_high"] - rows["accuracy"]]
    style = {"linestyle": "none", "markersize": 6, "elinewidth": 1.2}
    axes.errorbar(rows[cost], rows["accuracy"], yerr=ends, label=label, **style, **look)
