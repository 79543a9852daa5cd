"""Candidates against the best and against each other: who is shown to be as good, who is shown to be worse, what is open."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from resomap.analysis.answers import Answers, Cell, paired
from resomap.analysis.statistics import (
    Interval,
    Pool,
    compute_spread,
    difference_interval,
    pool_spreads,
)


@dataclass(frozen=True)
class Cost:
    """Latency of one picture at batch 1, ms; `valid` is False when the machine was disturbed while it was measured."""

    p50: float
    p90: float
    valid: bool


@dataclass(frozen=True)
class Candidate:
    """A cell that may be chosen, with its answers on both splits; `cost` is None where it was not measured."""

    val: Answers
    test: Answers
    cost: Cost | None

    @property
    def cell(self) -> Cell:
        """Its model and resolution."""
        return self.val.cell

    @property
    def val_accuracy(self) -> float:
        """Mean over seeds and validation pictures, in [0, 1]."""
        return float(self.val.own.mean())

    @property
    def price(self) -> float:
        """Median latency, ms; infinite where it was not measured."""
        return self.cost.p50 if self.cost else np.inf

    @property
    def rank(self) -> tuple[float, float, int]:
        """Grows with validation accuracy; the cheaper of equals, then the smaller, ranks higher."""
        return self.val_accuracy, -self.price, -self.cell.resolution


@dataclass(frozen=True)
class Comparison:
    """A candidate against the best: `verdict` is `within` the margin, `worse`, or `open`.

    `difference` is its interval against the best; `shown_within` the largest deficit against any candidate that the data leave possible.
    """

    candidate: Candidate
    difference: Interval
    shown_within: float
    verdict: str
    cheaper: bool


@dataclass(frozen=True)
class Contest:
    """All candidates compared on validation pictures; `error` is the one-sided level of each interval, `pool` its seed variance."""

    best: Candidate
    comparisons: tuple[Comparison, ...]
    pool: Pool | None
    error: float
    margin: float


def hold_contest(candidates: Sequence[Candidate], margin: float, confidence: float) -> Contest:
    """Compare every candidate with every other; the best is the most accurate.

    A candidate is `within` when it is shown non-inferior to *each* other, so it need not be known which one is truly best. The error
    1 - confidence is shared equally by the candidates that cost less than the best.
    """
    best = max(candidates, key=lambda candidate: candidate.rank)
    pool = pool_differences([candidate.val for candidate in candidates])
    error = (1 - confidence) / max(
        sum(candidate.price < best.price < np.inf for candidate in candidates), 1
    )
    others = [candidate for candidate in candidates if candidate is not best]
    return Contest(
        best,
        tuple(_compare(one, best, candidates, margin, pool, error) for one in others),
        pool,
        error,
        margin,
    )


def _compare(
    candidate: Candidate,
    best: Candidate,
    candidates: Sequence[Candidate],
    margin: float,
    pool: Pool | None,
    error: float,
) -> Comparison:
    against = {
        other.cell: difference_interval(*matched(candidate.val, other.val), 1 - 2 * error, pool)
        for other in candidates
        if other is not candidate
    }
    difference = against[best.cell]
    shown_within = max(0.0, -min(interval.low for interval in against.values()))
    verdict = (
        "within" if shown_within <= margin else "worse" if difference.high < -margin else "open"
    )
    return Comparison(
        candidate, difference, shown_within, verdict, candidate.price < best.price < np.inf
    )


def matched(first: Answers, second: Answers) -> tuple[np.ndarray, np.ndarray]:
    """Answers of two cells (seeds, N) with rows of the same seeds."""
    rows, other_rows = paired(first, second)
    return first.own[rows], second.own[other_rows]


def difference(first: Answers, second: Answers) -> np.ndarray:
    """first - second by seed and picture, in {-1, 0, 1}."""
    own, other = matched(first, second)
    return own.astype(float) - other


def pool_differences(answers: Sequence[Answers]) -> Pool | None:
    """Seed variance shared by the differences of all pairs of cells."""
    spreads = [
        compute_spread(difference(first, second)) for first, second in combinations(answers, 2)
    ]
    return pool_spreads(spreads, max_df=len(answers) - 1)
