"""Figures of the dataset: images per class, their sizes, their detail, and a contact sheet."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from resomap.analysis.facts import Facts
from resomap.analysis.findings.data import (
    class_balance,
    detail_kept,
    image_sizes,
    least_kept_class,
    squaring,
)
from resomap.report.figures.style import (
    BLUE,
    GREEN,
    LABEL_ON_LINES,
    MUTED,
    ORANGE,
    PAPER,
    Drawing,
    draw_nothing,
    mark_native,
    new_figure,
    percent_axis,
    resolution_axis,
)
from resomap.report.text.data import (
    SQUARED,
    balance_title,
    detail_title,
    sheet_title,
    sizes_title,
    squaring_title,
)
from resomap.report.text.format import shorten_name
from resomap.text import format_percent

SPLIT_COLOURS = {"train": BLUE, "val": GREEN, "test": ORANGE}
MAX_BARS = 30
RATIO_TICKS = {
    "1:3": 1 / 3,
    "1:2": 1 / 2,
    "2:3": 2 / 3,
    "1:1": 1,
    "3:2": 3 / 2,
    "2:1": 2,
    "3:1": 3,
}
# Bins of equal width on the logarithmic axis, one of them centred on 1:1.
RATIO_BINS = 2 ** (np.arange(-32.5, 33) / 16)
# Of more classes than this only the range is drawn.
MAX_CURVES = 12
LOST_TICKS = (1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 5e-4, 2e-4, 1e-4)
# The contact sheet in its pixels: side of an image, space between two; images in a row.
SHEET_CELL, SHEET_GAP, SHEET_COLUMNS = 96, 6, 10


def plot_class_balance(facts: Facts) -> Drawing:
    """Plot the images of every class by split; of many classes the largest and the smallest."""
    counts = facts.counts
    # Stable, so that classes of equal size keep their order.
    counts = counts.iloc[np.argsort(-counts.sum(axis=1), kind="stable")]
    title, half = balance_title(class_balance(counts)), MAX_BARS // 2
    note, shown, positions = "Images per class, by split.", counts, np.arange(len(counts))
    if len(counts) > MAX_BARS:
        note = (
            "Images per class, by split: "
            f"the {half} largest and the {half} smallest of {len(counts):,} classes."
        )
        shown = pd.concat([counts.iloc[:half], counts.iloc[-half:]])
        # One empty bar separates the largest from the smallest.
        positions = np.arange(MAX_BARS) + np.repeat([0, 1], half)
    figure = new_figure(title, note, (9.5, 0.29 * (positions[-1] + 1) + 1.9))
    _draw_counts(figure.subplots(), shown, positions)
    figure.legend(loc="outside lower center", ncols=3)
    return Drawing(figure, title, counts.rename_axis("class").reset_index())


def _draw_counts(axes: Axes, counts: pd.DataFrame, positions: np.ndarray) -> None:
    starts = np.zeros(len(counts), int)
    for split, colour in SPLIT_COLOURS.items():
        axes.barh(positions, counts[split], left=starts, color=colour, label=split)
        starts = starts + counts[split].to_numpy()
    for position, total in zip(positions, starts, strict=True):
        offset = {"xytext": (5, 0), "textcoords": "offset points", "va": "center"}
        axes.annotate(f"{total:,}", (total, position), fontsize=10.5, color=MUTED, **offset)
    axes.set_yticks(positions, [shorten_name(name) for name in counts.index])
    axes.set(xlabel="images", ylim=(positions[-1] + 0.7, -0.7))
    axes.margins(x=0.09)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def plot_image_sizes(facts: Facts, resolutions: Sequence[int]) -> Drawing:
    """Plot the share of the images up to each side length, and their aspect ratios."""
    title = sizes_title(image_sizes(facts, resolutions))
    sides, ratios = facts.side_counts, _bin_ratios(facts.ratio_counts)
    data = pd.concat(
        [
            _distribution(sides, f"{facts.side_name}_side_px"),
            _distribution(ratios, "width_over_height"),
        ]
    )
    if len(facts.sizes) == 1:
        return draw_nothing(title, "All files have the same size.", data)
    note = (
        f"Left: share of the images whose {facts.side_name} side is at most this long, in the "
        "files, after rotation by EXIF. "
        f"Right: their shape, before they are {SQUARED[facts.manifest['aspect']]}."
    )
    figure = new_figure(title, note, (11, 5))
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    _draw_sides(left, sides, facts)
    _mark_sides(left, resolutions, facts)
    _draw_ratios(right, ratios)
    right.set_title(squaring_title(squaring(facts)), fontsize=12, loc="center")
    return Drawing(figure, title, data)


def _bin_ratios(ratios: pd.Series) -> pd.Series:
    # The outermost bins also count what lies beyond them.
    clipped = np.clip(ratios.index, RATIO_BINS[0], RATIO_BINS[-1] * 0.999)
    counts, _ = np.histogram(clipped, RATIO_BINS, weights=ratios)
    return pd.Series(counts.astype(int), index=np.sqrt(RATIO_BINS[1:] * RATIO_BINS[:-1]))


def _distribution(counts: pd.Series, quantity: str) -> pd.DataFrame:
    values = {"quantity": quantity, "value": counts.index, "pictures": counts.to_numpy()}
    return pd.DataFrame(values).assign(share_at_most=counts.cumsum().to_numpy() / counts.sum())


def _draw_sides(axes: Axes, sides: pd.Series, facts: Facts) -> None:
    first, last = sides.index[0], sides.index[-1]
    shares = sides.cumsum() / sides.sum()
    # From the shortest side up to beyond the longest, where all images are counted.
    axes.step([first, *sides.index, 2 * last], [0, *shares, 1], where="post", color=BLUE)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(
        ylim=(0, 1.03), xlabel=f"{facts.side_name} side (px)", ylabel="share of the images"
    )
    percent_axis(axes.yaxis)


def _mark_sides(axes: Axes, resolutions: Sequence[int], facts: Facts) -> None:
    sides, native = facts.side_counts, facts.native_resolution
    ends = (min(sides.index[0], *resolutions), max(sides.index[-1], native, *resolutions))
    axes.set_xlim(ends[0] / 1.15, 1.15 * ends[1])
    side = min(max(resolutions), native)
    share = facts.share_below(side)
    axes.plot(side, share, "o", color=BLUE, markersize=9, markeredgecolor=PAPER, zorder=4)
    offset = {"xytext": (-8, 5), "textcoords": "offset points", "ha": "right"}
    axes.annotate(format_percent(share), (side, share), **offset, **LABEL_ON_LINES)
    look = {"color": ORANGE, "linewidth": 1, "alpha": 0.7}
    axes.vlines(resolutions, 0, 1, transform=axes.get_xaxis_transform(), **look)
    above = axes.secondary_xaxis("top")
    names = [str(resolution) for resolution in resolutions]
    above.set_xticks(list(resolutions), names, rotation=90, fontsize=10.5)
    above.xaxis.set_minor_locator(NullLocator())
    above.set_xlabel("resolutions of the sweep (px)", color=MUTED, fontsize=10.5)
    # The curve is high near the stored size, so its label stands at the bottom.
    mark_native(axes, native, f"stored at {native} px", "bottom")


def _draw_ratios(axes: Axes, binned: pd.Series) -> None:
    axes.stairs(binned / binned.sum(), RATIO_BINS, fill=True, color=BLUE, alpha=0.85)
    axes.axvline(1, color=MUTED, linestyle=":")
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(RATIO_TICKS.values()), list(RATIO_TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="width : height")
    percent_axis(axes.yaxis)


def plot_information(facts: Facts, resolutions: Sequence[int]) -> Drawing:
    """Plot the share of spectral energy that each resolution loses, overall and per class."""
    title = detail_title(detail_kept(facts, resolutions))
    # The last frequency loses nothing, and a logarithmic axis has no zero.
    lost = 1 - facts.spectrum[:, 1:-1]
    side = 2 * np.arange(1, lost.shape[1] + 1)
    data = _lost_table(facts, side, lost)
    losing = [px for px in sorted(resolutions) if facts.energy_kept(px)[0] < 1]
    native = facts.native_resolution
    if not losing:
        return draw_nothing(title, "No resolution of the sweep loses any detail.", data)
    note = (
        "Share of the spectral energy of the stored images that a resolution cannot hold "
        f"(above half a cycle per pixel). Images are stored at {native} px."
    )
    figure = new_figure(title, note, (9.5, 5.4))
    axes = figure.subplots()
    _draw_classes(axes, side, lost[1:])
    _draw_worst_class(axes, side, lost[1:], facts, losing[0])
    axes.plot(side, lost[0], color=BLUE, linewidth=3, label="all images")
    for resolution in losing:
        _mark_loss(axes, resolution, 1 - facts.energy_kept(resolution)[0])
    resolution_axis(axes, sorted(resolutions), "resolution (px)")
    axes.set_xlim(losing[0] / 1.3, 1.15 * max(*resolutions, native))
    most, least = (1 - facts.energy_kept(end) for end in (losing[0], losing[-1]))
    _lost_axis(axes, np.nanmax(most), least[0])
    mark_native(axes, native, f"stored at {native} px", "top")
    axes.legend(loc="lower left")
    return Drawing(figure, title, data)


def _lost_table(facts: Facts, side: np.ndarray, lost: np.ndarray) -> pd.DataFrame:
    columns, values = facts.manifest["classes"], lost[1:]
    if len(values) > MAX_CURVES:
        columns, values = ["least of a class", "most of a class"], _range_of(values)
    # The columns of published files keep their names.
    names = ["all pictures", *columns]
    shares = pd.DataFrame(np.vstack([lost[:1], values]).T, columns=names)
    return pd.concat([pd.Series(side, name="resolution_px"), shares], axis=1)


def _range_of(lost: np.ndarray) -> np.ndarray:
    known = lost[~np.isnan(lost).any(axis=1)]
    return np.stack([known.min(axis=0), known.max(axis=0)])


def _draw_classes(axes: Axes, side: np.ndarray, lost: np.ndarray) -> None:
    if len(lost) > MAX_CURVES:
        look: dict[str, Any] = {"alpha": 0.25, "linewidth": 0}
        label = f"range of {len(lost):,} classes"
        axes.fill_between(side, *_range_of(lost), color=MUTED, label=label, **look)
        return
    for number, curve in enumerate(lost):
        label = "" if number else "one class"
        axes.plot(side, curve, color=MUTED, linewidth=1, alpha=0.7, label=label)


def _draw_worst_class(
    axes: Axes, side: np.ndarray, lost: np.ndarray, facts: Facts, resolution: int
) -> None:
    worst = least_kept_class(facts, resolution)
    if worst is not None:
        name = shorten_name(facts.manifest["classes"][worst])
        label = f"{name}, which loses most at {resolution} px"
        axes.plot(side, lost[worst], color=ORANGE, linewidth=1.8, label=label)


def _mark_loss(axes: Axes, resolution: int, lost: float) -> None:
    # The spectrum is sampled at whole cycles per image, so at even resolutions.
    even = resolution // 2 * 2
    axes.plot(even, lost, "o", color=BLUE, markersize=9, markeredgecolor=PAPER)
    offset = {"xytext": (-7, -7), "textcoords": "offset points", "ha": "right", "va": "top"}
    axes.annotate(format_percent(lost), (resolution, lost), **offset, **LABEL_ON_LINES)


def _lost_axis(axes: Axes, most: float, least: float) -> None:
    # From a round share below the least to one above the most.
    low = max((tick for tick in LOST_TICKS if tick < 0.6 * least), default=LOST_TICKS[-1])
    axes.set_yscale("log")
    axes.set_ylim(low, min(tick for tick in LOST_TICKS if tick >= most))
    axes.yaxis.set_major_locator(FixedLocator(LOST_TICKS))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axes.set_ylabel("detail lost (spectral energy)")


def plot_contact_sheet(facts: Facts) -> Drawing:
    """Plot some images of the first classes as a mosaic, a row a class."""
    images, label = facts.contact_sheet["images"], facts.contact_sheet["label"]
    classes = np.unique(label)
    title = sheet_title(len(classes), len(facts.manifest["classes"]))
    note = "Training images as stored, evenly spaced among those of the class."
    sheet = _mosaic(images, label)
    height, width = sheet.shape[:2]
    figure = new_figure(title, note, (9.5, 8 * height / width + 1.1))
    axes = figure.subplots()
    axes.imshow(sheet)
    names = [facts.manifest["classes"][index] for index in classes]
    middles = np.arange(len(classes)) * (SHEET_CELL + SHEET_GAP) + SHEET_CELL / 2
    axes.set_yticks(middles, [shorten_name(name) for name in names])
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    counts = pd.Series(label).value_counts().sort_index()
    data = pd.DataFrame({"class": names, "pictures_shown": counts.to_numpy()})
    return Drawing(figure, title, data)


def _mosaic(images: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return RGBA (height, width, 4) with a row of images a class, transparent in the gaps."""
    classes, step = np.unique(label), SHEET_CELL + SHEET_GAP
    shape = (len(classes) * step - SHEET_GAP, SHEET_COLUMNS * step - SHEET_GAP, 4)
    sheet = np.zeros(shape, np.uint8)
    opaque = np.full((SHEET_CELL, SHEET_CELL), 255, np.uint8)
    for row, index in enumerate(classes):
        for column, image in enumerate(images[label == index]):
            y, x = row * step, column * step
            sheet[y : y + SHEET_CELL, x : x + SHEET_CELL] = np.dstack([image, opaque])
    return sheet
