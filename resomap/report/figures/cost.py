"""Figures of cost: cost by resolution, and stages of one image."""

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
    GREEN,
    INK,
    ORANGE,
    PAPER,
    PINK,
    Drawing,
    dodge,
    draw_nothing,
    log_ticks,
    model_style,
    new_figure,
    percent_axis,
    resolution_axis,
    unique,
)
from resomap.report.text.cost import breakdown_title, latency_title
from resomap.text import format_milliseconds, format_percent

STAGE_STYLES = {
    "decode": ("decode", ORANGE),
    "resize": ("resize", PINK),
    "copy": ("copy", GREEN),
    "forward": ("network", BLUE),
}
MAX_BREAKDOWN_MODELS = 6
Row = dict[Any, Any]


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
