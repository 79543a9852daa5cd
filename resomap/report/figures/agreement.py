"""The figure of agreement: how alike a network's maps are at two resolutions, a matrix a model and method."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from resomap.analysis.evidence import struck_out
from resomap.report.figures.evidence import most_telling
from resomap.report.figures.style import (
    GRID,
    INK,
    MUTED,
    PAPER,
    Drawing,
    draw_nothing,
    new_figure,
)
from resomap.report.methods import attribution_methods, failed_resolutions
from resomap.report.tables import Tables
from resomap.report.text.accuracy import focus_model
from resomap.report.text.evidence_numbers import (
    compared_maps,
    ends_of,
    plain,
    raw,
    reading_name,
    widest,
)
from resomap.report.text.evidence_titles import agreement_title

MOST_READINGS = 6
"""More methods and blocks than this have no column of their own."""
MOST_TOLD = 4
"""With more resolutions than this the intervals are left to the data."""
COLOURS = sns.color_palette("crest", as_cmap=True)
ON_DARK, ON_LIGHT = "#ffffff", "#1b1b1b"
"""Text on a colour, the same on a dark page."""


def plot_agreement(tables: Tables) -> Drawing:
    """Normalised agreement of every two resolutions under the diagonal, its raw references above it: a row a model, a column a method."""
    maps = compared_maps(tables.agreement)
    maps = maps[maps["method"].isin(attribution_methods(maps))]
    struck = struck_out(tables.sanity)
    title = agreement_title(tables.agreement, focus_model(tables), struck)
    seeds = bool(maps["observed"].notna().any())
    note = _note(seeds)
    models = most_telling(tables, list(dict.fromkeys(maps["model"])))
    resolutions = sorted({*maps["low"], *maps["high"]})
    if len(resolutions) < 2:
        return draw_nothing(title, "Agreement needs explained runs at two resolutions.", maps)
    readings = list(dict.fromkeys(zip(maps["method"], maps["block"], strict=True)))[
        :MOST_READINGS
    ]
    side = 0.75 + (0.62 if len(resolutions) <= MOST_TOLD else 0.47) * max(len(resolutions), 3)
    figure = new_figure(
        title, note, (max(side * len(readings) + 1.1, 7.5), (side + 0.35) * len(models) + 1.6)
    )
    panels = figure.subplots(
        len(models), len(readings), squeeze=False, sharex=True, sharey=True
    )
    for row, model in zip(panels, models, strict=True):
        of_model = tables.agreement[tables.agreement["model"] == model]
        for axes, (method, block) in zip(row, readings, strict=True):
            own = maps[
                (maps["model"] == model) & (maps["method"] == method) & (maps["block"] == block)
            ]
            _draw_matrix(axes, own, resolutions, "normalised" if seeds else "same_seed")
            _write_references(axes, own, of_model)
            _head(
                axes,
                reading_name(method, block),
                failed_resolutions(struck, [model], method),
                resolutions,
            )
        row[0].set_ylabel(model, weight="bold")
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, 1), COLOURS)
    bar = figure.colorbar(
        scale,
        ax=panels,
        pad=0.01,
        aspect=30,
        label=f"{'normalised' if seeds else 'raw'} agreement",
    )
    bar.outline.set_visible(False)
    return Drawing(
        figure,
        title,
        tables.agreement[
            (tables.agreement["measure"] == "spearman")
            & (tables.agreement["population"] == "all")
        ],
    )


def _note(seeds: bool) -> str:
    said = "Signed rank correlation of maps of the same picture at two resolutions, on the coarser grid"
    if not seeds:
        return f"{said}; raw, between networks of the same seed: one seed gives no ceiling. At the upper right what to hold it against."
    return (
        f"{said}, between networks of different seeds: 0 is the floor, another picture's map; 1 the ceiling, another seed at the same resolution "
        "(on the diagonal, raw, on its own grid). Hatched: the two cannot be told apart. At the upper right raw values to hold it against."
    )


def _draw_matrix(axes: Axes, rows: pd.DataFrame, resolutions: list[int], name: str) -> None:
    """Cells under the diagonal in colour, the ceilings on it; what means nothing is hatched."""
    count = len(resolutions)
    found = {(row["low"], row["high"]): row for row in rows.to_dict("records")}
    for y, high in enumerate(resolutions):
        for x, low in enumerate(resolutions[: y + 1]):
            if low == high:
                _draw_ceiling(axes, (x, y), found.get((low, high), {}))
            else:
                _draw_cell(
                    axes, (x, y), found.get((low, high), {}), name, told=count <= MOST_TOLD
                )
    ticks = np.arange(count) + 0.5
    axes.set(xlim=(0, count), ylim=(count, 0), aspect="equal", xticks=ticks, yticks=ticks)
    axes.set_xticklabels([f"{px} px" for px in resolutions])
    axes.set_yticklabels([f"{px} px" for px in resolutions])
    axes.tick_params(length=0, labelsize=10)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _draw_cell(
    axes: Axes, corner: tuple[int, int], row: dict[Any, Any], name: str, *, told: bool
) -> None:
    """In the colour of its value, with its interval where there is room; hatched where it means nothing."""
    value = row.get(name, np.nan)
    if pd.isna(value):
        axes.add_patch(
            Rectangle(
                corner, 1, 1, facecolor="none", hatch="////", edgecolor=MUTED, linewidth=0
            )
        )
        _write(
            axes,
            corner,
            0.5,
            "\N{EN DASH}",
            fontsize=12,
            color=INK,
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.5},
        )
        return
    colour = COLOURS(float(np.clip(value, 0, 1)))
    ink, spread = ON_DARK if _is_dark(colour) else ON_LIGHT, told and name == "normalised"
    axes.add_patch(Rectangle(corner, 1, 1, facecolor=colour, edgecolor=PAPER, linewidth=2))
    _write(
        axes,
        corner,
        0.42 if spread else 0.5,
        plain(value),
        fontsize=12 if told else 10,
        color=ink,
    )
    if spread:
        _write(axes, corner, 0.74, ends_of(row, "normalised"), fontsize=7.5, color=ink)


def _draw_ceiling(axes: Axes, corner: tuple[int, int], row: dict[Any, Any]) -> None:
    axes.add_patch(Rectangle(corner, 1, 1, facecolor=GRID, edgecolor=PAPER, linewidth=2))
    value = row.get("ceiling", np.nan)
    _write(
        axes,
        corner,
        0.5,
        "\N{EN DASH}" if pd.isna(value) else plain(value),
        fontsize=10,
        color=INK,
    )


def _write(axes: Axes, corner: tuple[int, int], down: float, words: str, **look: Any) -> None:
    axes.text(corner[0] + 0.5, corner[1] + down, words, ha="center", va="center", **look)


def _is_dark(colour: Any) -> bool:
    red, green, blue, _ = mpl.colors.to_rgba(colour)
    return 0.299 * red + 0.587 * green + 0.114 * blue < 0.55


def _write_references(axes: Axes, own: pd.DataFrame, of_model: pd.DataFrame) -> None:
    """Raw agreement between the smallest and the largest resolution, and that of maps which know less: above the diagonal."""
    ends = widest(own)
    if ends.empty:
        return
    row, same = (
        ends.iloc[0],
        widest(
            of_model[(of_model["measure"] == "spearman") & (of_model["population"] == "all")]
        ),
    )
    untrained = same[
        (same["network"] == "untrained")
        & (same["method"] == row["method"])
        & (same["block"] == row["block"])
    ]
    values = {
        "maps": raw(row),
        "edge filter": _first(same[same["method"] == "edge"]),
        "untrained": _first(untrained),
        "floor": row["floor"],
    }
    told = [f"{name} {plain(value)}" for name, value in values.items() if not pd.isna(value)]
    words = "\n".join([f"raw, {row['low']} to {row['high']} px:", *told])
    axes.text(
        0.995,
        0.985,
        words,
        transform=axes.transAxes,
        ha="right",
        va="top",
        fontsize=8,
        color=MUTED,
        linespacing=1.35,
    )


def _first(rows: pd.DataFrame) -> float:
    return raw(rows.iloc[0]) if len(rows) else float("nan")


def _head(axes: Axes, heading: str, struck: list[int], resolutions: list[int]) -> None:
    where = "" if struck == resolutions else f": {', '.join(map(str, struck))} px"
    axes.set_title(
        heading + f"\nstruck out{where}" * bool(struck),
        fontsize=11,
        color=MUTED if struck else INK,
    )
