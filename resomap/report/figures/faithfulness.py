"""The figure of faithfulness: whether what a map points at is what the network uses, at common bandwidths."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from resomap.analysis.evidence import struck_out
from resomap.report.figures.evidence import STRUCK_NOTE, most_telling
from resomap.report.figures.style import (
    INK,
    MUTED,
    PAPER,
    Drawing,
    draw_nothing,
    draw_runs,
    draw_struck,
    new_figure,
    resolution_axis,
)
from resomap.report.methods import (
    MAX_METHODS,
    attribution_methods,
    drop_failed_methods,
    method_name,
    more_methods_note,
)
from resomap.report.tables import Tables
from resomap.report.text.evidence_numbers import faithfulness_gains
from resomap.report.text.evidence_titles import faithfulness_title


def plot_faithfulness(tables: Tables) -> Drawing:
    """Insertion minus deletion, beyond a random order's, against bandwidth: a row a model, a column a method, a colour a resolution."""
    gains = faithfulness_gains(tables.faithfulness)
    methods, struck = attribution_methods(gains), struck_out(tables.sanity)
    title = faithfulness_title(drop_failed_methods(gains, struck))
    models = most_telling(tables, list(dict.fromkeys(gains["model"])))
    note = (
        "Areas are restored in a map's order from a blurred picture (insertion), or blurred in it (deletion): the answer's gain of one over the "
        "other, beyond a random order's, with every map reduced to so many cells a side. Dashed: from the centre outwards."
        + STRUCK_NOTE * any(name in methods for _, _, name in struck)
        + more_methods_note(methods)
    )
    if not models:
        return draw_nothing(
            title,
            "It needs explained runs with explainability.faithfulness.images above 0.",
            gains,
        )
    shown, resolutions = methods[:MAX_METHODS], sorted(set(gains["resolution"]))
    figure = new_figure(title, note, (max(3.1 * len(shown), 7.5), 2.8 * len(models) + 2.0))
    panels = figure.subplots(len(models), len(shown), squeeze=False, sharex=True, sharey=True)
    for row, model in zip(panels, models, strict=True):
        for axes, method in zip(row, shown, strict=True):
            own = gains[(gains["model"] == model) & gains["method"].isin([method, "centre"])]
            out = {
                resolution
                for resolution in resolutions
                if (model, resolution, method) in struck
            }
            _draw_method(axes, own, method, resolutions, out)
        row[0].set_ylabel(f"{model}\ngain over a random order")
    _finish(panels, shown, sorted(set(gains["bandwidth"])), resolutions)
    return Drawing(figure, title, gains)


def _draw_method(
    axes: Axes, rows: pd.DataFrame, method: str, resolutions: list[int], struck: set[int]
) -> None:
    axes.axhline(0, color=MUTED, linestyle=":", linewidth=1.3)
    for resolution, colour in zip(
        resolutions, resolution_colours(len(resolutions)), strict=True
    ):
        own = rows[rows["resolution"] == resolution]
        curves = {
            name: own[own["method"] == name].groupby("bandwidth")["gain"].mean()
            for name in (method, "centre")
        }
        axes.plot(
            curves["centre"].index,
            curves["centre"],
            color=colour,
            linestyle="--",
            linewidth=1.2,
            alpha=0.7,
        )
        runs = own[own["method"] == method]
        draw_runs(axes, runs["bandwidth"], runs["gain"], colour)
        axes.plot(
            curves[method].index,
            curves[method],
            color=colour,
            marker="o",
            markersize=7,
            markeredgecolor=PAPER,
        )
        draw_struck(axes, curves[method] if resolution in struck else curves[method][:0])


def resolution_colours(count: int) -> list[str]:
    """From a light one for the smallest resolution to a dark one for the largest, none so dark that a dark page swallows it."""
    return list(sns.color_palette("flare", count + 1).as_hex()[:count])


def _finish(
    panels: np.ndarray, methods: list[str], bandwidths: list[int], resolutions: list[int]
) -> None:
    for axes in panels.ravel():
        resolution_axis(axes, bandwidths, "")
    for axes, method in zip(panels[0], methods, strict=True):
        axes.set_title(method_name(method))
    for axes in panels[-1]:
        axes.set_xlabel("bandwidth (cells a side)")
    handles = [
        Line2D([], [], color=colour, marker="o", markeredgecolor=PAPER, markersize=8)
        for colour in resolution_colours(len(resolutions))
    ]
    dashed = Line2D([], [], color=INK, linestyle="--", linewidth=1.2)
    names = [*(f"{resolution} px" for resolution in resolutions), "centre"]
    panels[0, 0].get_figure().legend(
        [*handles, dashed], names, loc="outside lower center", ncols=len(names)
    )
