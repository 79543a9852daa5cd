"""Rows of cascades.csv: pairs and triples of cells as cascades, and ensembles of resolutions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from resomap.analysis.per_image.answers import CellAnswers, read_answers, read_ensemble
from resomap.analysis.per_image.cascades import (
    Cascade,
    fit_cascade,
)
from resomap.analysis.predictions import Cell, RunFolders
from resomap.analysis.profiles import Row
from resomap.analysis.statistics import (
    Pool,
    accuracy_interval,
    difference_interval,
    mean_interval,
    pool_seed_variance,
)

MAX_STAGES = 6
"""Cells that cascades are made of, of those that no cheaper cell beats."""
TOLERANCE_SHARE = 0.25
"""What a cascade may lose on validation images, as a share of the margin of the report."""
CLAIMS = 3
"""The two predictions hold at once with the confidence of the report, and one is to spare: means
of images that are nearly all right are skewed."""


class SeedPools(NamedTuple):
    """The seed variance of accuracies and of differences, pooled over the single cells."""

    accuracy: Pool | None
    difference: Pool | None


@dataclass(frozen=True)
class PricedCell:
    """A cell with its median latency of one image, ms, and its answers."""

    cell: Cell
    cost: float
    answers: CellAnswers

    def __str__(self) -> str:
        return f"{self.cell.model}@{self.cell.resolution}"

    @property
    def val_accuracy(self) -> float:
        """Mean over seeds and validation images."""
        return float(self.answers.val.correct.mean())


def cascade_rows(
    costs: Mapping[Cell, float],
    seeds: Sequence[int],
    runs: RunFolders,
    margin: float,
    confidence: float,
) -> Iterator[Row]:
    """Yield a row per cascade and ensemble of the cells with a cost (median latency, ms)."""
    cells = []
    for cell, cost in costs.items():
        answers = read_answers(cell, seeds, runs)
        # A cell that does not fit into memory has no latency.
        if answers is not None and np.isfinite(cost):
            cells.append(PricedCell(cell, cost, answers))
    front = pareto_front(cells)
    pools = pool_cells(cells, front)
    for count in (2, 3):
        for stages in combinations(front, count):
            common = _common_seeds(stages)
            if common:
                yield _cascade_row(stages, common, cells, pools, margin, confidence)
    for key in dict.fromkeys(each.cell[:2] for each in cells):
        members = [each for each in cells if each.cell[:2] == key]
        ensemble = read_ensemble([each.cell for each in members], seeds, runs)
        if len(members) > 1 and ensemble is not None:
            yield _ensemble_row(members, ensemble, cells, pools, confidence)


def pool_cells(cells: Sequence[PricedCell], front: Sequence[PricedCell]) -> SeedPools:
    """Return the pooled seed variances; None where no cell has two seeds.

    Differences are those of the cells of `front`, as a large sweep has thousands of pairs.
    """
    differences = []
    for first, second in combinations(front, 2):
        common = _common_seeds((first, second))
        if common:
            own, other = (
                each.answers.of_seeds(common).test.correct for each in (first, second)
            )
            differences.append(own.astype(float) - other)
    correct = [each.answers.test.correct for each in cells]
    return SeedPools(pool_seed_variance(correct), pool_seed_variance(differences))


def pareto_front(cells: Sequence[PricedCell]) -> list[PricedCell]:
    """Return the cells that no cheaper one equals on validation images, cheapest first."""
    front: list[PricedCell] = []
    for each in sorted(cells, key=lambda each: (each.cost, -each.val_accuracy)):
        if not front or each.val_accuracy > front[-1].val_accuracy:
            front.append(each)
    # Both ends, and what lies between at equal steps.
    kept = np.linspace(0, len(front) - 1, min(len(front), MAX_STAGES)).round().astype(int)
    return [front[index] for index in kept]


def _common_seeds(cells: Sequence[PricedCell]) -> list[int]:
    return sorted(set.intersection(*(set(each.answers.seeds) for each in cells)))


def _cascade_row(
    stages: Sequence[PricedCell],
    seeds: Sequence[int],
    cells: Sequence[PricedCell],
    pools: SeedPools,
    margin: float,
    confidence: float,
) -> Row:
    answers = [each.answers.of_seeds(seeds) for each in stages]
    costs = [each.cost for each in stages]
    cascade = fit_cascade(answers, costs, TOLERANCE_SHARE * margin)
    test = cascade.run("test")
    cost = mean_interval(test.costs(costs), confidence)
    saved = [1 - value / costs[-1] for value in (cost.mean, cost.high, cost.low)]
    row = {
        "kind": "cascade",
        "stages": " > ".join(map(str, stages)),
        "thresholds": format_thresholds(cascade),
        **accuracy_interval(test.passed[0], confidence).columns("escalated"),
        **_predictions(cascade, test.correct.shape[1], confidence),
        **cost.columns("cost_ms"),
        **dict(zip(("saved", "saved_low", "saved_high"), saved, strict=True)),
        **_comparisons(test.correct, seeds, stages[-1], cells, pools, cost.mean, confidence),
    }
    num_val = answers[0].val.correct.shape[1]
    return row | {"n_val": num_val, "verdict": _verdict(row, cascade, margin)}


def format_thresholds(cascade: Cascade) -> str:
    """Return the mean threshold of each stage; a stage that answers nothing has `none`."""
    means = [threshold.mean() for threshold in cascade.thresholds]
    return ", ".join("none" if np.isinf(mean) else f"{mean:.3f}" for mean in means)


def _predictions(cascade: Cascade, num_test: int, confidence: float) -> dict[str, float]:
    accuracy, cost = cascade.predict(num_test, 1 - (1 - confidence) / CLAIMS)
    return {**accuracy.columns("predicted_accuracy"), **cost.columns("predicted_cost_ms")}


def _comparisons(
    correct: np.ndarray,
    seeds: Sequence[int],
    last: PricedCell,
    cells: Sequence[PricedCell],
    pools: SeedPools,
    cost: float,
    confidence: float,
) -> dict[str, Any]:
    """Return the accuracy, and how it differs from `last` and from a single cell of that cost."""
    others = last.answers.of_seeds(seeds).test.correct
    difference = difference_interval(correct, others, confidence, pools.difference)
    row: dict[str, Any] = {
        "n_seeds": len(seeds),
        "n": correct.shape[1],
        **accuracy_interval(correct, confidence, pools.accuracy).columns("accuracy"),
        "last": str(last),
        "last_cost_ms": last.cost,
        **difference.columns("difference"),
    }
    affordable = [
        each for each in cells if each.cost <= cost and set(seeds) <= set(each.answers.seeds)
    ]
    if affordable:
        single = max(affordable, key=lambda each: each.val_accuracy)
        alone = single.answers.of_seeds(seeds).test.correct
        gain = difference_interval(correct, alone, confidence, pools.difference)
        row |= {"single": str(single), **gain.columns("gain")}
    return row


def _verdict(row: Mapping[str, Any], cascade: Cascade, margin: float) -> str:
    """Return whether a cascade is shown to save time at an accuracy within the margin."""
    if not cascade.saves_on_val:
        return "nothing"
    return "saves" if row["saved_low"] > 0 and row["difference_low"] > -margin else "open"


def _ensemble_row(
    members: Sequence[PricedCell],
    ensemble: CellAnswers,
    cells: Sequence[PricedCell],
    pools: SeedPools,
    confidence: float,
) -> Row:
    cost = sum(each.cost for each in members)
    best = max(members, key=lambda each: each.val_accuracy)
    row = {
        "kind": "ensemble",
        "stages": " + ".join(map(str, members)),
        "n_val": ensemble.val.correct.shape[1],
        "cost_ms": cost,
        "saved": 1 - cost / best.cost,
        **_comparisons(
            ensemble.test.correct, ensemble.seeds, best, cells, pools, cost, confidence
        ),
    }
    return row | {"verdict": "gains" if row["difference_low"] > 0 else "open"}
