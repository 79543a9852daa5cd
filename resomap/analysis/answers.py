"""The answers of every run, picture by picture: what all intervals are computed from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from resomap import metrics
from resomap.config import schema
from resomap.system import files
from resomap.workflow import layout


class Cell(NamedTuple):
    """One model at one resolution, px."""

    family: str
    model: str
    resolution: int

    def __str__(self) -> str:
        return f"{self.model} at {self.resolution} px"


class Run(NamedTuple):
    """One trained cell; `folder` holds its results."""

    cell: Cell
    seed: int
    folder: Path


@dataclass(frozen=True)
class Answers:
    """Right and wrong answers of one cell on one split, a row a seed that finished, a column a picture.

    `correct[px]` (seeds, N) is evaluated at px; `pair` (seeds, N) is the answer inside the pair at the cell's own resolution, NaN for
    pictures of no pair. `label` is (N,).
    """

    cell: Cell
    seeds: tuple[int, ...]
    label: np.ndarray
    correct: dict[int, np.ndarray]
    pair: np.ndarray

    @property
    def own(self) -> np.ndarray:
        """Answers at the training resolution (seeds, N)."""
        return self.correct[self.cell.resolution]


def sweep_cells(
    models: Sequence[schema.Architecture], resolutions: Sequence[int]
) -> list[Cell]:
    """Every cell of the sweep, in its order."""
    return [
        Cell(model.family, model.name, resolution)
        for model in models
        for resolution in resolutions
    ]


def cell_runs(cell: Cell, seeds: Sequence[int], runs: Path) -> list[Run]:
    """The runs of a cell under the folder `runs`, whether they exist or not."""
    return [
        Run(cell, seed, runs / cell.family / cell.model / f"r{cell.resolution}" / f"seed{seed}")
        for seed in seeds
    ]


def run_status(run: Run) -> layout.RunStatus:
    """Return the status of a run; see `layout.run_status`."""
    return layout.run_status(run.folder)


def read_answers(
    cell: Cell, seeds: Sequence[int], runs: Path, manifest: dict[str, Any], split: str
) -> Answers | None:
    """Read what the finished runs of a cell answered on `split` (val or test); None without a finished run."""
    name = "predictions.npz" if split == "test" else f"{split}_predictions.npz"
    finished = [run for run in cell_runs(cell, seeds, runs) if run_status(run) == "ok"]
    if not finished:
        return None
    stored = [files.read_arrays(run.folder / name) for run in finished]
    own = f"logits_r{cell.resolution}"
    return Answers(
        cell=cell,
        seeds=tuple(run.seed for run in finished),
        label=stored[0]["label"],
        correct={
            _eval_resolution(key): _stack(stored, key)
            for key in stored[0]
            if key.startswith("logits_r")
        },
        pair=np.stack(
            [
                metrics.pair_accuracy(arrays[own], arrays["label"], manifest["pairs"])
                for arrays in stored
            ]
        ),
    )


def _eval_resolution(key: str) -> int:
    return int(key.removeprefix("logits_r"))


def _stack(stored: Sequence[dict[str, np.ndarray]], key: str) -> np.ndarray:
    return np.stack([arrays[key].argmax(axis=1) == arrays["label"] for arrays in stored])


def paired(first: Answers, second: Answers) -> tuple[list[int], list[int]]:
    """Rows of two cells' answers that belong to the same seeds; in their order where no seed finished in both."""
    common = [seed for seed in first.seeds if seed in second.seeds]
    if not common:
        count = min(len(first.seeds), len(second.seeds))
        return list(range(count)), list(range(count))
    return [first.seeds.index(seed) for seed in common], [
        second.seeds.index(seed) for seed in common
    ]


def group_of_class(manifest: dict[str, Any]) -> list[str | None]:
    """The group of each class by its index; None where the data has no groups."""
    groups = manifest["groups"] or {}
    return [groups.get(name) for name in manifest["classes"]]


def group_names(manifest: dict[str, Any]) -> list[str]:
    """The groups in the order of their classes."""
    return [name for name in dict.fromkeys(group_of_class(manifest)) if name is not None]


def in_group(label: np.ndarray, manifest: dict[str, Any], group: str) -> np.ndarray:
    """Which pictures (N,) belong to the group."""
    return np.isin(
        label, [index for index, name in enumerate(group_of_class(manifest)) if name == group]
    )
