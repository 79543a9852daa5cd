"""The panel of maps: what a network looks at, at several resolutions, by every method."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from resomap.analysis.answers import group_names, in_group
from resomap.analysis.evidence import struck_out
from resomap.report.figures.maps import (
    FULL_SCALE,
    OUTLINE_NOTE,
    STRUCK_NOTE,
    Cell,
    Maps,
    draw_map,
    draw_outline,
    ends_and_middle,
    explained_runs,
    full_scale,
    head_column,
    maps_of,
    read_maps,
    scale_bar,
)
from resomap.report.figures.panels import StoredImages, blocks, show
from resomap.report.figures.style import Drawing, draw_nothing, new_figure, shorten_name
from resomap.report.methods import (
    MAX_METHODS,
    FailedMethods,
    attribution_methods,
    more_methods_note,
)
from resomap.report.tables import Tables
from resomap.report.text.evidence_titles import explanations_title

MOST_PICTURES = 6


def plot_explanations(tables: Tables, pictures: StoredImages, runs: Path) -> Drawing:
    """Signed maps of one explained picture a group, at up to three resolutions, by every method; one scale a column."""
    explained, methods = explained_runs(tables), attribution_methods(tables.explanations)
    if explained.empty:
        return draw_nothing(
            "No run was explained",
            "There are no maps to draw.",
            pd.DataFrame(columns=["index"]),
        )
    shown_at = ends_and_middle(sorted(set(explained["resolution"])))
    cells = [
        explained[explained["resolution"] == resolution].iloc[0].to_dict()
        for resolution in shown_at
    ]
    stored = [read_maps(runs, cell, methods[:MAX_METHODS]) for cell in cells]
    shown = _one_a_group(pictures, stored[0][methods[0]]["index"])
    title, width = explanations_title(cells[0]), 1 + len(stored[0])
    note = (
        f"The first explained test picture of each {'group' if pictures.manifest['groups'] else 'class'}. Warm speaks for the class, cold "
        f"against it; the maps of a column share one scale, symmetric about zero, full at the {FULL_SCALE}th percentile."
        + OUTLINE_NOTE * bool(pictures.manifest["mask"])
        + more_methods_note(methods)
    )
    struck = struck_out(tables.sanity)
    crossed = any(
        (cell["model"], cell["resolution"], method) in struck
        for cell in cells
        for method in stored[0]
    )
    figure = new_figure(
        title,
        note + STRUCK_NOTE * crossed,
        (max(1.02 * len(cells) * width + 0.8, 7.5), 1.07 * len(shown) + 2.1),
    )
    panels = blocks(figure, [len(shown)], [width] * len(cells))
    rows = []
    for number, (cell, maps) in enumerate(zip(cells, stored, strict=True)):
        rows += _draw_block(
            panels[:, number * width :][:, :width], pictures, shown, cell, maps, struck
        )
    for axes, picture in zip(panels[:, 0], shown, strict=True):
        axes.set_ylabel(
            shorten_name(pictures.manifest["classes"][pictures.labels[picture]], 16),
            fontsize=11.5,
        )
    scale_bar(figure, panels)
    return Drawing(figure, title, pd.DataFrame(rows))


def _one_a_group(pictures: StoredImages, explained: np.ndarray) -> list[int]:
    """The first explained picture of each group, or of each class where there are no groups."""
    labels = pictures.labels[explained]
    kinds = [
        in_group(labels, pictures.manifest, group) for group in group_names(pictures.manifest)
    ]
    kinds = kinds or [labels == index for index in range(len(pictures.manifest["classes"]))]
    return [int(explained[kind][0]) for kind in kinds if kind.any()][:MOST_PICTURES]


def _draw_block(
    block: np.ndarray,
    pictures: StoredImages,
    shown: Sequence[int],
    cell: Cell,
    maps: Maps,
    struck: FailedMethods,
) -> list[Cell]:
    """One resolution: the pictures, then their maps, a column a method; the scale of each column."""
    images, rows = pictures.at(cell["resolution"]), []
    for axes, picture in zip(block[:, 0], shown, strict=True):
        show(axes, images[picture])
    block[0, 0].set_title(f"{cell['resolution']} px", fontsize=13)
    for column, (method, arrays) in zip(block[:, 1:].T, maps.items(), strict=True):
        of_method = maps_of(arrays, shown)
        scale = full_scale(of_method)
        for axes, attribution, picture in zip(column, of_method, shown, strict=True):
            draw_map(axes, attribution, scale)
            draw_outline(axes, pictures.mask(picture))
            label = pictures.manifest["classes"][pictures.labels[picture]]
            rows.append(
                {
                    **cell,
                    "method": method,
                    "index": picture,
                    "class": label,
                    "full_scale": scale,
                }
            )
        head_column(
            column[0],
            method,
            of_method.shape[-1],
            crossed=(cell["model"], cell["resolution"], method) in struck,
        )
    return rows
