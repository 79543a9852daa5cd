"""Two sweeps compared cell by cell on the same test images: what differs, and by how much."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from resomap.analysis.accuracies import Split
from resomap.analysis.decision.confounds import SeedFacts
from resomap.analysis.decision.inputs import facts_by_seed, read_split, read_sweep
from resomap.analysis.predictions import Cell, Predictions, cell_runs, common_seeds
from resomap.analysis.run_tables import read_environment
from resomap.analysis.statistics import (
    Interval,
    difference_interval,
    pool_seed_variance,
)
from resomap.config.schema import Config
from resomap.errors import DataError
from resomap.text import format_count
from resomap.workflow.checked_tables import read_table

ComparisonRecord = dict[str, Any]
OBSERVED = ("steps", "images_seen", "learning_rate", "batchnorm_batch", "code")
"""Facts of runs that their configurations do not determine alone."""
# What changes no number of a cell as trained: names, the grid, and what is done afterwards.
IRRELEVANT = (
    "evaluation.",
    "experiment.",
    "explainability.",
    "mlflow.",
    "report.",
    "sweep.",
    "system.profiling.",
    "system.training.save_every_",
)
PIXELS = ["class", "pixels", "source"]


@dataclass(frozen=True)
class RecordedRuns:
    """A sweep in `directory`: its configuration, environments and predictions on test images."""

    directory: Path
    config: Config
    environment: dict[str, list[Any]]
    """Values of every entry of the environments, and of what the runs themselves show."""
    classes: list[str]
    images: list[tuple[str, str, str]]
    """Class, digest of the pixels and source of every test image."""
    test: Split
    other_images: frozenset[tuple[str, ...]] = frozenset()
    """Split, class and digest of the pixels of the images of training and validation."""


def read_runs(directory: Path, config: Config) -> RecordedRuns:
    """Read the finished runs of the sweep in `directory`."""
    results = directory / "results"
    manifest, cells, seeds, runs = read_sweep(results, config)
    facts = [facts_by_seed(cell_runs(cell, seeds, runs)) for cell in cells]
    images, others = _read_images(results / "data" / "pictures.csv")
    return RecordedRuns(
        directory,
        config,
        read_environment(cells, seeds, runs) | _observed(facts),
        manifest["classes"],
        images,
        read_split(cells, seeds, runs, manifest, "test"),
        others,
    )


def _read_images(path: Path) -> tuple[list[tuple[str, str, str]], frozenset[tuple[str, ...]]]:
    """Return the test images in their order, and all other images, as in `RecordedRuns`."""
    if not path.exists():
        raise DataError(f"{path}: not found: it says which images both sweeps share")
    table = read_table(path, dtype=str, usecols=["split", "index", *PIXELS])
    is_test = table["split"] == "test"
    test = table[is_test].sort_values("index", key=lambda index: index.astype(int))
    others = table.loc[~is_test, ["split", "class", "pixels"]]
    return (
        list(test[PIXELS].itertuples(index=False, name=None)),
        frozenset(others.itertuples(index=False, name=None)),
    )


def _observed(facts: Sequence[SeedFacts]) -> dict[str, list[Any]]:
    """Return the values of what the runs show, and neither configuration nor environment does."""
    every_run = [of_run for of_cell in facts for of_run in of_cell.values()]
    values = {}
    for name in OBSERVED:
        seen = dict.fromkeys(of_run[name] for of_run in every_run)
        values[name] = [value for value in seen if value is not None]
    return values


def compare_sweeps(
    first: RecordedRuns, second: RecordedRuns, confidence: float
) -> ComparisonRecord:
    """Return what differs between two sweeps, and the accuracy of the second minus the first.

    Cells are compared as trained, by the seeds that both have. `shown` is whether the interval
    that all cells share excludes 0. DataError where the sweeps have other test images.
    """
    check_same_images(first, second)
    differences = _differences(first.test, second.test)
    cells = [*_compare_cells(first.test, second.test, differences, confidence)]
    known = {cell for cell in chain(first.test, second.test) if cell not in differences}
    overall = _overall(list(differences.values()), confidence)
    return {
        "directories": [str(first.directory), str(second.directory)],
        "confidence": confidence,
        "n_test": len(first.images),
        "configuration": list(_differing_keys(first.config, second.config)),
        "environment": list(_differing_environments(first, second)),
        "same_training_images": first.other_images == second.other_images,
        "cells": cells,
        "overall": None if overall is None else asdict(overall),
        "unmatched": [cell._asdict() for cell in sorted(known)],
    }


def check_same_images(first: RecordedRuns, second: RecordedRuns) -> None:
    """Raise DataError unless both sweeps have the same test images in the same order."""
    path = second.directory / "results" / "data" / "pictures.csv"
    problem = f"{path}: not the test images of {first.directory}"
    remedy = "compare sweeps of the same images and splits"
    counts = [format_count(len(one.images), "test image") for one in (first, second)]
    if len(first.images) != len(second.images):
        raise DataError(f"{problem}: {counts[1]}, not {counts[0]}; {remedy}")
    if first.classes != second.classes:
        raise DataError(f"{problem}: other classes, or in another order; {remedy}")
    pairs = list(zip(first.images, second.images, strict=True))
    other = [index for index, (one, two) in enumerate(pairs) if one[:2] != two[:2]]
    if other:
        one, two = pairs[other[0]]
        change = "with other content" if one[2] == two[2] else f"where it was {one[2]}"
        raise DataError(
            f"{problem}: {len(other)} of {counts[0]} differ, the first is {two[2]} {change}; {remedy}"
        )


def _differences(first: Split, second: Split) -> dict[Cell, np.ndarray]:
    """Return the differences (seeds, images) of every cell and seed that both sweeps have."""
    differences = {}
    for cell, one in first.items():
        seeds = common_seeds(one, second[cell]) if cell in second else []
        if seeds:
            own, other = (_rows(each, seeds) for each in (one, second[cell]))
            differences[cell] = other.astype(float) - own
    return differences


def _rows(predictions: Predictions, seeds: Sequence[int]) -> np.ndarray:
    """Return the correctness of some seeds as trained (seeds, images)."""
    return predictions.correct_as_trained[predictions.rows_of(seeds)]


def _compare_cells(
    first: Split, second: Split, differences: Mapping[Cell, np.ndarray], confidence: float
) -> Iterator[ComparisonRecord]:
    """Yield the difference of every cell."""
    pool = pool_seed_variance(differences.values())
    # Bonferroni: no cell that is alike is shown to differ, with the confidence for all together.
    joint = 1 - (1 - confidence) / max(len(differences), 1)
    for cell in differences:
        seeds = common_seeds(first[cell], second[cell])
        one, two = _rows(first[cell], seeds), _rows(second[cell], seeds)
        wide = difference_interval(two, one, joint, pool)
        yield {
            **cell._asdict(),
            "n_seeds": len(seeds),
            "accuracies": [float(one.mean()), float(two.mean())],
            "difference": asdict(difference_interval(two, one, confidence, pool)),
            "shown": not wide.low <= 0 <= wide.high,
        }


def _overall(differences: Sequence[np.ndarray], confidence: float) -> Interval | None:
    """Return the mean difference of all cells; None where they share no seeds."""
    if len({len(values) for values in differences}) != 1:
        return None
    # The cells predict the same images, so that their errors are not independent.
    mean = np.mean(differences, axis=0)
    return difference_interval(mean, np.zeros_like(mean), confidence)


def _differing_keys(first: Config, second: Config) -> Iterator[ComparisonRecord]:
    """Yield the keys of the configuration that change numbers and differ."""
    # Of all known models, those of cells that may be compared.
    common = set(first.sweep.models) & set(second.sweep.models)
    for entry in _differing_entries(_settings(first), _settings(second)):
        section, _, rest = str(entry["key"]).partition(".")
        if section != "models" or rest.partition(".")[0] in common:
            yield entry


def _settings(config: Config) -> dict[str, Any]:
    values = config.model_dump(mode="json")
    return values | {"models": {model["name"]: model for model in values["models"]}}


def _differing_entries(first: Any, second: Any, key: str = "") -> Iterator[ComparisonRecord]:
    """Yield what differs, by its key such as `training.epochs`.

    A section that only one has is one entry: to switch it on is one change.
    """
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for name in dict.fromkeys([*first, *second]):
            inner = f"{key}.{name}" if key else name
            yield from _differing_entries(first.get(name), second.get(name), inner)
    elif first != second and not key.startswith(IRRELEVANT):
        yield {"key": key, "values": [first, second]}


def _differing_environments(
    first: RecordedRuns, second: RecordedRuns
) -> Iterator[ComparisonRecord]:
    """Yield versions, devices and facts of runs that differ, where both sweeps have them."""
    for entry in _differing_entries(first.environment, second.environment):
        if all(entry["values"]):
            yield entry
