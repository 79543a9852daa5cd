"""The panel of mean maps: what speaks for a class in the same place of many pictures."""

from pathlib import Path

import numpy as np
import pandas as pd

from resomap.analysis.evidence import struck_out
from resomap.report.figures.maps import (
    FULL_SCALE,
    draw_map,
    ends_and_middle,
    explained_runs,
    full_scale,
    read_maps,
    row_name,
    scale_bar,
)
from resomap.report.figures.panels import MOST_CLASSES, StoredImages, blocks
from resomap.report.figures.style import Drawing, draw_nothing, new_figure, shorten_name
from resomap.report.methods import attribution_methods
from resomap.report.tables import Tables
from resomap.report.text.evidence_titles import mean_maps_title


def plot_mean_maps(tables: Tables, pictures: StoredImages, runs: Path) -> Drawing:
    """The mean signed map of each class: a column a class, a row a resolution, a block a method (the first of a layer, the first of pixels)."""
    explained, methods = explained_runs(tables), _one_of_each_kind(tables.explanations)
    if explained.empty:
        return draw_nothing("No run was explained", "There are no maps to draw.", explained)
    resolutions = ends_and_middle(sorted(set(explained["resolution"])))
    cells = [(method, resolution) for method in methods for resolution in resolutions]
    means = [
        _mean_maps(runs, explained[explained["resolution"] == px], method, pictures.labels)
        for method, px in cells
    ]
    classes = list(means[0].index)
    title, names = (
        mean_maps_title(explained["model"].iloc[0]),
        [pictures.manifest["classes"][label] for label in classes[:MOST_CLASSES]],
    )
    note = (
        "Signed maps in the mean over explained pictures and seeds; the maps of a row share one scale, symmetric about zero, full at the "
        f"{FULL_SCALE}th percentile."
        + (
            f" The first {MOST_CLASSES} of {len(classes)} classes."
            if len(classes) > MOST_CLASSES
            else ""
        )
    )
    figure = new_figure(
        title, note, (max(1.25 * len(names) + 1.9, 7.5), 1.27 * len(cells) + 2.1)
    )
    panels = blocks(figure, [len(resolutions)] * len(methods), [len(names)])
    struck, model = struck_out(tables.sanity), explained["model"].iloc[0]
    for row, (method, resolution), maps in zip(panels, cells, means, strict=True):
        for axes, attribution in zip(row, maps, strict=False):
            draw_map(axes, attribution, full_scale(np.stack(maps[:MOST_CLASSES])))
        name = row_name(
            method, maps.iloc[0].shape[-1], crossed=(model, resolution, method) in struck
        )
        row[0].set_ylabel(
            f"{resolution} px\n{name}", rotation=0, ha="right", va="center", fontsize=10
        )
    for axes, label in zip(panels[0], names, strict=True):
        axes.set_title(shorten_name(label, 16), fontsize=11, loc="center")
    scale_bar(figure, panels)
    data = [
        {
            "model": model,
            "method": method,
            "resolution": resolution,
            "full_scale": full_scale(np.stack(maps[:MOST_CLASSES])),
        }
        for (method, resolution), maps in zip(cells, means, strict=True)
    ]
    return Drawing(figure, title, pd.DataFrame(data))


def _one_of_each_kind(explanations: pd.DataFrame) -> list[str]:
    """The first method that reads a layer, and the first that reads pixels."""
    own = explanations[explanations["method"].isin(attribution_methods(explanations))]
    return list(
        own.assign(of_pixels=own["layer"] == "input").drop_duplicates("of_pixels")["method"]
    )


def _mean_maps(
    runs: Path, explained: pd.DataFrame, method: str, labels: np.ndarray
) -> pd.Series:
    """The mean map (h, w) of each class that was explained, over the pictures of all runs of one cell."""
    stored = [read_maps(runs, cell, [method])[method] for cell in explained.to_dict("records")]
    maps = np.concatenate([arrays["attribution"] for arrays in stored])
    classes = np.concatenate([labels[arrays["index"]] for arrays in stored])
    return pd.Series(
        {int(label): maps[classes == label].mean(axis=0) for label in np.unique(classes)}
    )
