"""The figure of information: what a resolution cannot hold of the pictures, whoever looks at them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from resomap.report.facts import Facts
from resomap.report.figures.style import (
    BLUE,
    MUTED,
    ON_LINES,
    ORANGE,
    PAPER,
    Drawing,
    draw_nothing,
    mark_native,
    new_figure,
    resolution_axis,
    shorten_name,
)
from resomap.report.text import data_titles as titles

MOST_CURVES = 12
"""Of more classes than this the range is drawn."""
LOST_TICKS = (1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 5e-4, 2e-4, 1e-4)


def plot_information(facts: Facts, resolutions: Sequence[int]) -> Drawing:
    """Share of the spectral energy that lies above what a resolution can hold, over all pictures and of every class."""
    title = titles.information_title(facts, resolutions)
    note = (
        "Share of the stored pictures' spectral energy that a resolution cannot hold: what lies above half a cycle a pixel. "
        f"At {facts.native_resolution} px, as they are stored, nothing is lost."
    )
    lost = (
        1 - facts.spectrum[:, 1:-1]
    )  # at the last frequency nothing is, and an axis of logarithms has no 0
    side = 2 * np.arange(1, lost.shape[1] + 1)
    losing = [
        resolution for resolution in sorted(resolutions) if facts.energy_kept(resolution)[0] < 1
    ]
    data = _lost_table(facts, side, lost)
    if not losing:
        return draw_nothing(title, "So there is no loss to draw.", data)
    figure = new_figure(title, note, (9.5, 5.4))
    axes = figure.subplots()
    _draw_classes(axes, side, lost[1:])
    worst = titles.least_kept(facts, losing[0])
    if worst is not None:
        label = f"{shorten_name(facts.manifest['classes'][worst])}, which loses most at {losing[0]} px"
        axes.plot(side, lost[1 + worst], color=ORANGE, linewidth=1.8, label=label)
    axes.plot(side, lost[0], color=BLUE, linewidth=3, label="all pictures")
    _mark_losses(axes, losing, facts)
    resolution_axis(axes, sorted(resolutions), "resolution (px)")
    axes.set_xlim(losing[0] / 1.3, 1.15 * max(*resolutions, facts.native_resolution))
    _lost_axis(
        axes, np.nanmax(1 - facts.energy_kept(losing[0])), 1 - facts.energy_kept(losing[-1])[0]
    )
    mark_native(
        axes,
        facts.native_resolution,
        f"information ends at {facts.native_resolution} px",
        "top",
    )
    axes.legend(loc="lower left")
    return Drawing(figure, title, data)


def _lost_table(facts: Facts, side: np.ndarray, lost: np.ndarray) -> pd.DataFrame:
    """What is drawn: a column a class, or of many classes the least and the most."""
    many = len(lost) - 1 > MOST_CURVES
    columns = ["least of a class", "most of a class"] if many else facts.manifest["classes"]
    values = _ends(lost[1:]) if many else lost[1:]
    shares = pd.DataFrame(np.vstack([lost[:1], values]).T, columns=["all pictures", *columns])
    return pd.concat([pd.Series(side, name="resolution_px"), shares], axis=1)


def _ends(lost: np.ndarray) -> np.ndarray:
    known = lost[~np.isnan(lost).any(axis=1)]
    return np.stack([known.min(axis=0), known.max(axis=0)])


def _draw_classes(axes: Axes, side: np.ndarray, lost: np.ndarray) -> None:
    if len(lost) > MOST_CURVES:
        axes.fill_between(
            side,
            *_ends(lost),
            color=MUTED,
            alpha=0.25,
            linewidth=0,
            label=f"between {len(lost):,} classes",
        )
    else:
        for number, curve in enumerate(lost):
            axes.plot(
                side,
                curve,
                color=MUTED,
                linewidth=1,
                alpha=0.7,
                label="" if number else "a class",
            )


def _mark_losses(axes: Axes, losing: Sequence[int], facts: Facts) -> None:
    for resolution in losing:
        lost = 1 - facts.energy_kept(resolution)[0]
        axes.plot(
            resolution // 2 * 2, lost, "o", color=BLUE, markersize=9, markeredgecolor=PAPER
        )
        axes.annotate(
            titles.percent(lost),
            (resolution, lost),
            (-7, -7),
            textcoords="offset points",
            ha="right",
            va="top",
            **ON_LINES,
        )


def _lost_axis(axes: Axes, most: float, least: float) -> None:
    """From a round share under the least to one above the most."""
    low = max((tick for tick in LOST_TICKS if tick < 0.6 * least), default=LOST_TICKS[-1])
    axes.set_yscale("log")
    axes.set_ylim(low, min(tick for tick in LOST_TICKS if tick >= most))
    axes.yaxis.set_major_locator(FixedLocator(LOST_TICKS))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axes.set_ylabel("detail lost (spectral energy)")
