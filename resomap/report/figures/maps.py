"""Panels of attribution maps: by method, by evidence on the object, and their means."""

from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from resomap.analysis.evidence_tables import share_on_object
from resomap.analysis.predictions import group_names, in_group
from resomap.analysis.sanity_check import (
    FailedMethods,
    attribution_methods,
    drop_failed_methods,
    failed_methods,
)
from resomap.analysis.tables import Tables
from resomap.report.figures.panels import (
    FULL_SCALE,
    MAX_CLASSES,
    MapFiles,
    RunKeys,
    StoredImages,
    draw_map,
    draw_outline,
    ends_and_middle,
    explained_runs,
    explanations_folder,
    full_scale,
    image_grid,
    label_row,
    map_label,
    maps_of,
    read_maps,
    scale_bar,
    show,
)
from resomap.report.figures.style import MUTED, Drawing, draw_nothing, new_figure, unique
from resomap.report.methods import MAX_METHODS, failed_note, more_methods_note
from resomap.report.text.evidence import (
    correct_and_fooled_title,
    explanations_title,
    mean_maps_title,
)
from resomap.report.text.format import shorten_name
from resomap.text import format_number
from resomap.workflow.checked_tables import read_table

_Item = TypeVar("_Item")
MAX_IMAGES = 6
MAX_PER_SIDE = 4
OUTLINE_NOTE = " The line is the outline of the object."
SCALE_NOTE = (
    f"one colour scale, symmetric about zero, saturated at the {FULL_SCALE}th percentile"
)


def _has_failed(failed: FailedMethods, run: RunKeys, method: str) -> bool:
    return (run["model"], run["resolution"], method) in failed


def plot_explanations(tables: Tables, images: StoredImages, runs: Path) -> Drawing:
    """Plot the signed maps of one image a group, by method, at up to three resolutions.

    The maps of a column share one scale.
    """
    explained, methods = explained_runs(tables), attribution_methods(tables.explanations)
    if explained.empty:
        nothing = pd.DataFrame(columns=["index"])
        return draw_nothing("No run was explained", "There are no maps to draw.", nothing)
    # Maps of several seeds differ; the panel shows one network for each resolution.
    first_seed = explained.drop_duplicates("resolution")
    shown_at = ends_and_middle(list(first_seed["resolution"]))
    shown_runs = first_seed[first_seed["resolution"].isin(shown_at)].to_dict("records")
    stored = [read_maps(runs, run, methods[:MAX_METHODS]) for run in shown_runs]
    indices = _first_of_each_group(images, stored[0][methods[0]]["index"])
    failed, width = failed_methods(tables.sanity), 1 + len(stored[0])
    title = explanations_title(shown_runs[0])
    note = _explanations_note(images, methods, shown_runs, failed)
    size = (max(1.02 * len(shown_runs) * width + 0.8, 7.5), 1.07 * len(indices) + 2.1)
    figure = new_figure(title, note, size)
    panels = image_grid(figure, [len(indices)], [width] * len(shown_runs))
    rows: list[RunKeys] = []
    for number, (run, maps) in enumerate(zip(shown_runs, stored, strict=True)):
        block = panels[:, number * width :][:, :width]
        rows += _draw_block(block, images, indices, run, maps, failed)
    for axes, index in zip(panels[:, 0], indices, strict=True):
        axes.set_ylabel(images.class_name(index), fontsize=11.5)
    scale_bar(figure, panels)
    return Drawing(figure, title, pd.DataFrame(rows))


def _explanations_note(
    images: StoredImages, methods: list[str], shown: list[RunKeys], failed: FailedMethods
) -> str:
    kind = "group" if images.manifest["groups"] else "class"
    drawn = methods[:MAX_METHODS]
    here = {(run["model"], run["resolution"]) for run in shown}
    failed_here = {failure for failure in failed if failure[:2] in here}
    return (
        f"The first explained test image of each {kind}. Warm: evidence for the class; "
        f"cold: against it. The maps of a column share {SCALE_NOTE}."
        + OUTLINE_NOTE * bool(images.manifest["mask"])
        + more_methods_note(methods)
        + failed_note(failed_here, drawn)
    )


def _first_of_each_group(images: StoredImages, explained: np.ndarray) -> list[int]:
    labels, manifest = images.labels[explained], images.manifest
    members = [in_group(labels, manifest, group) for group in group_names(manifest)]
    if not members:
        members = list(labels == np.arange(len(manifest["classes"]))[:, None])
    return [int(explained[rows][0]) for rows in members if rows.any()][:MAX_IMAGES]


