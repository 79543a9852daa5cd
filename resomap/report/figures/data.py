"""Figures of the data set: how many pictures, of what size, and what they look like."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

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
    shorten_name,
)
from resomap.report.text import data_titles as titles

SPLIT_COLOURS = {"train": BLUE, "val": "#009e73", "test": ORANGE}
MOST_BARS = 30
RATIO_TICKS = {
    "1:3": 1 / 3,
    "1:2": 1 / 2,
    "2:3": 2 / 3,
    "1:1": 1,
    "3:2": 3 / 2,
    "2:1": 2,
    "3:1": 3,
}
RATIO_BINS = 2 ** (np.arange(-32.5, 33) / 16)
CELL, GAP, COLUMNS = 96, 6, 10
"""Side of a picture of the contact sheet, what lies between two, both in its pixels, and how many stand in a row."""


def plot_class_balance(facts: Facts) -> Drawing:
    """Pictures of every class, a bar a class, by split; of many classes the largest and the smallest."""
    counts = facts.counts
    counts = counts.iloc[np.argsort(-counts.sum(axis=1), kind="stable")]
    title, half = titles.balance_title(counts), MOST_BARS // 2
    few = len(counts) <= MOST_BARS
    shown = counts if few else pd.concat([counts.iloc[:half], counts.iloc[-half:]])
    places = np.arange(len(shown)) + (0 if few else np.repeat([0, 1], half))
    note = "Pictures a class, by split" + (
        "."
        if few
        else f": the {half} largest and the {half} smallest of {len(counts):,} classes."
    )
    figure = new_figure(title, note, (9.5, 0.29 * (places[-1] + 1) + 1.9))
    axes = figure.subplots()
    axes.barh(places, shown["train"], color=SPLIT_COLOURS["train"], label="train")
    axes.barh(
        places, shown["val"], left=shown["train"], color=SPLIT_COLOURS["val"], label="val"
    )
    axes.barh(
        places,
        shown["test"],
        left=shown["train"] + shown["val"],
        color=SPLIT_COLOURS["test"],
        label="test",
    )
    for place, total in zip(places, shown.sum(axis=1), strict=True):
        axes.annotate(
            f"{total:,}",
            (total, place),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=10.5,
            color=MUTED,
        )
    axes.set_yticks(places, [shorten_name(name) for name in shown.index])
    axes.set(xlabel="pictures", ylim=(places[-1] + 0.7, -0.7))
    axes.margins(x=0.09)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower center", ncols=3)
    return Drawing(figure, title, counts.rename_axis("class").reset_index())


def plot_picture_sizes(facts: Facts, resolutions: Sequence[int]) -> Drawing:
    """Share of the pictures up to each length of a side, and how far they are from square."""
    sides, ratios = facts.side_counts, facts.ratio_counts
    title = titles.sizes_title(facts, resolutions)
    data = pd.concat(
        [
            _distribution(sides, f"{facts.side_name}_side_px"),
            _distribution(_binned(ratios), "width_over_height"),
        ]
    )
    if len(facts.sizes) == 1:
        return draw_nothing(
            title, "All files have one size, so there is no distribution to draw.", data
        )
    note = (
        f"Files, upright. Left: share of the pictures whose {facts.side_name} side has at most so many pixels. "
        f"Right: their shape, before they are {titles.STORED[facts.manifest['aspect']]}."
    )
    figure = new_figure(title, note, (11, 5))
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    _draw_sides(left, sides, resolutions, facts)
    _draw_ratios(right, _binned(ratios))
    right.set_title(titles.shape_title(facts), fontsize=12, loc="center")
    return Drawing(figure, title, data)


def _binned(ratios: pd.Series) -> pd.Series:
    """Counts of pictures by the middle of their bin; the outermost bins hold what lies beyond."""
    ends = np.clip(ratios.index, RATIO_BINS[0], RATIO_BINS[-1] * 0.999)
    counts, _ = np.histogram(ends, RATIO_BINS, weights=ratios)
    return pd.Series(counts.astype(int), index=np.sqrt(RATIO_BINS[1:] * RATIO_BINS[:-1]))


def _distribution(counts: pd.Series, quantity: str) -> pd.DataFrame:
    values = {"quantity": quantity, "value": counts.index, "pictures": counts.to_numpy()}
    return pd.DataFrame(values).assign(share_at_most=counts.cumsum().to_numpy() / counts.sum())


def _draw_sides(axes: Axes, sides: pd.Series, resolutions: Sequence[int], facts: Facts) -> None:
    first, last = sides.index[0], sides.index[-1]
    axes.step(
        [first, *sides.index, 2 * last],
        [0, *(sides.cumsum() / sides.sum()), 1],
        where="post",
        color=BLUE,
    )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(
        min(first, *resolutions) / 1.15, 1.15 * max(last, facts.native_resolution, *resolutions)
    )
    axes.set(
        ylim=(0, 1.03), xlabel=f"{facts.side_name} side (px)", ylabel="share of the pictures"
    )
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    side = min(max(resolutions), facts.native_resolution)
    share = facts.share_below(side)
    axes.plot(side, share, "o", color=BLUE, markersize=9, markeredgecolor=PAPER, zorder=4)
    axes.annotate(
        titles.percent(share),
        (side, share),
        (-8, 5),
        textcoords="offset points",
        ha="right",
        **ON_LINES,
    )
    axes.vlines(
        resolutions,
        0,
        1,
        transform=axes.get_xaxis_transform(),
        color=ORANGE,
        linewidth=1,
        alpha=0.7,
    )
    above = axes.secondary_xaxis("top")
    above.set_xticks(
        list(resolutions),
        [str(resolution) for resolution in resolutions],
        rotation=90,
        fontsize=10.5,
    )
    above.xaxis.set_minor_locator(NullLocator())
    above.set_xlabel("the sweep's resolutions", color=MUTED, fontsize=10.5)
    mark_native(axes, facts.native_resolution, f"stored at {facts.native_resolution} px", "top")


def _draw_ratios(axes: Axes, binned: pd.Series) -> None:
    axes.stairs(binned / binned.sum(), RATIO_BINS, fill=True, color=BLUE, alpha=0.85)
    axes.axvline(1, color=MUTED, linestyle=":")
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(RATIO_TICKS.values()), list(RATIO_TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="width : height")
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")


def plot_contact_sheet(facts: Facts) -> Drawing:
    """Some pictures of the first classes as one mosaic, a row a class."""
    images, label = facts.contact_sheet["images"], facts.contact_sheet["label"]
    classes = np.unique(label)
    title = titles.sheet_title(facts)
    note = "A row a class: training pictures as they are stored, evenly spaced among its own."
    sheet = _mosaic(images, label)
    height, width = sheet.shape[:2]
    figure = new_figure(title, note, (9.5, 8 * height / width + 1.1))
    axes = figure.subplots()
    axes.imshow(sheet)
    names = [facts.manifest["classes"][index] for index in classes]
    axes.set_yticks(
        np.arange(len(classes)) * (CELL + GAP) + CELL / 2,
        [shorten_name(name) for name in names],
    )
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    counts = pd.Series(label).value_counts().sort_index()
    return Drawing(
        figure, title, pd.DataFrame({"class": names, "pictures_shown": counts.to_numpy()})
    )


def _mosaic(images: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Pictures (k, CELL, CELL, 3) in a row a class, transparent between and after them: uint8 (height, width, 4)."""
    classes = np.unique(label)
    sheet = np.zeros(
        (len(classes) * (CELL + GAP) - GAP, COLUMNS * (CELL + GAP) - GAP, 4), np.uint8
    )
    for row, index in enumerate(classes):
        for column, image in enumerate(images[label == index]):
            y, x = row * (CELL + GAP), column * (CELL + GAP)
            sheet[y : y + CELL, x : x + CELL] = np.dstack(
                [image, np.full((CELL, CELL), 255, np.uint8)]
            )
    return sheet
