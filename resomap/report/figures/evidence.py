"""The figure of how much of the relevance lies on the object, at each resolution."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from resomap.analysis.evidence import struck_out
from resomap.report.figures.style import (
    INK,
    MUTED,
    PAPER,
    Drawing,
    draw_nothing,
    draw_runs,
    draw_struck,
    group_colour,
    new_figure,
    resolution_axis,
)
from resomap.report.methods import (
    BASELINE_NAMES,
    MAX_METHODS,
    attribution_methods,
    drop_failed_methods,
    failed_resolutions,
    method_name,
    more_methods_note,
)
from resomap.report.tables import Tables
from resomap.report.text import evidence_titles
from resomap.report.text.evidence_numbers import CONTRAST, corrected, medium_minus_fine

MOST_MODELS = 4
BASELINE_STYLES = {"edge": "--", "centre": "-.", "random": ":"}
STRUCK_NOTE = " Crossed out: the maps stay much as they are when the network's last weights are drawn anew."


def plot_evidence_by_resolution(tables: Tables) -> Drawing:
    """Corrected relevance on the object a group, a row a model, a column a method; and the medium group minus the fine one."""
    evidence = tables.explanations.dropna(subset=["relevance_mass"])
    struck, methods = struck_out(tables.sanity), attribution_methods(evidence)
    models = most_telling(tables, list(dict.fromkeys(evidence["model"])))
    title = evidence_titles.evidence_title(drop_failed_methods(evidence, struck))
    note = (
        "Share of the positive relevance that falls on the object, over the best that a map of its grid can reach: dots are runs, lines their "
        "means. Grey: maps that know no network."
        + STRUCK_NOTE * any(name in methods for _, _, name in struck)
        + more_methods_note(methods)
    )
    if not models:
        return draw_nothing(
            title,
            "The share of relevance on the object needs explained runs and masks.",
            evidence,
        )
    shown, contrast = methods[:MAX_METHODS], set(CONTRAST) <= set(evidence["group"])
    columns = len(shown) + contrast
    figure = new_figure(title, note, (max(2.9 * columns, 7.5), 2.8 * len(models) + 1.9))
    panels = figure.subplots(len(models), columns, squeeze=False, sharex=True)
    groups = group_order(tables)
    for row, model in zip(panels, models, strict=True):
        of_model = evidence[evidence["model"] == model]
        for axes, method in zip(row, shown, strict=False):
            _draw_method(
                axes, of_model, method, groups, failed_resolutions(struck, [model], method)
            )
        if contrast:
            _draw_contrast(row[-1], drop_failed_methods(of_model, struck), shown)
        _label_row(row[: len(shown)], model)
    for axes, heading in zip(
        panels[0], [*map(method_name, shown), "medium \N{MINUS SIGN} fine"], strict=False
    ):
        axes.set_title(heading)
    _finish(panels, sorted(set(evidence["resolution"])), groups)
    return Drawing(figure, title, evidence)


def most_telling(tables: Tables, models: list[str]) -> list[str]:
    """At most MOST_MODELS, the chosen one among them."""
    chosen = (tables.choice["choice"] or {}).get("model")
    return sorted(models, key=lambda model: (model != chosen, models.index(model)))[
        :MOST_MODELS
    ]


def group_order(tables: Tables) -> list[str]:
    """In the order of the classes, so that a group has one colour in every figure."""
    return list(dict.fromkeys(tables.classes["group"].dropna())) or ["all"]


def _draw_method(
    axes: Axes, rows: pd.DataFrame, method: str, groups: list[str], struck: list[int]
) -> None:
    """A line a group, what is struck out hollow and crossed; the baselines of all groups behind."""
    for name, style in BASELINE_STYLES.items():
        known = corrected(
            rows[(rows["method"] == name) & (rows["group"] == "all")], ["resolution"]
        )
        axes.plot(known.index, known, color=MUTED, linestyle=style, linewidth=1.5, zorder=1)
    for group in groups:
        of_group, colour = (
            rows[(rows["method"] == method) & (rows["group"] == group)],
            group_colour(groups, group),
        )
        draw_runs(
            axes,
            of_group["resolution"],
            of_group["relevance_mass"] / of_group["relevance_mass_best"],
            colour,
        )
        means = corrected(of_group, ["resolution"])
        axes.plot(
            means.index, means, color=colour, marker="o", markersize=7, markeredgecolor=PAPER
        )
        draw_struck(axes, means[means.index.isin(struck)])
    axes.set_ylim(0, max(1.0, axes.get_ylim()[1]))


def _draw_contrast(axes: Axes, rows: pd.DataFrame, methods: list[str]) -> None:
    """A line a method, and the edge filter's, which knows no network."""
    axes.axhline(0, color=MUTED, linewidth=1.2)
    differences = medium_minus_fine(rows)
    styles = dict(zip(methods, ("-", "--", ":", "-.", (0, (6, 1, 1, 1))), strict=False))
    for method in (name for name in (*methods, "edge") if name in differences):
        difference = differences[method].dropna()
        look = (
            {"color": INK, "linestyle": styles[method]}
            if method in styles
            else {"color": MUTED, "linestyle": "--", "linewidth": 1.5}
        )
        axes.plot(
            difference.index,
            difference,
            marker="o",
            markersize=5,
            label=BASELINE_NAMES.get(method) or method_name(method),
            **look,
        )
    axes.legend(fontsize=9.5, loc="upper right", handlelength=3.2)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.1), high + 0.6 * (high - low))


def _label_row(row: np.ndarray, model: str) -> None:
    row[0].set_ylabel(f"{model}\nrelevance on the object")
    for axes in row[1:]:
        axes.tick_params(labelleft=False)


def _finish(panels: np.ndarray, resolutions: list[int], groups: list[str]) -> None:
    for axes in panels.ravel():
        resolution_axis(axes, resolutions, "")
    for axes in panels[-1]:
        axes.set_xlabel("input resolution (px)")
    handles = [
        Line2D(
            [],
            [],
            color=group_colour(groups, group),
            marker="o",
            markeredgecolor=PAPER,
            markersize=8,
        )
        for group in groups
    ]
    handles += [
        Line2D([], [], color=MUTED, linestyle=style, linewidth=1.5)
        for style in BASELINE_STYLES.values()
    ]
    names = [*groups, *(BASELINE_NAMES[name] for name in BASELINE_STYLES)]
    panels[0, 0].get_figure().legend(
        handles, names, loc="outside lower center", ncols=len(names)
    )
