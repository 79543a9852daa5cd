"""Figures of evidence: localisation of the maps and their faithfulness, by resolution."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from resomap.analysis.findings import evidence as findings
from resomap.analysis.findings.evidence import (
    CONTRAST_GROUPS,
    corrected_relevance,
    faithful_methods,
    faithfulness_gains,
    medium_minus_fine,
)
from resomap.analysis.sanity_check import (
    attribution_methods,
    drop_failed_methods,
    failed_methods,
    failed_resolutions,
)
from resomap.analysis.tables import Tables
from resomap.report.figures.style import (
    INK,
    MUTED,
    Drawing,
    dot_handle,
    draw_failed,
    draw_means,
    draw_nothing,
    draw_runs,
    group_colour,
    group_handles,
    legend_below,
    new_figure,
    resolution_rows,
    unique,
)
from resomap.report.methods import (
    BASELINE_NAMES,
    MAX_METHODS,
    failed_note,
    method_name,
    more_methods_note,
)
from resomap.report.text.evidence import faithfulness_title, localisation_title

MAX_MODELS = 4
BASELINE_STYLES = {"edge": "--", "centre": "-.", "random": ":"}
METHOD_STYLES = ("-", "--", ":", "-.", (0, (6, 1, 1, 1)))


def shown_models(tables: Tables, models: list[str]) -> list[str]:
    """Return at most MAX_MODELS of the models, the chosen one first."""
    chosen = (tables.choice["choice"] or {}).get("model")
    return sorted(models, key=lambda model: model != chosen)[:MAX_MODELS]


def group_order(tables: Tables) -> list[str]:
    """Return the groups in the order of the classes, so that each keeps its colour."""
    return unique(tables.classes["group"].dropna()) or ["all"]


def plot_evidence_by_resolution(tables: Tables) -> Drawing:
    """Plot the relevance on the object over the best that the grid allows.

    A row a model, a column a method, a colour a group; the last column is the medium group
    minus the fine one where both exist.
    """
    evidence = tables.explanations.dropna(subset=["relevance_mass"])
    failed, methods = failed_methods(tables.sanity), attribution_methods(evidence)
    title = localisation_title(
        findings.localisation(evidence, failed), findings.contrast(evidence, failed)
    )
    models = shown_models(tables, unique(evidence["model"]))
    if not models:
        return draw_nothing(title, "Needs explained runs and masks.", evidence)
    note = (
        "Share of the positive relevance that falls on the object, relative to the largest "
        "share that a map with this grid can reach. Filled: mean over seeds. Hollow: single "
        "runs. Grey: baselines that do not use the model."
        + failed_note(failed, methods)
        + more_methods_note(methods)
    )
    shown, contrast = methods[:MAX_METHODS], set(CONTRAST_GROUPS) <= set(evidence["group"])
    columns, groups = len(shown) + contrast, group_order(tables)
    figure = new_figure(title, note, (max(2.9 * columns, 7.5), 2.8 * len(models) + 1.9))
    panels = figure.subplots(len(models), columns, squeeze=False, sharex=True)
    for row, model in zip(panels, models, strict=True):
        rows = evidence[evidence["model"] == model]
        for axes, method in zip(row, shown, strict=False):
            resolutions = failed_resolutions(failed, [model], method)
            _draw_localisation(axes, rows, method, groups, resolutions)
        if contrast:
            _draw_contrast(row[-1], drop_failed_methods(rows, failed), shown)
        row[0].set_ylabel(f"{model}\nrelevance on the object")
        for axes in row[1 : len(shown)]:
            axes.tick_params(labelleft=False)
    headings = [*map(method_name, shown), "medium \N{MINUS SIGN} fine"]
    _finish_localisation(panels, headings, sorted(set(evidence["resolution"])), groups)
    if contrast:
        _finish_contrast(panels[:, -1])
    return Drawing(figure, title, evidence)


def _draw_localisation(
    axes: Axes, rows: pd.DataFrame, method: str, groups: list[str], failed: list[int]
) -> None:
    for name, style in BASELINE_STYLES.items():
        baseline = rows[(rows["method"] == name) & (rows["group"] == "all")]
        means = corrected_relevance(baseline, ["resolution"])
        axes.plot(means.index, means, color=MUTED, linestyle=style, linewidth=1.5, zorder=1)
    # Groups keep the colours that they have in the figures of accuracy.
    for group in groups:
        of_group = rows[(rows["method"] == method) & (rows["group"] == group)]
        colour, means = (
            group_colour(groups, group),
            corrected_relevance(of_group, ["resolution"]),
        )
        shares = of_group["relevance_mass"] / of_group["relevance_mass_best"]
        draw_runs(axes, of_group["resolution"], shares, colour)
        draw_means(axes, means.index, means, colour)
        draw_failed(axes, means[means.index.isin(failed)])
    # The corrected share is a ratio of means and may exceed 1 a little.
    axes.set_ylim(0, max(1.0, axes.get_ylim()[1]))


def _draw_contrast(axes: Axes, rows: pd.DataFrame, methods: list[str]) -> None:
    # An edge filter shows how much of the difference needs no network.
    axes.axhline(0, color=MUTED, linewidth=1.2)
    differences = medium_minus_fine(rows)
    looks: dict[str, dict[str, Any]] = {}
    for method, style in zip(methods, METHOD_STYLES, strict=False):
        looks[method] = {"colour": INK, "linestyle": style}
    looks["edge"] = {"colour": MUTED, "linestyle": "--", "linewidth": 1.5}
    for method, look in looks.items():
        if method in differences:
            points = differences[method].dropna()
            name = BASELINE_NAMES.get(method) or method_name(method)
            edge = {"markersize": 5, "markeredgecolor": look["colour"], "label": name}
            draw_means(axes, points.index, points, **look, **edge)


def _finish_contrast(column: np.ndarray) -> None:
    # All rows share one scale, with room for the legend of the first above the lines.
    low = min(-0.1, *(axes.get_ylim()[0] for axes in column))
    high = max(axes.get_ylim()[1] for axes in column)
    for axes in column:
        axes.set_ylim(low, high + 0.6 * (high - low))
    column[0].legend(fontsize=9.5, loc="upper right", handlelength=3.2)


def _finish_localisation(
    panels: np.ndarray, headings: list[str], resolutions: list[int], groups: list[str]
) -> None:
    resolution_rows(panels, resolutions, "input resolution (px)")
    for axes, heading in zip(panels[0], headings, strict=False):
        axes.set_title(heading)
    handles, names = group_handles(groups), list(groups)
    for name, style in BASELINE_STYLES.items():
        handles.append(Line2D([], [], color=MUTED, linestyle=style, linewidth=1.5))
        names.append(BASELINE_NAMES[name])
    legend_below(panels[0, 0].get_figure(), handles, names)


def plot_faithfulness(tables: Tables) -> Drawing:
    """Plot insertion minus deletion beyond a random order's against bandwidth.

    A row a model, a column a method, a colour a resolution.
    """
    gains = faithfulness_gains(tables.faithfulness)
    methods, failed = attribution_methods(gains), failed_methods(tables.sanity)
    title = faithfulness_title(faithful_methods(drop_failed_methods(gains, failed)))
    models = shown_models(tables, unique(gains["model"]))
    if not models:
        reason = "Needs explained runs and explainability.faithfulness.images above 0."
        return draw_nothing(title, reason, gains)
    note = (
        "Areas of a blurred image are restored in the order of the map (insertion), or areas "
        "of the image are blurred (deletion). Plotted: probability of the class, insertion "
        "minus deletion, beyond a random order. Maps are reduced to the same number of cells. "
        "Dashed: order from the centre outwards."
        + failed_note(failed, methods)
        + more_methods_note(methods)
    )
    shown, resolutions = methods[:MAX_METHODS], sorted(set(gains["resolution"]))
    size = (max(3.1 * len(shown), 7.5), 2.8 * len(models) + 2.0)
    figure = new_figure(title, note, size)
    panels = figure.subplots(len(models), len(shown), squeeze=False, sharex=True, sharey=True)
    for row, model in zip(panels, models, strict=True):
        for axes, method in zip(row, shown, strict=True):
            rows = gains[(gains["model"] == model) & gains["method"].isin([method, "centre"])]
            greyed = failed_resolutions(failed, [model], method)
            _draw_gains(axes, rows, method, resolutions, greyed)
        row[0].set_ylabel(f"{model}\ngain over a random order")
    for axes, method in zip(panels[0], shown, strict=True):
        axes.set_title(method_name(method))
    resolution_rows(panels, sorted(set(gains["bandwidth"])), "map size (cells per side)")
    _faithfulness_legend(figure, resolutions)
    return Drawing(figure, title, gains)


def _draw_gains(
    axes: Axes, rows: pd.DataFrame, method: str, resolutions: list[int], failed: list[int]
) -> None:
    axes.axhline(0, color=MUTED, linestyle=":", linewidth=1.3)
    colours = resolution_colours(len(resolutions))
    for resolution, colour in zip(resolutions, colours, strict=True):
        at = rows[rows["resolution"] == resolution]
        runs, centre = at[at["method"] == method], at[at["method"] == "centre"]
        means = runs.groupby("bandwidth")["gain"].mean()
        reference = centre.groupby("bandwidth")["gain"].mean()
        dashes = {"linestyle": "--", "linewidth": 1.2, "alpha": 0.7}
        axes.plot(reference.index, reference, color=colour, **dashes)
        draw_runs(axes, runs["bandwidth"], runs["gain"], colour)
        draw_means(axes, means.index, means, colour)
        draw_failed(axes, means if resolution in failed else means[:0])


def resolution_colours(count: int) -> list[str]:
    """Return colours from light for the smallest resolution to dark for the largest."""
    # The darkest colour of the palette would be lost on a dark page.
    return list(sns.color_palette("flare", count + 1).as_hex()[:count])


def _faithfulness_legend(figure: Any, resolutions: list[int]) -> None:
    handles = [dot_handle(colour) for colour in resolution_colours(len(resolutions))]
    dashed = Line2D([], [], color=INK, linestyle="--", linewidth=1.2)
    names = [f"{resolution} px" for resolution in resolutions]
    legend_below(figure, [*handles, dashed], [*names, "from the centre"])
