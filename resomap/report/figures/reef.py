"""Figures of data whose cues live at known spatial frequencies: what sampling theory says a resolution can hold, and what was learnt."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from resomap.report.figures.style import (
    INK,
    MARKERS,
    MUTED,
    PAPER,
    Drawing,
    dodge,
    draw_interval,
    draw_nothing,
    draw_runs,
    grid_of,
    group_colour,
    new_figure,
    resolution_axis,
)
from resomap.report.tables import Tables
from resomap.report.text import titles

LEARNERS_ZONE = (1.3, 2.2)
"""Resolutions over frequency between which stem, seed, pictures and filter decide (measured with the bilinear filter)."""
SINC_POWER = {"box": 1, "bilinear": 2}
"""Filters whose contrast is a power of sinc."""


def pair_accuracy_of_runs(classes: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """Pair accuracy of every run and group, with the frequency of the group (NaN where it has none)."""
    keys = ["family", "model", "resolution", "seed", "group"]
    known = classes.dropna(subset=["pair_accuracy"])
    weighted = (
        known.assign(right=known["pair_accuracy"] * known["n"])
        .groupby(keys, sort=False, as_index=False)[["right", "n"]]
        .sum()
    )
    frequencies = groups.drop_duplicates("group").set_index("group")["frequency"]
    return weighted.assign(
        pair_accuracy=weighted["right"] / weighted["n"],
        frequency=weighted["group"].map(frequencies),
    ).drop(columns="right")


def plot_groups_by_resolution(tables: Tables, confidence: float) -> Drawing:
    """Accuracy inside the pairs of each group, a panel a model, with each group's Nyquist limit and learner's zone."""
    groups, models = tables.groups, list(dict.fromkeys(tables.groups["model"]))
    runs = pair_accuracy_of_runs(tables.classes, groups)
    title = titles.groups_title(groups)
    note = (
        f"Accuracy inside the pair, with {100 * confidence:g} % intervals; hollow dots are runs. Dashed: the Nyquist limit, twice a group's "
        "stripes across the picture. Shaded: the learner's zone, 1.3 to 2.2 times."
    )
    if not models:
        return draw_nothing(title, "There is no accuracy inside pairs to draw.", groups)
    figure = new_figure(
        title, note, (10.8 if len(models) > 1 else 9.0, 4.2 * -(-len(models) // 2) + 1.3)
    )
    panels = grid_of(figure, len(models), 2, sharey=True)
    for axes, model in zip(panels, models, strict=True):
        _draw_groups(
            axes,
            groups[groups["model"] == model],
            runs[runs["model"] == model],
            list(dict.fromkeys(groups["group"])),
        )
        axes.set_title(model)
    _group_legend(panels, list(dict.fromkeys(groups["group"])))
    return Drawing(figure, title, groups)


def _draw_groups(
    axes: Axes, groups: pd.DataFrame, runs: pd.DataFrame, names: list[str]
) -> None:
    resolutions = sorted(set(groups["resolution"]))
    resolution_axis(axes, resolutions)
    axes.axhline(0.5, color=MUTED, linestyle=":", linewidth=1.3)
    for index, name in enumerate(names):
        colour, shift = group_colour(names, name), dodge(index, len(names))
        rows, single = groups[groups["group"] == name], runs[runs["group"] == name]
        _draw_limits(axes, float(rows["frequency"].iloc[0]), colour)
        draw_runs(axes, single["resolution"] * shift, single["pair_accuracy"], colour)
        draw_interval(
            axes,
            rows["resolution"] * shift,
            rows,
            "pair_accuracy",
            color=colour,
            marker="o",
            label=name,
        )
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 16), high)
    axes.set_ylim(0.38, 1.03)
    axes.set_ylabel("accuracy inside the pair")
    axes.text(
        0.99,
        0.505,
        "coin toss",
        transform=axes.get_yaxis_transform(),
        color=MUTED,
        fontsize=10.5,
        ha="right",
        va="bottom",
    )
    axes.label_outer()


def _draw_limits(axes: Axes, frequency: float, colour: str) -> None:
    if not np.isnan(frequency):
        axes.axvspan(
            LEARNERS_ZONE[0] * frequency,
            LEARNERS_ZONE[1] * frequency,
            color=colour,
            alpha=0.1,
            linewidth=0,
        )
        axes.axvline(2 * frequency, color=colour, linestyle="--", linewidth=1.5)


def _group_legend(panels: list[Axes], names: list[str]) -> None:
    handles = [
        Line2D(
            [],
            [],
            color=group_colour(names, name),
            marker="o",
            markeredgecolor=PAPER,
            markersize=8,
        )
        for name in names
    ]
    figure = panels[0].get_figure()
    assert figure is not None
    figure.legend(handles, names, loc="outside lower center", ncols=len(names))  # type: ignore[arg-type]


def plot_reef_collapse(tables: Tables, sampling_filter: str) -> Drawing:
    """Pair accuracy of every run against cycles per pixel: all groups and models on one axis, with the contrast that the filter leaves."""
    groups = tables.groups
    runs = pair_accuracy_of_runs(tables.classes, groups).dropna(subset=["frequency"])
    runs = runs.assign(cycles_per_pixel=runs["frequency"] / runs["resolution"])
    title = titles.collapse_title(runs)
    note = "Accuracy inside the pair of every run and striped group, against how many stripes fall on one pixel."
    if runs.empty:
        return draw_nothing(title, "There is no accuracy inside pairs to draw.", runs)
    figure = new_figure(title, note, (9.5, 5.6))
    axes = figure.subplots()
    largest = max(1.0, 1.05 * runs["cycles_per_pixel"].max())
    _draw_theory(axes, largest, sampling_filter)
    names, models = list(dict.fromkeys(groups["group"])), list(dict.fromkeys(runs["model"]))
    for index, model in enumerate(models):
        for name in dict.fromkeys(runs["group"]):
            rows = runs[(runs["model"] == model) & (runs["group"] == name)]
            look = {"marker": MARKERS[index % len(MARKERS)], "color": group_colour(names, name)}
            axes.scatter(
                rows["cycles_per_pixel"]
                + 0.02 * (index - (len(models) - 1) / 2) / max(len(models), 2),
                rows["pair_accuracy"],
                s=75,
                alpha=0.85,
                edgecolor=PAPER,
                linewidth=0.8,
                zorder=4,
                **look,
            )
    _finish_collapse(axes, largest)
    _collapse_legend(axes, names, list(dict.fromkeys(runs["group"])), models)
    return Drawing(figure, title, runs)


def _draw_theory(axes: Axes, largest: float, sampling_filter: str) -> None:
    axes.axvspan(
        1 / LEARNERS_ZONE[1], 1 / LEARNERS_ZONE[0], color=MUTED, alpha=0.13, linewidth=0
    )
    axes.axvline(0.5, color=INK, linestyle="--", linewidth=1.5)
    axes.axhline(0.5, color=MUTED, linestyle=":", linewidth=1.3)
    if sampling_filter in SINC_POWER:
        cycles = np.linspace(0, largest, 400)
        axes.plot(
            cycles,
            np.abs(np.sinc(cycles)) ** SINC_POWER[sampling_filter],
            color=INK,
            linewidth=1.6,
            zorder=2,
        )
        axes.text(
            0.035,
            0.26,
            f"contrast left by the\n{sampling_filter} filter",
            color=INK,
            fontsize=10.5,
        )
    for words, side in (("Nyquist ", "right"), (" learner's zone", "left")):
        axes.text(0.5, 1.075, words, ha=side, va="bottom", color=MUTED, fontsize=10.5)


def _finish_collapse(axes: Axes, largest: float) -> None:
    axes.set(
        xlim=(0, largest),
        ylim=(-0.03, 1.07),
        xlabel="stripe frequency (cycles per pixel of the input)",
        ylabel="accuracy inside the pair",
    )
    axes.text(0, 0.505, " coin toss", color=MUTED, fontsize=10.5, va="bottom")


def _collapse_legend(
    axes: Axes, names: list[str], striped: list[str], models: list[str]
) -> None:
    dots = {"linestyle": "none", "markersize": 9, "markeredgecolor": PAPER}
    handles = [
        Line2D([], [], marker="o", color=group_colour(names, name), **dots) for name in striped
    ]
    handles += [
        Line2D([], [], marker=MARKERS[index % len(MARKERS)], color=MUTED, **dots)
        for index in range(len(models))
    ]
    figure = axes.get_figure()
    assert figure is not None
    figure.legend(
        handles, [*striped, *models], loc="outside lower center", ncols=min(len(handles), 6)
    )  # type: ignore[arg-type]