def _draw_block(
    block: np.ndarray,
    images: StoredImages,
    indices: Sequence[int],
    run: RunKeys,
    maps: MapFiles,
    failed: FailedMethods,
) -> list[RunKeys]:
    """Draw one resolution: the images, then a column a method; return the scale of each map."""
    pixels, rows = images.at(run["resolution"]), []
    for axes, index in zip(block[:, 0], indices, strict=True):
        show(axes, pixels[index])
    block[0, 0].set_title(f"{run['resolution']} px", fontsize=13)
    for column, (method, arrays) in zip(block[:, 1:].T, maps.items(), strict=True):
        of_method = maps_of(arrays, indices)
        scale = full_scale(of_method)
        for axes, attribution, index in zip(column, of_method, indices, strict=True):
            draw_map(axes, attribution, scale)
            draw_outline(axes, images.mask(index))
            label = images.manifest["classes"][images.labels[index]]
            shown = {"method": method, "index": index, "class": label, "full_scale": scale}
            rows.append({**run, **shown})
        greyed = _has_failed(failed, run, method)
        _head_column(column[0], map_label(method, of_method.shape[-1]), greyed=greyed)
    return rows


def _head_column(axes: Any, label: str, *, greyed: bool) -> None:
    look = {"color": MUTED} if greyed else {}
    axes.set_title(label, fontsize=9, weight="normal", loc="center", **look)
    if greyed:
        stroke = {"color": MUTED, "linewidth": 1.3, "clip_on": False}
        axes.plot([0.1, 0.9], [1.26, 1.26], transform=axes.transAxes, **stroke)


def plot_correct_and_fooled(tables: Tables, images: StoredImages, runs: Path) -> Drawing:
    """Plot correctly predicted images and their maps: least evidence left, most right."""
    run, suspects = _run_to_show(tables)
    failed = failed_methods(tables.sanity)
    shares = pd.Series(dtype=float)
    if run is not None:
        shares = _evidence_of_correct_predictions(runs, run, failed)
    least, most = _sides(shares, suspects)
    if run is None or not least:
        reason = "Needs masks and an explained run with correct predictions."
        nothing = pd.DataFrame(columns=["index"])
        return draw_nothing("No correct prediction has measured evidence", reason, nothing)
    title = correct_and_fooled_title(run, bool(suspects))
    note = (
        "Above each image: its evidence on the object, mean of the methods that pass the "
        "sanity check; 0 is chance, 1 the most that their grids allow."
        f"{OUTLINE_NOTE} The maps of a method share {SCALE_NOTE}."
    )
    maps = read_maps(runs, run, attribution_methods(tables.explanations)[:MAX_METHODS])
    indices = least + most
    size = (max(1.3 * len(indices) + 1.7, 7.5), 1.32 * (1 + len(maps)) + 2.2)
    figure = new_figure(title, note, size)
    panels = image_grid(figure, [1 + len(maps)], [len(least), len(most)])
    _draw_images(panels[0], images, run, indices, shares)
    for row, (method, arrays) in zip(panels[1:], maps.items(), strict=True):
        greyed = _has_failed(failed, run, method)
        _draw_map_row(row, images, indices, method, arrays, greyed=greyed)
    scale_bar(figure, panels)
    return Drawing(figure, title, _sides_table(run, least, most, shares))


def _sides_table(
    run: RunKeys, least: list[int], most: list[int], shares: pd.Series
) -> pd.DataFrame:
    data = []
    for side, indices in (("least", least), ("most", most)):
        for index in indices:
            data.append({**run, "index": index, "share": shares[index], "side": side})
    return pd.DataFrame(data)


