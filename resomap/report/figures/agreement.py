"""The figure of agreement: how similar the maps of a network are at two resolutions."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from resomap.analysis.findings.accuracy import model_in_focus
from resomap.analysis.findings.agreement import (
    agreement_finding,
    raw_agreement,
    trained_maps,
    widest_pairs,
)
from resomap.analysis.sanity_check import (
    attribution_methods,
    failed_methods,
    failed_resolutions,
)
from resomap.analysis.tables import Tables
from resomap.report.figures.evidence import shown_models
from resomap.report.figures.style import (
    GRID,
    INK,
    MUTED,
    PAPER,
    Drawing,
    draw_nothing,
    new_figure,
    unique,
)
from resomap.report.text.evidence import agreement_title, reading_name
from resomap.text import format_interval, format_number

# More methods and blocks than this have no column.
MAX_READINGS = 6
# With more resolutions than this a cell has no room for its interval.
MAX_WITH_INTERVALS = 4
COLOURS = sns.color_palette("crest", as_cmap=True)
# Text on a coloured cell, which has the same colour on a light and on a dark page.
ON_DARK, ON_LIGHT = "#ffffff", "#1b1b1b"
DASH = "\N{EN DASH}"
Row = dict[Any, Any]
Corner = tuple[int, int]


def plot_agreement(tables: Tables) -> Drawing:
    """Plot the normalised agreement of every two resolutions, a row a model, a column a method.

    Below the diagonal normalised agreement, on it the raw agreement of two seeds, above it raw
    references. With one seed there is no normalisation, and raw agreement is drawn.
    """
    agreement, failed = tables.agreement, failed_methods(tables.sanity)
    maps = trained_maps(agreement)
    maps = maps[maps["method"].isin(attribution_methods(maps))]
    title = agreement_title(agreement_finding(agreement, model_in_focus(tables), failed))
    resolutions = sorted({*maps["low"], *maps["high"]})
    if len(resolutions) < 2:
        return draw_nothing(title, "Needs explained runs at two resolutions.", maps)
    # Agreement across seeds needs two seeds; it is normalised by their ceiling.
    normalised = bool(maps["observed"].notna().any())
    column, kind = ("normalised", "normalised") if normalised else ("same_seed", "raw")
    models = shown_models(tables, unique(maps["model"]))
    readings = list(dict.fromkeys(zip(maps["method"], maps["block"], strict=True)))
    readings = readings[:MAX_READINGS]
    side = 0.75 + _cell_inches(len(resolutions)) * max(len(resolutions), 3)
    size = (max(side * len(readings) + 1.1, 7.5), (side + 0.1) * len(models) + 1.2)
    figure = new_figure(title, _agreement_note(normalised), size, compressed=True)
    panels = figure.subplots(
        len(models), len(readings), squeeze=False, sharex=True, sharey=True
    )
    for row, model in zip(panels, models, strict=True):
        of_model = agreement[agreement["model"] == model]
        for axes, (method, block) in zip(row, readings, strict=True):
            is_reading = (maps["method"] == method) & (maps["block"] == block)
            rows = maps[(maps["model"] == model) & is_reading]
            _draw_matrix(axes, rows, resolutions, column)
            _write_references(axes, rows, of_model)
            greyed = failed_resolutions(failed, [model], method)
            _draw_heading(axes, reading_name(method, block), greyed, resolutions)
        row[0].set_ylabel(model, weight="bold", labelpad=8)
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, 1), COLOURS)
    bar = figure.colorbar(scale, ax=panels, pad=0.01, aspect=30, label=f"{kind} agreement")
    bar.outline.set_visible(False)
    is_shown = (agreement["measure"] == "spearman") & (agreement["population"] == "all")
    return Drawing(figure, title, agreement[is_shown])


def _cell_inches(count: int) -> float:
    return 0.62 if count <= MAX_WITH_INTERVALS else 0.47


def _agreement_note(normalised: bool) -> str:
    measure = (
        "Rank correlation of signed maps of the same image at two resolutions, on the "
        "coarser grid"
    )
    if not normalised:
        return (
            f"{measure}. Raw, between networks of the same seed: one seed gives no ceiling "
            "to normalise by. Upper right: raw references."
        )
    return (
        f"{measure}, between networks of different seeds. 0 is chance, the map of another "
        "image; 1 is another seed at the same resolution (grey diagonal: its raw value). "
        "Hatched: these two do not differ. Upper right: raw values and references."
    )


def _draw_matrix(axes: Axes, rows: pd.DataFrame, resolutions: list[int], name: str) -> None:
    count = len(resolutions)
    row_of = {(row["low"], row["high"]): row for row in rows.to_dict("records")}
    for y, high in enumerate(resolutions):
        for x, low in enumerate(resolutions[: y + 1]):
            row = row_of.get((low, high), {})
            if low == high:
                _draw_ceiling(axes, (x, y), row)
            else:
                _draw_cell(axes, (x, y), row, name, roomy=count <= MAX_WITH_INTERVALS)
    ticks = np.arange(count) + 0.5
    labels = [f"{px} px" for px in resolutions]
    axes.set(xlim=(0, count), ylim=(count, 0), aspect="equal", xticks=ticks, yticks=ticks)
    axes.set_xticklabels(labels)
    axes.set_yticklabels(labels)
    axes.tick_params(length=0, labelsize=10)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _draw_cell(axes: Axes, corner: Corner, row: Row, name: str, *, roomy: bool) -> None:
    value = row.get(name, np.nan)
    if pd.isna(value):
        _draw_hatched(axes, corner)
        return
    # Above the ceiling the colour stays at its end; the number is not clipped.
    colour = COLOURS(float(np.clip(value, 0, 1)))
    ink = _text_colour(colour)
    axes.add_patch(Rectangle(corner, 1, 1, facecolor=colour, edgecolor=PAPER, linewidth=2))
    if roomy and name == "normalised":
        _write(axes, corner, 0.42, format_number(value), fontsize=12, color=ink)
        _write(
            axes,
            corner,
            0.74,
            format_interval(row["normalised_low"], row["normalised_high"]),
            fontsize=7.5,
            color=ink,
        )
    else:
        _write(axes, corner, 0.5, format_number(value), fontsize=12 if roomy else 10, color=ink)


def _draw_hatched(axes: Axes, corner: Corner) -> None:
    hatch = {"facecolor": "none", "hatch": "////", "edgecolor": MUTED, "linewidth": 0}
    axes.add_patch(Rectangle(corner, 1, 1, **hatch))
    box = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5}
    _write(axes, corner, 0.5, DASH, fontsize=12, color=INK, bbox=box)


def _draw_ceiling(axes: Axes, corner: Corner, row: Row) -> None:
    axes.add_patch(Rectangle(corner, 1, 1, facecolor=GRID, edgecolor=PAPER, linewidth=2))
    value = row.get("ceiling", np.nan)
    # With one seed there is no ceiling.
    label = DASH if pd.isna(value) else format_number(value)
    _write(axes, corner, 0.5, label, fontsize=10, color=INK)


def _write(axes: Axes, corner: Corner, down: float, label: str, **style: Any) -> None:
    axes.text(corner[0] + 0.5, corner[1] + down, label, ha="center", va="center", **style)


def _text_colour(background: Any) -> str:
    red, green, blue, _ = mpl.colors.to_rgba(background)
    # Luma of ITU-R BT.601.
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return ON_DARK if luma < 0.55 else ON_LIGHT


def _write_references(axes: Axes, rows: pd.DataFrame, of_model: pd.DataFrame) -> None:
    """Write raw agreement between the extreme resolutions, and that of maps that know less."""
    ends = widest_pairs(rows)
    if ends.empty:
        return
    row = ends.iloc[0]
    is_same = (of_model["measure"] == "spearman") & (of_model["population"] == "all")
    references = widest_pairs(of_model[is_same])
    untrained = references[
        (references["network"] == "untrained")
        & (references["method"] == row["method"])
        & (references["block"] == row["block"])
    ]
    values = {
        "these maps": raw_agreement(row),
        "edge filter": _first_raw(references[references["method"] == "edge"]),
        "untrained": _first_raw(untrained),
        "chance": row["floor"],
    }
    lines = [f"raw, {row['low']} vs {row['high']} px:"]
    for name, value in values.items():
        if not pd.isna(value):
            lines.append(f"{name} {format_number(value)}")
    style = {"ha": "right", "va": "top", "fontsize": 8, "color": MUTED, "linespacing": 1.35}
    axes.text(0.995, 0.985, "\n".join(lines), transform=axes.transAxes, **style)


def _first_raw(rows: pd.DataFrame) -> float:
    return raw_agreement(rows.iloc[0]) if len(rows) else float("nan")


def _draw_heading(axes: Axes, heading: str, failed: list[int], resolutions: list[int]) -> None:
    colour = INK
    if failed:
        heading, colour = f"{heading}\nfails the sanity check", MUTED
    if failed and failed != resolutions:
        heading += f" at {', '.join(map(str, failed))} px"
    axes.set_title(heading, fontsize=11, color=colour)
