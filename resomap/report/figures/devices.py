"""The figure of latency on other devices, beside the machine that profiles the sweep."""

import pandas as pd
from matplotlib.axes import Axes

from resomap.analysis.device_tables import turned_orders
from resomap.report.figures.style import (
    MUTED,
    PAPER,
    Drawing,
    dot_handle,
    draw_nothing,
    legend_below,
    log_ticks,
    model_style,
    new_figure,
    panel_grid,
    resolution_axis,
    unique,
)
from resomap.report.text.devices import device_title

LINES = {"fp32": "-", "int8": "--"}
PANELS_PER_ROW = 3
COLUMNS = ("model", "resolution", "precision", "latency_ms_p50", "valid")


def plot_latency_by_device(costs: pd.DataFrame) -> Drawing:
    """Plot the median latency of every cell against resolution, in a panel for each device.

    `costs` is device_costs.csv.
    """
    devices = unique(costs["device"])
    title = device_title(turned_orders(costs), devices)
    if costs["latency_ms_p50"].isna().all():
        return draw_nothing(title, "No network was measured on another device.", costs)
    note = (
        "Median latency of one image against its resolution: fp32 solid, int8 dashed. Hollow: "
        "the device was disturbed."
    )
    panels = _profiled_panel(costs)
    for name in devices:
        measured = costs[costs["device"] == name]
        panels[f"{name} ({_ways(measured)})"] = measured
    rows = -(-len(panels) // PANELS_PER_ROW)
    columns = min(len(panels), PANELS_PER_ROW)
    figure = new_figure(title, note, (1.5 + 3.6 * columns, 1.9 + 3.3 * rows))
    grid = panel_grid(figure, len(panels), PANELS_PER_ROW, sharey=True)
    resolutions, models = sorted(set(costs["resolution"])), unique(costs["model"])
    for axes, (name, measured) in zip(grid, panels.items(), strict=True):
        _draw_panel(axes, measured, models)
        resolution_axis(axes, resolutions)
        axes.set_title(name)
    for axes in grid[::PANELS_PER_ROW]:
        axes.set_ylabel("median latency (ms)")
    styles = [model_style(models, model) for model in models]
    handles = [dot_handle(style["color"], marker=style["marker"]) for style in styles]
    legend_below(figure, handles, models)
    return Drawing(figure, title, costs)


def _ways(rows: pd.DataFrame) -> str:
    threads = int(rows["threads"].iloc[0])
    return f"{rows['variant'].iloc[0]}, {threads} thread{'s' * (threads > 1)}"


def _profiled_panel(costs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the cells as the profile has them, under its title; nothing without a profile."""
    # A machine that profiles no runtime has one latency for both precisions.
    place = ["model", "resolution", "profiled_variant", "profiled_precision"]
    profiled = costs.dropna(subset="profiled_latency_ms_p50").drop_duplicates(place)
    if profiled.empty:
        return {}
    names = {
        "profiled_precision": "precision",
        "profiled_latency_ms_p50": "latency_ms_p50",
    }
    columns = ["model", "resolution", *names]
    rows = profiled[columns].rename(columns=names).assign(valid=True)
    variants = ", ".join(unique(profiled["profiled_variant"]))
    return {f"profiling machine ({variants})": rows}


def _draw_panel(axes: Axes, measured: pd.DataFrame, models: list[str]) -> None:
    axes.set_yscale("log")
    log_ticks(axes.yaxis, "g")
    for (model, precision), rows in measured.groupby(["model", "precision"], sort=False):
        style = model_style(models, model)
        points = rows.dropna(subset="latency_ms_p50").sort_values("resolution")
        line = {"linestyle": LINES.get(precision, ":"), "linewidth": 1.4}
        place = points["resolution"], points["latency_ms_p50"]
        axes.plot(*place, markersize=7, markeredgecolor=PAPER, **line, **style)
        disturbed = points[points["valid"] != True]  # noqa: E712
        hollow = {"linestyle": "none", "markersize": 7, "markerfacecolor": PAPER}
        axes.plot(disturbed["resolution"], disturbed["latency_ms_p50"], **hollow, **style)
    if measured["latency_ms_p50"].isna().all():
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=MUTED)