def _sides(shares: pd.Series, suspects: list[int]) -> tuple[list[int], list[int]]:
    """Return the images with the least evidence, suspects first, and as many with the most."""
    count = min(MAX_PER_SIDE, len(shares) // 2)
    # A suspect of the cell may have no measured share in the run that is shown.
    known = pd.Index(suspects, dtype=int).intersection(shares.index, sort=False)
    least = unique([*known, *shares.index])[:count]
    most = list(shares.index.drop(least))
    return least, most[len(most) - count :]


def _run_to_show(tables: Tables) -> tuple[RunKeys | None, list[int]]:
    """Return the run of the model in focus to show, and the images that raised an alarm.

    The run is at the smallest resolution with an alarm, else at the smallest one.
    """
    explained = explained_runs(tables)
    if explained.empty:
        return None, []
    alarms, model = tables.alarms, explained["model"].iloc[0]
    fires = alarms[(alarms["state"] == "fires") & (alarms["model"] == model)]
    resolution = (fires if len(fires) else explained)["resolution"].min()
    run = explained[explained["resolution"] == resolution].iloc[0].to_dict()
    raised = fires.loc[fires["resolution"] == resolution, "images"].dropna()
    # Groups take turns, since each lists its own images, the least evidence first.
    return run, list(map(int, in_turn(list(raised.astype(str).str.split()))))


def in_turn(lists: Sequence[Iterable[_Item]]) -> list[_Item]:
    """Return the first of each list, then the second of each, and so on."""
    turns = chain.from_iterable(zip_longest(*lists))
    return [item for item in turns if item is not None]


def _evidence_of_correct_predictions(
    runs: Path, run: RunKeys, failed: FailedMethods
) -> pd.Series:
    """Return the evidence on the object by image, least first, mean of the methods."""
    rows = read_table(explanations_folder(runs, run) / "localisation.csv")
    # The file of a run does not repeat which run it is; the sanity check needs it.
    rows = rows.assign(model=run["model"], resolution=run["resolution"])
    rows = rows[rows["method"].isin(attribution_methods(rows)) & (rows["right"] == 1)]
    shares = share_on_object(drop_failed_methods(rows, failed))
    return shares.groupby(rows["index"]).mean().dropna().sort_values(kind="stable")


def _draw_images(
    row: np.ndarray, images: StoredImages, run: RunKeys, indices: list[int], shares: pd.Series
) -> None:
    pixels = images.at(run["resolution"])
    for axes, index in zip(row, indices, strict=True):
        show(axes, pixels[index])
        label = f"{images.class_name(index)}\nno. {index}: {format_number(shares[index])}"
        axes.set_title(label, fontsize=9.5, weight="normal", loc="center")
    label_row(row, "image")


def _draw_map_row(
    row: np.ndarray,
    images: StoredImages,
    indices: list[int],
    method: str,
    arrays: dict[str, np.ndarray],
    *,
    greyed: bool,
) -> None:
    maps = maps_of(arrays, indices)
    scale = full_scale(maps)
    for axes, attribution, index in zip(row, maps, indices, strict=True):
        draw_map(axes, attribution, scale)
        draw_outline(axes, images.mask(index))
    _label_maps(row, map_label(method, maps.shape[-1]), greyed=greyed)


def _label_maps(row: np.ndarray, label: str, *, greyed: bool) -> None:
    label_row(row, label + "\n(fails the check)" * greyed)
    if greyed:
        row[0].yaxis.label.set_color(MUTED)


def plot_mean_maps(tables: Tables, images: StoredImages, runs: Path) -> Drawing:
    """Plot the mean signed map of each class: a column a class, a row a resolution.

    A block for the first method that reads a layer and one for the first that reads pixels.
    """
    explained, methods = explained_runs(tables), _one_of_each_kind(tables.explanations)
    if explained.empty:
        return draw_nothing("No run was explained", "There are no maps to draw.", explained)
    model, failed = explained["model"].iloc[0], failed_methods(tables.sanity)
    title = mean_maps_title(model)
    resolutions = ends_and_middle(unique(explained["resolution"]))
    rows, means = [], []
    for method in methods:
        for resolution in resolutions:
            at = explained[explained["resolution"] == resolution]
            maps = _mean_maps(runs, at, method, images.labels)
            scale = full_scale(np.stack(maps[:MAX_CLASSES]))
            keys = {"model": model, "method": method, "resolution": resolution}
            rows.append({**keys, "full_scale": scale})
            means.append(maps)
    labels = list(means[0].index)
    names = list(np.array(images.manifest["classes"], object)[labels[:MAX_CLASSES]])
    size = (max(1.25 * len(names) + 1.9, 7.5), 1.27 * len(rows) + 2.1)
    figure = new_figure(title, _mean_maps_note(len(labels)), size)
    panels = image_grid(figure, [len(resolutions)] * len(methods), [len(names)])
    for axes_row, row, maps in zip(panels, rows, means, strict=True):
        for axes, attribution in zip(axes_row, maps, strict=False):
            draw_map(axes, attribution, row["full_scale"])
        label = f"{row['resolution']} px\n{map_label(row['method'], maps.iloc[0].shape[-1])}"
        _label_maps(axes_row, label, greyed=_has_failed(failed, row, row["method"]))
    for axes, name in zip(panels[0], names, strict=True):
        axes.set_title(shorten_name(name, 16), fontsize=11, loc="center")
    scale_bar(figure, panels)
    return Drawing(figure, title, pd.DataFrame(rows))


def _mean_maps_note(classes: int) -> str:
    note = (
        f"Mean of the signed maps over images and seeds. The maps of a row share {SCALE_NOTE}."
    )
    if classes > MAX_CLASSES:
        note += f" The first {MAX_CLASSES} of {classes} classes."
    return note


def _one_of_each_kind(explanations: pd.DataFrame) -> list[str]:
    is_method = explanations["method"].isin(attribution_methods(explanations))
    rows = explanations[is_method]
    kinds = rows.assign(of_pixels=rows["layer"] == "input").drop_duplicates("of_pixels")
    return list(kinds["method"])


def _mean_maps(
    runs: Path, explained: pd.DataFrame, method: str, labels: np.ndarray
) -> pd.Series:
    """Return the mean map (h, w) of each explained class over the images of all given runs."""
    stored = [read_maps(runs, run, [method])[method] for run in explained.to_dict("records")]
    maps = np.concatenate([arrays["attribution"] for arrays in stored])
    classes = np.concatenate([labels[arrays["index"]] for arrays in stored])
    means = {}
    for label in np.unique(classes):
        means[int(label)] = maps[classes == label].mean(axis=0)
    return pd.Series(means)
