"""The panel of the correct and the fooled: right answers with the least and with the most evidence on the object."""

from pathlib import Path
from typing import Any

import pandas as pd

from resomap.analysis.evidence import share_on_object, struck_out
from resomap.report.figures.maps import (
    FULL_SCALE,
    OUTLINE_NOTE,
    Cell,
    Maps,
    draw_map,
    draw_outline,
    explained_runs,
    explanations_folder,
    full_scale,
    maps_of,
    read_maps,
    row_name,
    scale_bar,
)
from resomap.report.figures.panels import StoredImages, blocks, show
from resomap.report.figures.style import Drawing, draw_nothing, new_figure, shorten_name
from resomap.report.methods import (
    MAX_METHODS,
    FailedMethods,
    attribution_methods,
    drop_failed_methods,
)
from resomap.report.tables import Tables
from resomap.report.text.evidence_numbers import plain
from resomap.report.text.evidence_titles import fooled_title

MOST_A_SIDE = 4


def plot_correct_and_fooled(tables: Tables, pictures: StoredImages, runs: Path) -> Drawing:
    """Pictures that a network answered right, and its maps: at the left the least evidence on the object, at the right the most."""
    cell, suspects = _telling_run(tables)
    shares = (
        _evidence_of_right_answers(runs, cell, struck_out(tables.sanity))
        if cell
        else pd.Series(dtype=float)
    )
    least, most = _sides(shares, suspects)
    if cell is None or not least:
        reason = "It needs masks and a run whose right answers were explained."
        return draw_nothing(
            "No right answer was held against its evidence",
            reason,
            pd.DataFrame(columns=["index"]),
        )
    title = fooled_title(cell, bool(suspects))
    note = (
        f"Over each picture its evidence on the object, in the mean of the methods that passed the gate: 0 is chance, 1 all that their grids "
        f"allow.{OUTLINE_NOTE} The maps of a method share one scale, symmetric about zero, full at the {FULL_SCALE}th percentile."
    )
    maps = read_maps(runs, cell, attribution_methods(tables.explanations)[:MAX_METHODS])
    figure = new_figure(
        title,
        note,
        (max(1.3 * (len(least) + len(most)) + 1.7, 7.5), 1.32 * (1 + len(maps)) + 2.2),
    )
    panels = blocks(figure, [1 + len(maps)], [len(least), len(most)])
    _draw_pictures(panels[0], pictures, cell, least + most, shares)
    _draw_maps(panels[1:], pictures, cell, least + most, maps, struck_out(tables.sanity))
    scale_bar(figure, panels)
    sides = [
        (picture, side)
        for side, shown in (("least", least), ("most", most))
        for picture in shown
    ]
    return Drawing(
        figure,
        title,
        pd.DataFrame(
            [
                {**cell, "index": picture, "share": shares[picture], "side": side}
                for picture, side in sides
            ]
        ),
    )


def _sides(shares: pd.Series, suspects: list[int]) -> tuple[list[int], list[int]]:
    """Pictures with the least evidence (those that raised an alarm before others) and with the most, as many, at most MOST_A_SIDE."""
    count = min(MOST_A_SIDE, len(shares) // 2)
    least = list(
        dict.fromkeys(
            [*(picture for picture in suspects if picture in shares.index), *shares.index]
        )
    )[:count]
    most = [picture for picture in shares.index if picture not in least]
    return least, most[len(most) - count :]


def _telling_run(tables: Tables) -> tuple[Cell | None, list[int]]:
    """The model in focus at its smallest resolution with an alarm, and the pictures that raised it; else at its smallest, and none."""
    explained = explained_runs(tables)
    if explained.empty:
        return None, []
    model = explained["model"].iloc[0]
    fires = tables.alarms[
        (tables.alarms["state"] == "fires") & (tables.alarms["model"] == model)
    ]
    resolution = fires["resolution"].min() if len(fires) else explained["resolution"].min()
    run = explained[explained["resolution"] == resolution].iloc[0].to_dict()
    raised = [
        str(told).split()
        for told in fires.loc[fires["resolution"] == resolution, "pictures"].dropna()
    ]
    return run, [int(picture) for picture in in_turn(raised)]


def in_turn(lists: list[list[str]]) -> list[str]:
    """The first of each list, then the second of each."""
    return [
        names[place]
        for place in range(max(map(len, lists), default=0))
        for names in lists
        if place < len(names)
    ]


def _evidence_of_right_answers(runs: Path, cell: Cell, struck: FailedMethods) -> pd.Series:
    """By picture, the least first: relevance on the object beyond its area, over the most that the grid allows, in the mean of the methods."""
    rows = pd.read_csv(explanations_folder(runs, cell) / "localisation.csv").assign(
        model=cell["model"], resolution=cell["resolution"]
    )
    rows = drop_failed_methods(
        rows[rows["method"].isin(attribution_methods(rows)) & (rows["right"] == 1)], struck
    )
    return (
        share_on_object(rows).groupby(rows["index"]).mean().dropna().sort_values(kind="stable")
    )


def _draw_pictures(
    row: Any, pictures: StoredImages, cell: Cell, shown: list[int], shares: pd.Series
) -> None:
    images = pictures.at(cell["resolution"])
    for axes, picture in zip(row, shown, strict=True):
        show(axes, images[picture])
        name = shorten_name(pictures.manifest["classes"][pictures.labels[picture]], 16)
        axes.set_title(
            f"{name}, no. {picture}\n{plain(shares[picture])}",
            fontsize=9.5,
            weight="normal",
            loc="center",
        )
    row[0].set_ylabel("picture", rotation=0, ha="right", va="center", fontsize=10)


def _draw_maps(
    panels: Any,
    pictures: StoredImages,
    cell: Cell,
    shown: list[int],
    maps: Maps,
    struck: FailedMethods,
) -> None:
    for row, (method, arrays) in zip(panels, maps.items(), strict=True):
        of_method = maps_of(arrays, shown)
        for axes, attribution, picture in zip(row, of_method, shown, strict=True):
            draw_map(axes, attribution, full_scale(of_method))
            draw_outline(axes, pictures.mask(picture))
        name = row_name(
            method,
            of_method.shape[-1],
            crossed=(cell["model"], cell["resolution"], method) in struck,
        )
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)
