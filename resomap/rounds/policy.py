"""Which runs the next round of a sweep trains, and when the rounds end.

Successive elimination (Maron and Moore 1994, "Hoeffding races"): every cell is trained once,
then those that may be within the margin of the best, then only those that the answer still
depends on. No cell is given up for good: what a later round shows may bring it back.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from resomap.analysis.decision.budgets import apply_budgets
from resomap.analysis.decision.candidates import Candidate, cheapest_ways
from resomap.analysis.decision.choice import answer_status
from resomap.analysis.decision.comparison import Comparison, Ranking, rank_candidates
from resomap.analysis.decision.looks import RESERVE, error_shares
from resomap.analysis.decision.outlook import SEED_SD
from resomap.analysis.predictions import Cell
from resomap.config.report import Report
from resomap.rounds.promise import binding_rivals, chance_certified

MIN_CHANCE = 0.2
"""A cheaper candidate is worth more seeds while its chance of a certificate is at least this."""
CONTENTION_SDS = 1.5
"""After one seed, a cell stays that is below the margin by less than so many standard errors."""
MEASURED_VALUE = 0.5
"""Level of a one-sided bound that is the measured value itself."""
NO_BUDGETS_ON_RESULTS: dict[str, Any] = {
    "min_accuracy": None,
    "min_balanced_accuracy": None,
    "min_recall": (),
    "min_localisation": None,
    "alarms": "allowed",
    "max_failed_seeds": sys.maxsize,
}
End = Literal["settled", "hopeless", "seeds"]


class PlannedRun(NamedTuple):
    """A training of the grid."""

    family: str
    model: str
    resolution: int
    seed: int


@dataclass(frozen=True)
class TrainingGrid:
    """The cells that rounds may train, the seeds in their order, and the rules of the answer.

    `confidence` and `margin` are those of `rules`.
    """

    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    rules: Report
    classes: tuple[str, ...] = ()

    @property
    def error_shares(self) -> list[float]:
        """Return the share of the error that the look after each round may spend."""
        return error_shares(len(self.seeds), 1 - self.rules.confidence)

    def error_share(self, rounds: int) -> float:
        """Return the share after so many rounds; the reserve where they may spend nothing yet."""
        return self.error_shares[rounds - 1] or RESERVE


@dataclass(frozen=True)
class Plan:
    """The runs of the next round with a reason for each cell, or `end`, which says why none follow.

    `dropped` says why the other cells get no more seeds.
    """

    runs: tuple[PlannedRun, ...] = ()
    reasons: Mapping[Cell, str] = field(default_factory=dict)
    dropped: Mapping[Cell, str] = field(default_factory=dict)
    end: End | None = None


def first_round(grid: TrainingGrid) -> Plan:
    """Train every cell with the first seed."""
    return _plan(grid, dict.fromkeys(grid.cells, "not trained yet"), {}, seeds=1)


def next_round(
    grid: TrainingGrid,
    candidates: Sequence[Candidate],
    trained: Mapping[Cell, int],
    rounds: int,
    *,
    learned: bool = True,
) -> Plan:
    """Plan the round after `rounds` of them, of which the `candidates` are the results.

    `trained` counts the seeds of every cell, those that failed included, and `learned` is whether
    a network is shown to beat the majority class.
    """
    allowed, _ = apply_budgets(candidates, grid.rules, grid.classes)
    needed = _may_keep_budgets(grid, candidates, allowed)
    allowed = cheapest_ways(allowed)
    end: End | None = "hopeless"
    if allowed:
        ranking = _rank(grid, allowed, grid.error_share(rounds))
        if rounds == 1 or not learned:
            needed |= _contenders(ranking)
            end = None
        else:
            of_answer, end = _deciding(grid, ranking)
            needed |= of_answer
    dropped = _dropped(grid, candidates, allowed, needed)
    if not needed or rounds == len(grid.seeds):
        return Plan(dropped=dropped, end="seeds" if needed else end)
    return _plan(grid, needed, dropped, seeds=rounds + 1, trained=trained)


def _rank(grid: TrainingGrid, allowed: Sequence[Candidate], share: float) -> Ranking:
    rules = grid.rules
    return rank_candidates(
        allowed, rules.margin, rules.confidence, rules.accept_confounds, share
    )


def _may_keep_budgets(
    grid: TrainingGrid, candidates: Sequence[Candidate], allowed: Sequence[Candidate]
) -> dict[Cell, str]:
    """Return the cells that keep every budget by their measured values, and are not shown to."""
    of_costs = grid.rules.model_copy(update=NO_BUDGETS_ON_RESULTS)
    affordable, _ = apply_budgets(candidates, of_costs, grid.classes)
    possible, _ = apply_budgets(candidates, grid.rules, grid.classes, error=MEASURED_VALUE)
    shown = {id(one) for one in allowed}
    open_cells = {id(one) for one in affordable} & {id(one) for one in possible} - shown
    return {one.cell: "may keep the budgets" for one in candidates if id(one) in open_cells}


def _contenders(ranking: Ranking) -> dict[Cell, str]:
    """Return the cells that one seed does not set clearly below the margin."""
    best, val = ranking.best, ranking.val
    # What seeds add is not known yet.
    error = np.sqrt(val.image_variance[:, best] + 2 * SEED_SD**2)
    near = val.differences[:, best] > -(ranking.margin + CONTENTION_SDS * error)
    return {ranking.candidates[cell].cell: "near the best" for cell in np.flatnonzero(near)}


def _deciding(grid: TrainingGrid, ranking: Ranking) -> tuple[dict[Cell, str], End | None]:
    """Return the cells that the answer depends on, or how the rounds end."""
    comparisons = ranking.comparisons()
    status = answer_status(ranking, comparisons)
    if status == "best":
        return {}, "settled"
    final = (1 - grid.rules.confidence) * grid.error_shares[-1]
    chances = chance_certified(ranking, len(grid.seeds), final)
    targets = _targets(ranking, comparisons, chances)
    if not targets:
        return {}, "settled" if status == "chosen" else "hopeless"
    needed = {}
    for cell in targets:
        for rival in np.flatnonzero(binding_rivals(ranking, cell, final)):
            needed[ranking.candidates[rival].cell] = "may be above the margin over another"
    for cell in targets:
        needed[ranking.candidates[cell].cell] = "may be the answer"
    return needed, None


def _targets(
    ranking: Ranking, comparisons: Sequence[Comparison], chances: np.ndarray
) -> list[int]:
    """Return the candidates that may become the answer: cheaper ones, and a best without proof."""
    worse = {id(one.candidate) for one in comparisons if one.verdict == "worse"}
    certified = ranking.certificate.certified
    standing = ranking.best if certified is None else certified
    possible = chances >= MIN_CHANCE
    targets = [
        cell
        for cell, one in enumerate(ranking.candidates)
        if id(one) not in worse and possible[cell] and ranking.cheaper[cell, standing]
    ]
    # Its rivals are trained with it, so that it is tested again.
    if certified is None and (targets or possible[standing]):
        targets.append(standing)
    return targets


def _dropped(
    grid: TrainingGrid,
    candidates: Sequence[Candidate],
    allowed: Sequence[Candidate],
    needed: Iterable[Cell],
) -> dict[Cell, str]:
    """Return why the other cells get no more seeds."""
    kept = {one.cell for one in allowed}
    return {
        cell: "cannot change the answer" if cell in kept else "outside of the budgets"
        for cell in dict.fromkeys(one.cell for one in candidates)
        if cell not in needed
    }


def _plan(
    grid: TrainingGrid,
    needed: Mapping[Cell, str],
    dropped: Mapping[Cell, str],
    seeds: int,
    trained: Mapping[Cell, int] | None = None,
) -> Plan:
    """Bring the needed cells to this number of seeds, as far as the sweep has them."""
    known = trained or {}
    runs = tuple(
        PlannedRun(*cell, seed)
        for cell in grid.cells
        if cell in needed
        for seed in grid.seeds[known.get(cell, 0) : seeds]
    )
    return Plan(runs, needed, dropped, None if runs else "seeds")
