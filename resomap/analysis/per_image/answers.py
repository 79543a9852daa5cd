"""How sure and how right the networks of a cell are, image by image, alone or averaged."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from resomap.analysis.predictions import Cell, Run, RunFolders, finished_runs
from resomap.calibration import log_probabilities
from resomap.workflow.checked_files import read_arrays
from resomap.workflow.predictions import logits_name

FILES = {"val": "val_predictions.npz", "test": "predictions.npz"}


class Answers(NamedTuple):
    """Probability of the predicted class, and whether it is the label, both (seeds, N)."""

    confidence: np.ndarray
    correct: np.ndarray


@dataclass(frozen=True)
class CellAnswers:
    """The answers of networks at their training resolution, a row per seed."""

    seeds: tuple[int, ...]
    val: Answers
    test: Answers

    def of_seeds(self, seeds: Sequence[int]) -> "CellAnswers":
        """Return the rows of `seeds`, in their order."""
        rows = [self.seeds.index(seed) for seed in seeds]
        val, test = (
            Answers(*(part[rows] for part in split)) for split in (self.val, self.test)
        )
        return CellAnswers(tuple(seeds), val, test)


def read_answers(cell: Cell, seeds: Sequence[int], runs: RunFolders) -> CellAnswers | None:
    """Read the answers of a cell; None when no run finished."""
    finished = finished_runs([cell], seeds, runs)
    return _collect([[run] for run in finished]) if finished else None


def read_ensemble(
    cells: Sequence[Cell], seeds: Sequence[int], runs: RunFolders
) -> CellAnswers | None:
    """Read the answers of the mean probabilities of all `cells`, for seeds that have them all."""
    by_seed: dict[int, list[Run]] = {}
    for run in finished_runs(cells, seeds, runs):
        by_seed.setdefault(run.seed, []).append(run)
    members = [own for _, own in sorted(by_seed.items()) if len(own) == len(cells)]
    return _collect(members) if members else None


def _collect(members: Sequence[Sequence[Run]]) -> CellAnswers:
    splits = {}
    for split, name in FILES.items():
        answers = [_answer(own, name) for own in members]
        splits[split] = Answers(*map(np.stack, zip(*answers, strict=True)))
    return CellAnswers(tuple(own[0].seed for own in members), splits["val"], splits["test"])


def _answer(members: Iterable[Run], name: str) -> Answers:
    """Return confidence and correctness (N,) of the mean probabilities of `members`."""
    total, count = np.zeros(()), 0
    for run in members:
        key = logits_name(run.cell.resolution)
        stored = read_arrays(run.folder / name, key, "label")
        total, count = total + np.exp(log_probabilities(stored[key])), count + 1
    shares = total / count
    return Answers(shares.max(axis=1), shares.argmax(axis=1) == stored["label"])
