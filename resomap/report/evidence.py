"""Figures of evidence: how much of the relevance lies on the object, at each resolution."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from resomap.report import titles
from resomap.report.inputs import Tables
from resomap.report.style import INK, MUTED, PAPER, Drawing, draw_nothing, draw_runs, group_colour, new_figure, resolution_axis

MOST_MODELS = 4
METHOD_NAMES = {"gradcam": "Grad-CAM", "integrated_gradients": "Integrated Gradients", "saliency": "Saliency"}
CONTRAST = ("medium", "fine")
"""Groups whose difference shows evidence that follows the cue: whatever lifts both, a finer grid or sharper edges, cancels."""


def plot_evidence_by_resolution(tables: Tables) -> Drawing:
    """Relevance mass on the object a group, a row a model, a column a method; and the medium group minus the fine one."""
    evidence = tables.explanations.dropna(subset=["relevance_mass"])
    models = _most_telling(tables, list(dict.fromkeys(evidence["model"])))
    methods = list(dict.fromkeys(evidence["method"]))
    contrast = set(CONTRAST) <= set(evidence["group"])
    title = titles.evidence_title(evidence)
    note = "Share of the positive relevance that falls on the object: dots are runs, lines their means. Dotted: what a map that knows nothing reaches."
    columns = len(methods) + contrast
    if not models:
        return draw_nothing(title, "The share of relevance on the object needs explained runs and masks.", evidence)
    figure = new_figure(title, note, (max(3.5 * columns, 7.5), 3.1 * len(models) + 1.6))
    panels = figure.subplots(len(models), columns, squeeze=False, sharex=True)
    groups = group_order(tables)
    for row, model in zip(panels, models, strict=True):
        of_model = evidence[evidence["model"] == model]
        for axes, method in zip(row, methods, strict=False):
            _draw_mass(axes, of_model[of_model["method"] == method], groups)
        if contrast:
            _draw_contrast(row[-1], of_model, methods)
        _label_row(row, model)
    for axes, method in zip(panels[0], methods, strict=False):
        axes.set_title(METHOD_NAMES.get(method, method))
    if contrast:
        panels[0, -1].set_title("medium \N{MINUS SIGN} fine")
    _finish(panels, sorted(set(evidence["resolution"])), groups)
    return Drawing(figure, title, evidence)


def _most_telling(tables: Tables, models: list[str]) -> list[str]:
    """At most MOST_MODELS, the chosen one among them."""
    chosen = (tables.choice["choice"] or {}).get("model")
    return sorted(models, key=lambda model: (model != chosen, models.index(model)))[:MOST_MODELS]


def group_order(tables: Tables) -> list[str]:
    """In the order of the classes, so that a group has one colour in every figure."""
    return list(dict.fromkeys(tables.classes["group"].dropna())) or ["all"]


def _draw_mass(axes: Axes, rows: pd.DataFrame, groups: list[str]) -> None:
    for group in groups:
        of_group, colour = rows[rows["group"] == group], group_colour(groups, group)
        draw_runs(axes, of_group["resolution"], of_group["relevance_mass"], colour)
        means = of_group.groupby("resolution")["relevance_mass"].mean()
        axes.plot(means.index, means, color=colour, marker="o", markersize=7, markeredgecolor=PAPER)
    axes.axhline(rows["mask_area"].mean(), color=MUTED, linestyle=":", linewidth=1.6)
    axes.set_ylim(0, 1)


def _draw_contrast(axes: Axes, rows: pd.DataFrame, methods: list[str]) -> None:
    axes.axhline(0, color=MUTED, linewidth=1.2)
    for method, style in zip(methods, ("-", "--", ":", "-.") * 2, strict=False):
        by_group = rows[rows["method"] == method].pivot_table(index="resolution", columns="group", values="relevance_mass")
        difference = by_group[CONTRAST[0]] - by_group[CONTRAST[1]]
        axes.plot(
            difference.index, difference, color=INK, linestyle=style, marker="o", markersize=5, label=METHOD_NAMES.get(method, method)
        )
    axes.legend(fontsize=9.5, loc="upper right", handlelength=3.2)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.1), high + 0.45 * (high - low))


def _label_row(row: np.ndarray, model: str) -> None:
    row[0].set_ylabel(f"{model}\nrelevance on the object")
    for axes in row[1:-1]:
        axes.tick_params(labelleft=False)


def _finish(panels: np.ndarray, resolutions: list[int], groups: list[str]) -> None:
    for axes in panels.ravel():
        resolution_axis(axes, resolutions, "")
    for axes in panels[-1]:
        axes.set_xlabel("input resolution (px)")
    handles = [Line2D([], [], color=group_colour(groups, group), marker="o", markeredgecolor=PAPER, markersize=8) for group in groups]
    panels[0, 0].get_figure().legend(handles, groups, loc="outside lower center", ncols=len(groups))
