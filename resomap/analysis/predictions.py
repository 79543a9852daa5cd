"""The cells and runs of a sweep, and the predictions of every run, image by image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from resomap import metrics
from resomap.config.architecture import Architecture
from resomap.errors import DataError
from resomap.text import format_count
from resomap.workflow.checked_files import read_arrays
from resomap.workflow.layout import RunStatus
from resomap.workflow.predictions import RAW, PredictionMode, logits_name, stored_logits
from resomap.workflow.sweep_results import SweepResults, run_status, run_wildcards


class Cell(NamedTuple):
    """One model at one resolution, px."""

    family: str
    model: str
    resolution: int

    def __str__(self) -> str:
        return f"{self.model} at {self.resolution} px"


ModelFiles = Mapping[tuple[str, str], Path]
"""A file of each model, by family and model."""


@dataclass(frozen=True)
class RunFolders:
    """The folder of all runs, and which of their results belong to the sweep.

    Without `sweep` all do that exist.
    """

    folder: Path
    sweep: SweepResults | None = None
    explained: bool = True
    """Whether the sweep has explanations; those of an earlier one are not read."""
    _statuses: dict[Path, RunStatus] = field(default_factory=dict)

    def status(self, run: Path) -> RunStatus:
        """Return the status of the run in the folder `run`, read once for all tables."""
        if run not in self._statuses:
            self._statuses[run] = run_status(run, self.sweep)
        return self._statuses[run]

    def explanations(self, run: Path) -> Path | None:
        """Return the folder of the explanations of a run; None where it has none of this sweep."""
        if not self.explained:
            return None
        if self.sweep and self.sweep.state("explain", **run_wildcards(run)) != "current":
            return None
        return run / "explanations"


class Run(NamedTuple):
    """One trained cell; `folder` holds its results, `explanations` those of its methods."""

    cell: Cell
    seed: int
    folder: Path
    status: RunStatus
    explanations: Path | None


@dataclass(frozen=True)
class Predictions:
    """Correctness of one cell on one split: a row per finished seed, a column per image.

    `correct[px]` (seeds, N) is evaluated at px as trained, `adapted[mode, px]` after adaptation
    or quantisation; a mode that a network does not have is missing. `pair_correct` (seeds, N) is 1 where the logit
    of the label beats that of its pair partner at the training resolution; it is NaN for images
    of classes without a partner. `labels` is (N,).
    """

    cell: Cell
    seeds: tuple[int, ...]
    labels: np.ndarray
    correct: dict[int, np.ndarray]
    pair_correct: np.ndarray
    adapted: dict[tuple[PredictionMode, int], np.ndarray] = field(default_factory=dict)

    @property
    def correct_as_trained(self) -> np.ndarray:
        """Correctness at the training resolution (seeds, N)."""
        return self.correct[self.cell.resolution]

    @property
    def majority_accuracy(self) -> float:
        """Return the accuracy of always predicting the most frequent class of these images."""
        # Of these images, not of the training images: no constant prediction is more accurate.
        return float(np.bincount(self.labels).max() / len(self.labels))

    def rows_of(self, seeds: Sequence[int]) -> list[int]:
        """Return the rows of some of the seeds, in their order."""
        return [self.seeds.index(seed) for seed in seeds]

    def of_seeds(self, seeds: Sequence[int]) -> "Predictions":
        """Return the predictions of some of the seeds, in their order."""
        rows = self.rows_of(seeds)
        return replace(
            self,
            seeds=tuple(seeds),
            correct={px: values[rows] for px, values in self.correct.items()},
            pair_correct=self.pair_correct[rows],
            adapted={key: values[rows] for key, values in self.adapted.items()},
        )

    def by_mode(self) -> dict[tuple[PredictionMode, int], np.ndarray]:
        """Return the correctness (seeds, N) in every mode and at every resolution."""
        found: dict[tuple[PredictionMode, int], np.ndarray] = {}
        for px, values in self.correct.items():
            found[RAW, px] = values
        return found | self.adapted

    def with_mode(self, mode: PredictionMode, px: int, correct: np.ndarray) -> "Predictions":
        """Return the predictions with the correctness (seeds, N) of one more mode."""
        return replace(self, adapted={**self.adapted, (mode, px): correct})


def sweep_cells(models: Sequence[Architecture], resolutions: Sequence[int]) -> list[Cell]:
    """List every cell of the sweep, model by model."""
    return [Cell(model.family, model.name, px) for model in models for px in resolutions]


def cell_runs(cell: Cell, seeds: Sequence[int], runs: RunFolders) -> list[Run]:
    """List the runs of a cell, whether they exist or not."""
    parent = runs.folder / cell.family / cell.model / f"r{cell.resolution}"
    folders = {seed: parent / f"seed{seed}" for seed in seeds}
    return [
        Run(cell, seed, folder, runs.status(folder), runs.explanations(folder))
        for seed, folder in folders.items()
    ]


def sweep_runs(cells: Sequence[Cell], seeds: Sequence[int], runs: RunFolders) -> list[Run]:
    """List every run of the sweep, whether it exists or not."""
    return list(chain.from_iterable(cell_runs(cell, seeds, runs) for cell in cells))


def model_files(
    cells: Sequence[Cell], folder: Path, suffix: str, stage: str, sweep: SweepResults | None
) -> ModelFiles:
    """Return {family}/{model}{suffix} in `folder` of each model that has one of this sweep.

    `stage` is the stage that writes the files; without `sweep`, all that exist are returned.
    """
    files = {}
    for family, model in dict.fromkeys(cell[:2] for cell in cells):
        path = folder / family / f"{model}{suffix}"
        stale = sweep and sweep.state(stage, family=family, model=model) != "current"
        if path.exists() and not stale:
            files[family, model] = path
    return files


def common_seeds(first: Predictions, second: Predictions) -> list[int]:
    """List the seeds that both have, in order."""
    return sorted(set(first.seeds) & set(second.seeds))


def finished_runs(cells: Sequence[Cell], seeds: Sequence[int], runs: RunFolders) -> list[Run]:
    """List the runs that have numbers."""
    return [run for run in sweep_runs(cells, seeds, runs) if run.status == "ok"]


def read_predictions(
    cell: Cell, seeds: Sequence[int], runs: RunFolders, manifest: dict[str, Any], split: str
) -> Predictions | None:
    """Read the predictions of a cell on `split` (val or test); None when no run finished."""
    finished = finished_runs([cell], seeds, runs)
    if not finished:
        return None
    count = manifest["splits"][split]["count"]
    stored = [read_run_arrays(run, split, count) for run in finished]
    correct: dict[int, np.ndarray] = {}
    adapted: dict[tuple[PredictionMode, int], np.ndarray] = {}
    # Fine-tuning may have run out of memory in some of the runs.
    for mode, px in stored_logits(set.intersection(*map(set, stored))):
        values = _correct(stored, logits_name(px, mode))
        if mode == RAW:
            correct[px] = values
        else:
            adapted[mode, px] = values
    return Predictions(
        cell=cell,
        seeds=tuple(run.seed for run in finished),
        # All runs predict the same images in the same order.
        labels=stored[0]["label"],
        correct=correct,
        pair_correct=_pair_correct(stored, logits_name(cell.resolution), manifest["pairs"]),
        adapted=adapted,
    )


def read_run_arrays(run: Run, split: str, count: int) -> dict[str, np.ndarray]:
    """Return the predictions of one run on `split` (val or test): label, index and logits.

    DataError unless they are of all `count` images of the split.
    """
    file = "predictions.npz" if split == "test" else f"{split}_predictions.npz"
    path = run.folder / file
    arrays, name = read_arrays(path), logits_name(run.cell.resolution)
    shapes = [len(arrays[key]) for key in ("label", name) if key in arrays]
    if shapes != [count, count]:
        raise DataError(
            f"{path}: expected label and {name} of {format_count(count, 'image')}: delete it and "
            "run again"
        )
    return arrays


def _correct(stored: Sequence[dict[str, np.ndarray]], key: str) -> np.ndarray:
    """Compare the arg max of the logits `key` with the labels (seeds, N)."""
    return np.stack([arrays[key].argmax(axis=1) == arrays["label"] for arrays in stored])


def _pair_correct(
    stored: Sequence[dict[str, np.ndarray]], key: str, pairs: Sequence[Sequence[int]] | None
) -> np.ndarray:
    """Compare the logits `key` inside the pairs of classes (seeds, N)."""
    of_runs = []
    for arrays in stored:
        of_runs.append(metrics.pair_accuracy(arrays[key], arrays["label"], pairs))
    return np.stack(of_runs)


def group_of_class(manifest: dict[str, Any]) -> list[str | None]:
    """Return the group of each class by its index; None where the dataset has no groups."""
    groups = manifest["groups"] or {}
    return list(map(groups.get, manifest["classes"]))


def group_names(manifest: dict[str, Any]) -> list[str]:
    """Return the names of the groups in the order of their classes."""
    return [name for name in dict.fromkeys(group_of_class(manifest)) if name is not None]


def in_group(labels: np.ndarray, manifest: dict[str, Any], group: str) -> np.ndarray:
    """Return a mask (N,) of the images whose class belongs to the group."""
    is_member = np.array([name == group for name in group_of_class(manifest)])
    return is_member[labels]
