"""The data of the explanation browser: images, maps, predictions and evidence in one file."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from resomap.analysis.sanity_check import failed_methods
from resomap.analysis.tables import Tables
from resomap.explain.agreement.measures import spearman
from resomap.explain.grids import reduce_maps
from resomap.report.browser.runs import BrowsedRun, RunKey, read_runs
from resomap.report.browser.section import FILE_NAME
from resomap.report.browser.selection import RankedImages, alarm_images, rank_images
from resomap.report.browser.sprites import (
    GREY_STEP,
    LEVELS,
    OUTLINE_UNITS,
    encode_images,
    encode_maps,
    quantise,
    reduce_to_tiles,
    trace_outline,
)
from resomap.report.figures.panels import StoredImages, explanations_folder, maps_of
from resomap.system.files import write_text
from resomap.workflow.checked_files import read_arrays
from resomap.workflow.checked_tables import read_table

MAX_BYTES = 4_500_000
"""Of the file: what else is on the page of 16 models takes 10 MB of 15."""
MAX_IMAGES = 96
MAX_CLASSES = 5
"""Probabilities of a prediction that are shown, the largest first."""
# Images whose sprites are made first, to estimate how many fit.
SAMPLE = 8


@dataclass(frozen=True)
class MethodTiles:
    """Quantised maps (seeds, n, side, side) of a method in a cell, and a value (seeds, n) each."""

    method: str
    levels: np.ndarray
    scales: np.ndarray
    agreement: np.ndarray


@dataclass(frozen=True)
class BrowsedCell:
    """The runs of a cell, one for each seed, and the maps of every method."""

    runs: Sequence[BrowsedRun]
    methods: Sequence[MethodTiles]


def build_browser(
    tables: Tables, images: StoredImages, runs: Path, max_bytes: int = MAX_BYTES
) -> dict[str, Any]:
    """Return the data of the browser, with as many images as `max_bytes` of JSON can hold.

    All cells show the same images (`rank_images`), so that models and sizes can be compared.
    """
    browsed = read_runs(tables, images.labels, runs)
    ranked = rank_images(browsed, tables.alarms)
    order = ranked.order[:MAX_IMAGES]
    cells = list(_read_cells(browsed, order, runs))
    writer = _Writer(tables, images, browsed, ranked, order, cells)
    return writer.fit(max_bytes)


def write_browser(tables: Tables, images: StoredImages, runs: Path, folder: Path) -> None:
    """Write the data of the browser into the folder of the figures."""
    values = build_browser(tables, images, runs)
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)
    write_text(folder / FILE_NAME, text + "\n")


References = dict[tuple[int, str], np.ndarray]
"""The maps of a model at its largest resolution, by seed and method."""


def _read_cells(
    browsed: Sequence[BrowsedRun], order: np.ndarray, runs: Path
) -> Iterator[BrowsedCell]:
    """Yield the cells model by model, resolutions ascending."""
    by_model = sorted(browsed, key=lambda run: run.key)
    for _, of_model in groupby(by_model, key=lambda run: run.key[:2]):
        largest_first = sorted(of_model, key=lambda run: (-run.key.resolution, run.key.seed))
        cells: list[BrowsedCell] = []
        references: References = {}
        for _, group in groupby(largest_first, key=lambda run: run.key.resolution):
            cells.append(_read_cell(list(group), order, runs, references))
        yield from reversed(cells)


def _read_cell(
    browsed: Sequence[BrowsedRun], order: np.ndarray, runs: Path, references: References
) -> BrowsedCell:
    """Read the maps of a cell; those of a seed not met before become its references."""
    methods = browsed[0].methods
    tiles: dict[str, list[np.ndarray]] = {method: [] for method in methods}
    agreement: dict[str, list[np.ndarray]] = {method: [] for method in methods}
    for run in browsed:
        folder = explanations_folder(runs, run.key._asdict())
        for method in methods:
            # Not the maps at other blocks and of untrained networks, which are as large.
            stored = read_arrays(folder / f"{method}.npz", "attribution", "index")
            maps = reduce_to_tiles(maps_of(stored, run.index[order].tolist()))
            reference = references.setdefault((run.key.seed, method), maps)
            tiles[method].append(maps)
            agreement[method].append(_agreement(maps, reference))
    return BrowsedCell(
        browsed,
        [_method_tiles(method, tiles[method], agreement[method]) for method in methods],
    )


def _method_tiles(
    method: str, maps: Sequence[np.ndarray], agreement: Sequence[np.ndarray]
) -> MethodTiles:
    levels, scales = zip(*map(quantise, maps), strict=True)
    return MethodTiles(method, np.stack(levels), np.stack(scales), np.stack(agreement))


def _agreement(maps: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the rank correlation (n,) with the reference on the coarser of the two grids."""
    if maps is reference:
        return np.full(len(maps), np.nan)
    side = min(maps.shape[-1], reference.shape[-1])
    return spearman(reduce_maps(maps, side), reduce_maps(reference, side))


