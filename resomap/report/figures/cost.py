"""Figures of cost: what accuracy costs, and what resolution costs."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from resomap.analysis.measurements import fastest, primary, single
from resomap.report.figures.style import (
    CHOSEN,
    INK,
    MUTED,
    PAPER,
    Drawing,
    draw_interval,
    draw_nothing,
    model_look,
    new_figure,
    resolution_axis,
)
from resomap.report.tables import Tables
from resomap.report.text import cost_titles, titles


def plot_accuracy_by_cost(tables: Tables, confidence: float) -> Drawing:
    """Test accuracy against median latency of every measured cell; the front of cells that no other beats on both, and the choice."""
    known = tables.cells[
        (tables.cells["n_seeds"] > 0) & tables.cells["latency_ms_p50"].notna()
    ].copy()
    known["on_front"] = pareto_front(
        known["latency_ms_p50"].to_numpy(), known["accuracy"].to_numpy()
    )
    known["chosen"] = [_is(tables.choice["choice"], row) for row in known.to_dict("records")]
    title = titles.choice_title(tables.choice)
    note = f"Test accuracy with {100 * confidence:g} % intervals against the median latency of one picture; numbers are resolutions in px."
    if known.empty:
        return draw_nothing(title, "No finished cell has a measured latency.", known)
    figure = new_figure(title, note, (9.5, 5.6))
    axes = figure.subplots()
    front = known[known["on_front"]].sort_values("latency_ms_p50")
    axes.step(
        front["latency_ms_p50"],
        front["accuracy"],
        where="post",
        color=MUTED,
        linewidth=1.4,
        linestyle="--",
        zorder=1,
    )
    for model in dict.fromkeys(known["model"]):
        _draw_model(
            axes,
            known[known["model"] == model],
            model_look(list(dict.fromkeys(tables.cells["model"])), model),
        )
    _mark_choice(axes, known[known["chosen"]], decided=tables.choice["status"] != "undecided")
    _latency_axis(axes)
    axes.set_ylabel("test accuracy")
    _legend(axes, decided=tables.choice["status"] != "undecided")
    return Drawing(figure, title, known)


def pareto_front(cost: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """Which points (n,) no other point beats: none is at least as cheap and as accurate, and better in one."""
    cheaper, better = cost[:, None] <= cost, accuracy[:, None] >= accuracy
    strictly = (cost[:, None] < cost) | (accuracy[:, None] > accuracy)
    return np.logical_not((cheaper & better & strictly).any(axis=0))


def _is(cell: dict | None, row: dict) -> bool:
    return cell is not None and all(
        cell[name] == row[name] for name in ("family", "model", "resolution")
    )


def _draw_model(axes: Axes, rows: pd.DataFrame, look: dict[str, str]) -> None:
    draw_interval(
        axes,
        rows["latency_ms_p50"],
        rows,
        "accuracy",
        label=rows["model"].iloc[0],
        linewidth=1.2,
        **look,
    )
    for row in rows.to_dict("records"):
        place = (row["latency_ms_p50"], row["accuracy"])
        axes.annotate(
            str(row["resolution"]),
            place,
            (7, -13),
            textcoords="offset points",
            fontsize=10.5,
            color=INK,
        )


def _mark_choice(axes: Axes, chosen: pd.DataFrame, *, decided: bool) -> None:
    style = "-" if decided else ":"
    axes.scatter(
        chosen["latency_ms_p50"],
        chosen["accuracy"],
        s=330,
        facecolor="none",
        edgecolor=CHOSEN,
        linewidth=2.4,
        linestyle=style,
        zorder=5,
    )


def _legend(axes: Axes, *, decided: bool) -> None:
    handles, labels = axes.get_legend_handles_labels()
    ring = Line2D(
        [],
        [],
        marker="o",
        markersize=14,
        markerfacecolor="none",
        markeredgecolor=CHOSEN,
        markeredgewidth=2,
        linestyle="none",
    )
    front = Line2D([], [], color=MUTED, linewidth=1.4, linestyle="--")
    extra = ["the choice" if decided else "taken until decided", "not beaten on both"]
    axes.legend([*handles, ring, front], [*labels, *extra], loc="lower right")


def _latency_axis(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    axes.set_xlabel("median latency of one picture (ms)")


def plot_cost_by_resolution(tables: Tables) -> Drawing:
    """Latency at batch 1 and throughput at the best batch against resolution."""
    profiles = tables.profiles
    singles, batches = single(profiles), fastest(profiles)
    title, data = cost_titles.cost_title(profiles), primary(profiles, profiles)
    note = (
        "Left: latency of one picture, median with its 95 % interval between rounds (thick) and 90th percentile (bar above). "
        "Right: pictures a second at the batch that gives most. Hollow: invalid."
    )
    if singles.empty:
        return draw_nothing(title, "There is no latency to draw.", data)
    figure = new_figure(title, note, (11, 5.4))
    latency, throughput = figure.subplots(1, 2)
    models = list(dict.fromkeys(tables.cells["model"]))
    for model in dict.fromkeys(singles["model"]):
        look = model_look(models, model)
        _draw_latency(latency, singles[singles["model"] == model], look, model)
        _draw_throughput(throughput, batches[batches["model"] == model], look, model)
    resolutions = sorted(set(singles["resolution"]))
    _finish_cost(latency, resolutions, "latency of one picture (ms)")
    _finish_cost(throughput, resolutions, "pictures a second")
    latency.legend(loc="upper left")
    return Drawing(figure, title, data)


def _draw_latency(axes: Axes, rows: pd.DataFrame, look: dict[str, str], model: str) -> None:
    _draw_points(axes, rows, "latency_ms_p50", look, model)
    axes.vlines(
        rows["resolution"],
        rows["latency_ms_p50"],
        rows["latency_ms_p90"],
        color=look["color"],
        linewidth=1.2,
    )
    axes.scatter(
        rows["resolution"],
        rows["latency_ms_p90"],
        marker="_",
        s=90,
        color=look["color"],
        linewidth=1.6,
    )
    axes.vlines(
        rows["resolution"],
        rows["latency_ms_low"],
        rows["latency_ms_high"],
        color=look["color"],
        linewidth=4,
    )


def _draw_throughput(axes: Axes, rows: pd.DataFrame, look: dict[str, str], model: str) -> None:
    _draw_points(axes, rows, "inference_images_per_second", look, model)
    ends = (1e3 * rows["batch_size"] / rows[f"latency_ms_{end}"] for end in ("low", "high"))
    axes.vlines(rows["resolution"], *ends, color=look["color"], linewidth=4)


def _draw_points(
    axes: Axes, rows: pd.DataFrame, column: str, look: dict[str, str], model: str
) -> None:
    axes.plot(
        rows["resolution"],
        rows[column],
        markersize=7.5,
        markeredgecolor=PAPER,
        label=model,
        **look,
    )
    disturbed, look = (
        rows[~rows["valid"].astype(bool)],
        {"marker": look["marker"], "edgecolor": look["color"]},
    )
    axes.scatter(
        disturbed["resolution"],
        disturbed[column],
        s=52,
        facecolor=PAPER,
        linewidth=1.6,
        zorder=4,
        **look,
    )


def _finish_cost(axes: Axes, resolutions: list[int], label: str) -> None:
    resolution_axis(axes, resolutions)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.yaxis.set_minor_locator(mpl.ticker.NullLocator())
    axes.set_ylabel(label)
