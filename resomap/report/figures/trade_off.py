"""The trade-off: test accuracy against latency, what is chosen, and what is excluded."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from resomap.analysis.profiles import single_image_rows
from resomap.analysis.tables import Tables
from resomap.report.figures.style import (
    CHOSEN,
    INK,
    MUTED,
    PAPER,
    Drawing,
    dot_handle,
    draw_interval,
    draw_nothing,
    latency_axis,
    mark_majority,
    model_style,
    new_figure,
    unique,
)
from resomap.report.text.choice_title import choice_title
from resomap.report.text.confounds import unaccepted
from resomap.workflow.predictions import RAW

Row = dict[Any, Any]
CELL_KEYS = ["family", "model", "resolution"]
CHOICE_MARK: dict[str, Any] = {
    "colour": CHOSEN,
    "linestyle": "none",
    "markersize": 14,
    "markerfacecolor": "none",
    "markeredgewidth": 2,
    "markeredgecolor": CHOSEN,
}

EXCLUDED_MARK: dict[str, Any] = {
    "marker": "x",
    "linestyle": "none",
    "markeredgewidth": 1.7,
    "colour": INK,
    "markersize": 9,
    "markeredgecolor": INK,
}
DISTURBED_MARK: dict[str, Any] = {
    "colour": MUTED,
    "linestyle": "none",
    "markerfacecolor": PAPER,
    "markeredgecolor": MUTED,
    "markeredgewidth": 1.6,
}
FRONT_MARK: dict[str, Any] = {
    "colour": MUTED,
    "marker": "",
    "linewidth": 1.4,
    "linestyle": "--",
}


def plot_accuracy_by_cost(tables: Tables, confidence: float) -> Drawing:
    """Plot test accuracy against the median latency of every measured cell, with intervals.

    The Pareto front is dashed, the chosen cell is ringed, and excluded cells are crossed out.
    """
    title, data = choice_title(tables.choice), trade_off_points(tables)
    if data.empty:
        return draw_nothing(title, "No finished cell has a measured latency.", data)
    note = (
        f"Test accuracy with {100 * confidence:g} % intervals against the median latency of one "
        "image with its 95 % interval between rounds. Numbers: resolution in px."
    )
    figure = new_figure(title, note, (9.5, 5.6))
    axes = figure.subplots()
    front = data[data["on_front"]].sort_values("latency_ms_p50")
    dashes = {"color": MUTED, "linewidth": 1.4, "linestyle": "--", "zorder": 1}
    axes.step(front["latency_ms_p50"], front["accuracy"], where="post", **dashes)
    models = unique(tables.cells["model"])
    for model in unique(data["model"]):
        _draw_model(axes, data[data["model"] == model], model_style(models, model))
    excluded, disturbed = data[data["excluded"]], data[data["latency_valid"].eq(False)]
    _cross_out(axes, excluded)
    decided = tables.choice["status"] != "undecided"
    _mark_choice(axes, data[data["chosen"]], decided=decided)
    latency_axis(axes, "median latency of one image (ms)")
    axes.set_ylabel("test accuracy")
    mark_majority(axes, tables.cells)
    marks = {choice_label(tables.choice): CHOICE_MARK}
    marks |= {"excluded by a limit": EXCLUDED_MARK} if len(excluded) else {}
    marks |= {"latency marked invalid": DISTURBED_MARK} if len(disturbed) else {}
    marks |= {"best trade-offs (Pareto front)": FRONT_MARK} if len(front) > 1 else {}
    _draw_legend(axes, marks)
    return Drawing(figure, title, data)


def trade_off_points(tables: Tables) -> pd.DataFrame:
    """Return the finished cells with a latency, and the choice where it is none of them.

    `on_front` says which no other dominates, `chosen` which is the choice, and `excluded` which
    a limit excludes.
    """
    cells, choice = tables.cells, tables.choice["choice"]
    measured = cells[(cells["n_seeds"] > 0) & cells["latency_ms_p50"].notna()].copy()
    measured["label"] = measured["resolution"].astype(str)
    # The interval of the median, as of the main variant by which cells are ranked.
    ends = [*CELL_KEYS, "latency_ms_low", "latency_ms_high"]
    measured = measured.merge(single_image_rows(tables.profiles)[ends], "left", on=CELL_KEYS)
    rows, excluded = measured.to_dict("records"), tables.choice["excluded"]
    measured["chosen"] = [_is_cell(choice, row) for row in rows]
    measured["excluded"] = [any(_is_cell(one, row) for one in excluded) for row in rows]
    if choice and choice["latency_ms_p50"] is not None and not measured["chosen"].any():
        added = pd.DataFrame([_choice_row(choice)])
        measured = pd.concat([measured, added], ignore_index=True)
    latency, accuracy = (measured[name].to_numpy() for name in ("latency_ms_p50", "accuracy"))
    measured["on_front"] = pareto_front(latency, accuracy)
    return measured


def _choice_row(choice: Row) -> Row:
    """Return the row of a choice that is no cell as trained: at another size, or adapted."""
    interval = choice["test_accuracy"]
    ends = {f"accuracy_{end}": interval[end] for end in ("low", "high")}
    columns = (
        "family",
        "model",
        "resolution",
        "latency_ms_p50",
        "latency_ms_p90",
        "latency_valid",
    )
    label = str(choice["resolution"])
    if choice["eval_resolution"] != choice["resolution"]:
        label += f" at {choice['eval_resolution']}"
    row = {name: choice[name] for name in columns}
    return row | {
        "accuracy": interval["mean"],
        **ends,
        "label": label,
        "chosen": True,
        "excluded": False,
    }


def pareto_front(cost: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """Return which points (n,) no other point dominates.

    A point dominates when it costs no more, is no less accurate, and is better in one of them.
    """
    # Row i, column j: point j against point i.
    no_dearer, no_worse = cost[:, None] >= cost, accuracy[:, None] <= accuracy
    better = (cost[:, None] > cost) | (accuracy[:, None] < accuracy)
    return np.logical_not((no_dearer & no_worse & better).any(axis=1))


def _is_cell(cell: Row | None, row: Row) -> bool:
    if cell is None or cell["mode"] != RAW or cell["variant"]:
        return False
    if cell["eval_resolution"] != cell["resolution"]:
        return False
    return all(cell[name] == row[name] for name in ("family", "model", "resolution"))


def _draw_model(axes: Axes, rows: pd.DataFrame, style: dict[str, str]) -> None:
    label = rows["model"].iloc[0]
    draw_interval(
        axes, rows["latency_ms_p50"], rows, "accuracy", label=label, linewidth=1.2, **style
    )
    ends = (rows[f"latency_ms_{end}"] for end in ("low", "high"))
    axes.hlines(rows["accuracy"], *ends, color=style["color"], linewidth=2.6)
    disturbed = rows[rows["latency_valid"].eq(False)]
    hollow = {"facecolor": PAPER, "edgecolor": style["color"], "linewidth": 1.6, "zorder": 4}
    look = {"s": 52, "marker": style["marker"]} | hollow
    axes.scatter(disturbed["latency_ms_p50"], disturbed["accuracy"], **look)
    for row in rows.to_dict("records"):
        point = (row["latency_ms_p50"], row["accuracy"])
        # Further away from the chosen cell, whose ring is wider than a dot.
        offset = (13, -15) if row["chosen"] else (7, -13)
        axes.annotate(
            row["label"],
            point,
            offset,
            textcoords="offset points",
            fontsize=10.5,
            color=INK,
        )


def _cross_out(axes: Axes, rows: pd.DataFrame) -> None:
    cross = {"s": 75, "marker": "x", "color": INK, "linewidth": 1.7, "zorder": 5}
    axes.scatter(rows["latency_ms_p50"], rows["accuracy"], **cross)


def _mark_choice(axes: Axes, chosen: pd.DataFrame, *, decided: bool) -> None:
    ring = {"s": 330, "facecolor": "none", "edgecolor": CHOSEN, "linewidth": 2.4}
    style = "-" if decided else ":"
    axes.scatter(
        chosen["latency_ms_p50"], chosen["accuracy"], linestyle=style, zorder=5, **ring
    )


def choice_label(choice: dict[str, Any]) -> str | None:
    """Return what the ring marks; None where no cell is chosen."""
    if choice["choice"] is None:
        return None
    label = "used until decided" if choice["status"] == "undecided" else "chosen"
    if unaccepted(choice):
        return f"{label} (confounded)"
    return f"{label} (provisional)" if choice["provisional"] else label


def _draw_legend(axes: Axes, marks: dict[str | None, dict[str, Any]]) -> None:
    handles, labels = axes.get_legend_handles_labels()
    for label, look in marks.items():
        if label is not None:
            handles.append(dot_handle(**look))
            labels.append(label)
    axes.legend(handles, labels, loc="best")
