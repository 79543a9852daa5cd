"""Figures of cost: accuracy against latency, cost by resolution, stages of one image."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from resomap.analysis.findings.cost import (
    latency_of_models,
    stage_shares,
    steepest_latency,
    time_breakdown,
)
from resomap.analysis.profiles import best_throughput_rows, single_image_rows
from resomap.analysis.tables import Tables
from resomap.report.figures.style import (
    BLUE,
    CHOSEN,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    PINK,
    Drawing,
    dodge,
    dot_handle,
    draw_interval,
    draw_nothing,
    latency_axis,
    log_ticks,
    mark_majority,
    model_style,
    new_figure,
    percent_axis,
    resolution_axis,
    unique,
)
from resomap.report.text.choice_title import choice_title
from resomap.report.text.confounds import unaccepted
from resomap.report.text.cost import breakdown_title, latency_title
from resomap.text import format_milliseconds, format_percent
from resomap.workflow.predictions import RAW

STAGE_STYLES = {
    "decode": ("decode", ORANGE),
    "resize": ("resize", PINK),
    "copy": ("copy", GREEN),
    "forward": ("network", BLUE),
}
MAX_BREAKDOWN_MODELS = 6
CELL_KEYS = ["family", "model", "resolution"]
LATENCY_ENDS = ["latency_ms_low", "latency_ms_high"]
Row = dict[Any, Any]


def plot_accuracy_by_cost(tables: Tables, confidence: float) -> Drawing:
    """Plot test accuracy against the median latency of every measured cell.

    The Pareto front is dashed and the chosen cell is ringed.
    """
    title, data = choice_title(tables.choice), trade_off_points(tables)
    if data.empty:
        return draw_nothing(title, "No finished cell has a measured latency.", data)
    note = (
        f"Test accuracy with {100 * confidence:g} % intervals against the median latency of "
        "one image, with 95 % intervals. Numbers: resolution in px."
    )
    figure = new_figure(title, note, (9.5, 5.6))
    axes = figure.subplots()
    front = data[data["on_front"]].sort_values("latency_ms_p50")
    dashes = {"color": MUTED, "linewidth": 1.4, "linestyle": "--", "zorder": 1}
    axes.step(front["latency_ms_p50"], front["accuracy"], where="post", **dashes)
    models = unique(tables.cells["model"])
    for model in unique(data["model"]):
        _draw_model(axes, data[data["model"] == model], model_style(models, model))
    decided = tables.choice["status"] != "undecided"
    _mark_choice(axes, data[data["chosen"]], decided=decided)
    latency_axis(axes, "median latency of one image (ms)")
    axes.set_ylabel("test accuracy")
    mark_majority(axes, tables.cells)
    _cost_legend(axes, choice_label(tables.choice), has_front=len(front) > 1)
    return Drawing(figure, title, data)


def trade_off_points(tables: Tables) -> pd.DataFrame:
    """Return the finished cells with a latency, and the choice where it is none of them.

    `on_front` says which no other dominates, and `chosen` which is the choice.
    """
    cells, choice = tables.cells, tables.choice["choice"]
    measured = cells[(cells["n_seeds"] > 0) & cells["latency_ms_p50"].notna()].copy()
    singles = single_image_rows(tables.profiles)[[*CELL_KEYS, *LATENCY_ENDS]]
    measured = measured.merge(singles, on=CELL_KEYS, how="left")
    measured["label"] = measured["resolution"].astype(str)
    measured["chosen"] = [_is_cell(choice, row) for row in measured.to_dict("records")]
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
    return row | {"accuracy": interval["mean"], **ends, "label": label, "chosen": True}


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
    ends = (rows[name] for name in LATENCY_ENDS)
    axes.hlines(rows["accuracy"], *ends, color=style["color"], linewidth=2.6)
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


def _mark_choice(axes: Axes, chosen: pd.DataFrame, *, decided: bool) -> None:
    ring = {"s": 330, "facecolor": "none", "edgecolor": CHOSEN, "linewidth": 2.4}
    style = "-" if decided else ":"
    axes.scatter(
        chosen["latency_ms_p50"], chosen["accuracy"], linestyle=style, zorder=5, **ring
    )


def choice_label(choice: dict[str, Any]) -> str | None:
    """Return what the ring marks: `chosen`; None where no cell is chosen."""
    if choice["choice"] is None:
        return None
    label = "used until decided" if choice["status"] == "undecided" else "chosen"
    if unaccepted(choice):
        return f"{label} (confounded)"
    return f"{label} (provisional)" if choice["provisional"] else label


def _cost_legend(axes: Axes, chosen_label: str | None, *, has_front: bool) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if chosen_label is not None:
        ring = {"markersize": 14, "markerfacecolor": "none", "markeredgecolor": CHOSEN}
        handles.append(dot_handle(CHOSEN, linestyle="none", markeredgewidth=2, **ring))
        labels.append(chosen_label)
    if has_front:
        handles.append(dot_handle(MUTED, marker="", linewidth=1.4, linestyle="--"))
        labels.append("best trade-offs (Pareto front)")
    axes.legend(handles, labels, loc="best")


def plot_cost_by_resolution(tables: Tables) -> Drawing:
    """Plot latency at batch 1 and throughput at the fastest batch size against resolution."""
    profiles = tables.profiles
    singles, batches = single_image_rows(profiles), best_throughput_rows(profiles)
    steepest = steepest_latency(latency_of_models(profiles, tables.cost))
    title = latency_title(steepest, measured=len(singles) > 0)
    if singles.empty:
        return draw_nothing(title, "No latency was measured.", profiles)
    note = (
        "Left: latency of one image: median, 95 % interval between rounds of measuring (thick) "
        "and 90th percentile (bar above). Right: images per second at the fastest batch size. "
        "Hollow: the machine was disturbed."
    )
    figure = new_figure(title, note, (11, 5.4))
    latency, throughput = figure.subplots(1, 2)
    models, measured = unique(tables.cells["model"]), unique(singles["model"])
    for index, model in enumerate(measured):
        style, shift = (
            model_style(models, model) | {"label": model},
            dodge(index, len(measured)),
        )
        _draw_latency(latency, singles[singles["model"] == model], style, shift)
        _draw_throughput(throughput, batches[batches["model"] == model], style, shift)
    resolutions = sorted(set(singles["resolution"]))
    _finish_cost(latency, resolutions, "latency of one image (ms)")
    _finish_cost(throughput, resolutions, "images per second")
    latency.legend(loc="upper left")
    # Every variant: the chart of the page shows them all.
    return Drawing(figure, title, profiles)


def _draw_latency(axes: Axes, rows: pd.DataFrame, style: dict[str, str], shift: float) -> None:
    _draw_points(axes, rows, "latency_ms_p50", style, shift)
    x, colour = rows["resolution"] * shift, style["color"]
    axes.vlines(x, rows["latency_ms_p50"], rows["latency_ms_p90"], color=colour, linewidth=1.2)
    axes.scatter(x, rows["latency_ms_p90"], marker="_", s=90, color=colour, linewidth=1.6)
    axes.vlines(x, rows["latency_ms_low"], rows["latency_ms_high"], color=colour, linewidth=4)


def _draw_throughput(
    axes: Axes, rows: pd.DataFrame, style: dict[str, str], shift: float
) -> None:
    _draw_points(axes, rows, "inference_images_per_second", style, shift)
    # The interval of a latency in ms, turned into images per second.
    ends = (1e3 * rows["batch_size"] / rows[f"latency_ms_{end}"] for end in ("low", "high"))
    axes.vlines(rows["resolution"] * shift, *ends, color=style["color"], linewidth=4)


def _draw_points(
    axes: Axes, rows: pd.DataFrame, column: str, style: dict[str, str], shift: float
) -> None:
    x, y = rows["resolution"] * shift, rows[column]
    axes.plot(x, y, markersize=7.5, markeredgecolor=PAPER, **style)
    disturbed = ~rows["valid"].astype(bool)
    hollow = {"facecolor": PAPER, "edgecolor": style["color"], "linewidth": 1.6}
    axes.scatter(x[disturbed], y[disturbed], s=52, marker=style["marker"], zorder=4, **hollow)


def _finish_cost(axes: Axes, resolutions: list[int], label: str) -> None:
    resolution_axis(axes, resolutions)
    axes.set_yscale("log")
    log_ticks(axes.yaxis, ",g")
    axes.set_ylabel(label)


def plot_cost_breakdown(tables: Tables) -> Drawing:
    """Plot the share of each stage in the time of one image, a panel a model."""
    stages = tables.stages
    title = breakdown_title(time_breakdown(stages))
    if stages.empty:
        return draw_nothing(
            title, "Set system.profiling.end_to_end to time every stage of an image.", stages
        )
    models = unique(stages["model"])
    shown = [
        stages[stages["model"] == model].sort_values("resolution")
        for model in models[:MAX_BREAKDOWN_MODELS]
    ]
    # Panels in proportion to their bars, so that all bars have one height.
    bars = [len(rows) for rows in shown]
    size = (9.5, 0.31 * sum(bars) + 0.42 * len(shown) + 1.75)
    figure = new_figure(title, _breakdown_note(stages, len(models)), size)
    panels = figure.subplots(len(shown), 1, squeeze=False, sharex=True, height_ratios=bars)
    for axes, rows in zip(panels[:, 0], shown, strict=True):
        _draw_stages(axes, rows)
    panels[-1, 0].set_xlabel("share of the time")
    handles = panels[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(STAGE_STYLES))
    return Drawing(figure, title, stages)


def _breakdown_note(stages: pd.DataFrame, count: int) -> str:
    sources = " or a ".join(unique(stages["decoded_from"]))
    note = (
        f"Share of each stage in the median time of one image, decoded from a {sources}. "
        "Right: the sum; * the machine was disturbed."
    )
    if count > MAX_BREAKDOWN_MODELS:
        note += f" The first {MAX_BREAKDOWN_MODELS} of {count} models."
    return note


def _draw_stages(axes: Axes, rows: pd.DataFrame) -> None:
    positions, starts = np.arange(len(rows)), np.zeros(len(rows))
    shares = stage_shares(rows)
    bar = {"height": 0.72, "edgecolor": PAPER, "linewidth": 0.8}
    for stage, widths in shares.items():
        name, colour = STAGE_STYLES[str(stage)]
        axes.barh(positions, widths, left=starts, color=colour, label=name, **bar)
        starts += widths.to_numpy()
    totals = zip(rows.to_dict("records"), shares["forward"], strict=True)
    for y, (row, share) in enumerate(totals):
        _label_total(axes, y, row, share)
    axes.set_yticks(positions, [f"{px} px" for px in rows["resolution"]])
    # Inverted: the smallest resolution stands at the top.
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6))
    axes.set_title(rows["model"].iloc[0], fontsize=12.5)
    percent_axis(axes.xaxis)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines[:].set_visible(False)


def _label_total(axes: Axes, y: int, row: Row, share: float) -> None:
    mark = " *" if row["valid"] is False else ""
    label = f"{format_milliseconds(row['total_ms'])}{mark}  (network {format_percent(share)})"
    offset = {"xytext": (7, 0), "textcoords": "offset points", "va": "center"}
    axes.annotate(label, (1, y), fontsize=10.5, color=INK, **offset)
