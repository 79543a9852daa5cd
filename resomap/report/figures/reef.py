"""Figures of the reef, whose classes differ in stripes of known spatial frequency."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from resomap.analysis.findings.accuracy import stripe_cliff, stripe_findings
from resomap.analysis.tables import Tables
from resomap.report.figures.style import (
    INK,
    MARKERS,
    MUTED,
    PAPER,
    Drawing,
    dodge,
    dot_handle,
    draw_interval,
    draw_nothing,
    draw_runs,
    group_colour,
    group_handles,
    legend_below,
    new_figure,
    panel_grid,
    resolution_axis,
    unique,
)
from resomap.report.text.accuracy import cliff_title, stripes_title

# Resolutions over frequency between which stem, seed, images and filter decide, as measured
# with the bilinear filter. Sampling theory alone puts the limit at 2.
TRANSITION_ZONE = (1.3, 2.2)
# Filters whose contrast is a power of sinc.
SINC_POWER = {"box": 1, "bilinear": 2}


def pair_accuracy_of_runs(classes: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """Return the pair accuracy of every run and group with the frequency of the group.

    `frequency` is in cycles per image, NaN for groups without stripes.
    """
    keys = ["family", "model", "resolution", "seed", "group"]
    known = classes.dropna(subset=["pair_accuracy"])
    # Classes of a group differ in their number of images.
    weighted = known.assign(right=known["pair_accuracy"] * known["n"])
    sums = weighted.groupby(keys, sort=False, as_index=False)[["right", "n"]].sum()
    frequencies = groups.drop_duplicates("group").set_index("group")["frequency"]
    return sums.assign(
        pair_accuracy=sums["right"] / sums["n"],
        # Of an empty table they would be text, as the groups are.
        frequency=sums["group"].map(frequencies).astype(float),
    ).drop(columns="right")


def plot_groups_by_resolution(tables: Tables, confidence: float) -> Drawing:
    """Plot the accuracy inside the pairs of each group, a panel a model."""
    groups, models = tables.groups, unique(tables.groups["model"])
    title = stripes_title(stripe_findings(groups))
    if not models:
        return draw_nothing(title, "No run has finished.", groups)
    note = (
        f"Accuracy inside the pair with {100 * confidence:g} % intervals. Hollow: single runs. "
        "Dashed: Nyquist limit, 2 px per stripe period. Shaded: transition zone, 1.3 to 2.2 px "
        "per period, where the result depends on the model."
    )
    size = (10.8 if len(models) > 1 else 9.0, 4.2 * -(-len(models) // 2) + 1.3)
    figure = new_figure(title, note, size)
    runs = pair_accuracy_of_runs(tables.classes, groups)
    names = unique(groups["group"])
    for axes, model in zip(
        panel_grid(figure, len(models), 2, sharey=True), models, strict=True
    ):
        rows, single = groups[groups["model"] == model], runs[runs["model"] == model]
        _draw_groups(axes, rows, single, names)
        axes.set_title(model)
    legend_below(figure, group_handles(names), names)
    return Drawing(figure, title, groups)


def _draw_groups(
    axes: Axes, groups: pd.DataFrame, runs: pd.DataFrame, names: list[str]
) -> None:
    resolution_axis(axes, sorted(set(groups["resolution"])))
    for index, name in enumerate(names):
        colour, shift = group_colour(names, name), dodge(index, len(names))
        rows, single = groups[groups["group"] == name], runs[runs["group"] == name]
        _draw_limits(axes, float(rows["frequency"].iloc[0]), colour)
        draw_runs(axes, single["resolution"] * shift, single["pair_accuracy"], colour)
        style = {"color": colour, "marker": "o", "label": name}
        draw_interval(axes, rows["resolution"] * shift, rows, "pair_accuracy", **style)
    # Always down to 16 px, so that the limits of the broad stripes are visible.
    low, high = axes.get_xlim()
    axes.set(xlim=(min(low, 16), high), ylim=(0.38, 1.03), ylabel="accuracy inside the pair")
    _mark_chance(axes, 0.99, ha="right", transform=axes.get_yaxis_transform())
    axes.label_outer()


def _mark_chance(axes: Axes, x: float, **position: Any) -> None:
    axes.axhline(0.5, color=MUTED, linestyle=":", linewidth=1.3)
    axes.text(x, 0.505, "chance", color=MUTED, fontsize=10.5, va="bottom", **position)


def _draw_limits(axes: Axes, frequency: float, colour: str) -> None:
    if not np.isnan(frequency):
        low, high = (factor * frequency for factor in TRANSITION_ZONE)
        axes.axvspan(low, high, color=colour, alpha=0.1, linewidth=0)
        axes.axvline(2 * frequency, color=colour, linestyle="--", linewidth=1.5)


def plot_reef_collapse(tables: Tables, sampling_filter: str) -> Drawing:
    """Plot the pair accuracy of every run against cycles per pixel, all groups on one axis.

    The contrast that the sampling filter keeps is drawn behind where its formula is known.
    """
    groups = tables.groups
    runs = pair_accuracy_of_runs(tables.classes, groups).dropna(subset=["frequency"])
    runs = runs.assign(cycles_per_pixel=runs["frequency"] / runs["resolution"])
    title = cliff_title(stripe_cliff(runs))
    if runs.empty:
        return draw_nothing(title, "No run has finished.", runs)
    note = "Accuracy inside the pair of every run and striped group, against stripes per pixel."
    figure = new_figure(title, note, (9.5, 5.6))
    axes = figure.subplots()
    largest = max(1.0, 1.05 * runs["cycles_per_pixel"].max())
    _draw_theory(axes, largest, sampling_filter)
    names, models = unique(groups["group"]), unique(runs["model"])
    for (model, group), rows in runs.groupby(["model", "group"], sort=False):
        colour = group_colour(names, str(group))
        _draw_pair_accuracy(axes, rows, colour, models.index(model), len(models))
    axes.set(
        xlim=(0, largest),
        ylim=(-0.03, 1.07),
        xlabel="stripe frequency (cycles per pixel of the input)",
        ylabel="accuracy inside the pair",
    )
    _collapse_legend(figure, names, unique(runs["group"]), models)
    return Drawing(figure, title, runs)


def _draw_pair_accuracy(
    axes: Axes, rows: pd.DataFrame, colour: str, index: int, count: int
) -> None:
    # Models of equal accuracy would hide each other, so they stand side by side.
    shift = 0.05 * (index - (count - 1) / 2) / max(count, 2)
    look = {"marker": MARKERS[index % len(MARKERS)], "color": colour, "edgecolor": PAPER}
    x = rows["cycles_per_pixel"] + shift
    axes.scatter(x, rows["pair_accuracy"], s=75, alpha=0.85, linewidth=0.8, zorder=4, **look)


def _draw_theory(axes: Axes, largest: float, sampling_filter: str) -> None:
    low, high = TRANSITION_ZONE
    axes.axvspan(1 / high, 1 / low, color=MUTED, alpha=0.13, linewidth=0)
    axes.axvline(0.5, color=INK, linestyle="--", linewidth=1.5)
    _mark_chance(axes, 0.005, transform=axes.get_yaxis_transform())
    # A box filter is a sinc in the frequency domain; a bilinear one is two boxes in a row.
    if sampling_filter in SINC_POWER:
        cycles = np.linspace(0, largest, 400)
        contrast = np.abs(np.sinc(cycles)) ** SINC_POWER[sampling_filter]
        axes.plot(cycles, contrast, color=INK, linewidth=1.6, zorder=2)
        label = f"contrast kept by\nthe {sampling_filter} filter"
        axes.text(0.035, 0.26, label, color=INK, fontsize=10.5)
    for label, side in (("Nyquist limit ", "right"), (" transition zone", "left")):
        axes.text(0.5, 1.075, label, ha=side, va="bottom", color=MUTED, fontsize=10.5)


def _collapse_legend(
    figure: Any, names: list[str], striped: list[str], models: list[str]
) -> None:
    dot = {"linestyle": "none", "markersize": 9}
    handles = [dot_handle(group_colour(names, name), **dot) for name in striped]
    for index in range(len(models)):
        marker = MARKERS[index % len(MARKERS)]
        handles.append(dot_handle(MUTED, marker=marker, **dot))
    legend_below(figure, handles, [*striped, *models])