@dataclass(frozen=True)
class _Writer:
    """Everything that the file holds, of which it takes the first so many images."""

    tables: Tables
    images: StoredImages
    browsed: Sequence[BrowsedRun]
    ranked: RankedImages
    order: np.ndarray
    cells: Sequence[BrowsedCell]

    def fit(self, max_bytes: int) -> dict[str, Any]:
        """Return the values with as many images as stay within so many bytes, to a twentieth."""
        best, empty = self._sized(0)
        fits, too_many = 0, len(self.order) + 1
        count = min(SAMPLE, len(self.order))
        # All cells share the bytes, as each shows the same images. Sprites are slow to make, so
        # the next count comes from the bytes of an image so far, and not by halving.
        while too_many - fits > 1 + fits // 20:
            values, size = self._sized(count)
            if size <= max_bytes:
                fits, best = count, values
            else:
                too_many = count
            estimate = int((max_bytes - empty) * count / max(size - empty, 1))
            count = min(max(estimate, fits + 1), too_many - 1)
        return best

    def _sized(self, count: int) -> tuple[dict[str, Any], int]:
        values = self.values(count)
        return values, len(json.dumps(values, separators=(",", ":")))

    def values(self, count: int) -> dict[str, Any]:
        """Return the values of the file with the first `count` images."""
        shown = self.order[:count]
        return {
            "total": len(self.ranked.order),
            "reasons": {
                reason: len(found & set(shown.tolist()))
                for reason, found in self.ranked.reasons.items()
            },
            "levels": LEVELS,
            "grey_step": GREY_STEP,
            "outline_units": OUTLINE_UNITS,
            "classes": self.images.manifest["classes"] if count else [],
            "images": self._image_records(shown),
            "pixels": self._pixel_sprites(shown),
            "cells": [self._cell_record(cell, shown) for cell in self.cells if count],
        }

    def _image_records(self, shown: np.ndarray) -> list[dict[str, Any]]:
        if not len(shown):
            return []
        table = read_table(self.images.folder / "pictures.csv")
        sources = table[table["split"] == "test"].set_index("index")["source"]
        labels, records = self.images.labels, []
        for index in self.browsed[0].index[shown].tolist():
            record = {"index": index, "label": int(labels[index])}
            record["source"] = str(sources.get(index, ""))
            records.append(record | {"outline": trace_outline(self.images.mask(index))})
        return records

    def _pixel_sprites(self, shown: np.ndarray) -> dict[str, dict[str, object]]:
        """Return the images at every explained resolution by the side of their tiles."""
        sprites = {}
        for resolution in sorted({run.key.resolution for run in self.browsed}):
            if len(shown):
                pixels = self.images.at(resolution)[self.browsed[0].index[shown]]
                sprite = encode_images(pixels)
                # Sizes beyond the largest tile share one sprite, that of the largest.
                sprites[str(sprite["side"])] = sprite
        return sprites

    def _cell_record(self, cell: BrowsedCell, shown: np.ndarray) -> dict[str, Any]:
        key: RunKey = cell.runs[0].key
        failed = failed_methods(self.tables.sanity)
        raised = alarm_images(self.tables.alarms, self.browsed[0].index)
        place_of = {int(position): place for place, position in enumerate(shown)}
        alarmed = raised.get((key.model, key.resolution), [])
        sprite, width = encode_maps(
            [
                tiles.levels[:, : len(shown)].reshape(-1, *tiles.levels.shape[2:])
                for tiles in cell.methods
            ]
        )
        return {
            "family": key.family,
            "model": key.model,
            "resolution": key.resolution,
            "seeds": [run.key.seed for run in cell.runs],
            "fires": bool(alarmed),
            "alarm": [place_of[position] for position in alarmed if position in place_of],
            "runs": [_run_record(run, shown, self.images.labels) for run in cell.runs],
            "methods": [
                _method_record(tiles, cell.runs, shown)
                | {"failed": (key.model, key.resolution, tiles.method) in failed}
                for tiles in cell.methods
            ],
            "width": width,
            "sprite": sprite,
        }


def _run_record(run: BrowsedRun, shown: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return where a run is wrong or right for the wrong reason, and its probabilities.

    `top` has for every image a list class, probability in thousandths, class, ... of the most
    probable classes, and of the label if it is not among them.
    """
    top = []
    for position in shown:
        shares = run.probabilities[position]
        leading = np.argsort(-shares, kind="stable")[:MAX_CLASSES].tolist()
        label = int(labels[run.index[position]])
        row: list[int] = []
        for number in dict.fromkeys([*leading, label]):
            row += [number, round(1000 * float(shares[number]))]
        top.append(row)
    return {
        "wrong": np.flatnonzero(run.wrong[shown]).tolist(),
        "off": np.flatnonzero(run.off_object[shown]).tolist(),
        "top": top,
    }


def _method_record(
    tiles: MethodTiles, runs: Sequence[BrowsedRun], shown: np.ndarray
) -> dict[str, Any]:
    """Return the numbers of the maps of a method, seed by seed; thousandths but for `scale`."""
    count = len(shown)
    mass = np.array([run.mass[tiles.method][shown] for run in runs])
    share = np.array([run.share[tiles.method][shown] for run in runs])
    return {
        "method": tiles.method,
        "side": tiles.levels.shape[-1],
        "scale": tiles.scales[:, :count].ravel().tolist(),
        "mass": _thousandths(mass),
        "share": _thousandths(share),
        "agreement": _thousandths(tiles.agreement[:, :count]),
    }


def _thousandths(values: np.ndarray) -> list[int | None]:
    """Return values in thousandths, None for NaN."""
    return [
        None if np.isnan(value) else round(1000 * value) for value in values.ravel().tolist()
    ]
