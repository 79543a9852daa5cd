"""Pairwise comparison of the candidates: as accurate as the best, worse, or open."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, starmap

import numpy as np

from resomap.analysis.predictions import Cell, Predictions, matching_rows
from resomap.analysis.statistics import Interval, Pool, difference_interval, pool_seed_variance


@dataclass(frozen=True)
class Latency:
    """Latency of one image at batch 1, ms; `valid` is False when the machine was disturbed."""

    p50: float
    p90: float
    valid: bool


@dataclass(frozen=True)
class Candidate:
    """A cell that may be chosen, with its predictions; `latency` is None when not measured."""

    val: Predictions
    test: Predictions
    latency: Latency | None

    @property
    def cell(self) -> Cell:
        """Model and resolution."""
        return self.val.cell

    @property
    def val_accuracy(self) -> float:
        """Mean over seeds and validation images, in [0, 1]."""
        return float(self.val.correct_as_trained.mean())

    @property
    def cost(self) -> float:
        """Median latency, ms; infinite when not measured."""
        return self.latency.p50 if self.latency else np.inf

    @property
    def rank(self) -> tuple[float, float, int]:
        """Sort key: validation accuracy, of equal ones the cheaper, then the smaller."""
        return self.val_accuracy, -self.cost, -self.cell.resolution

    @property
    def is_disturbed(self) -> bool:
        """Return whether the latency was measured and is marked invalid."""
        return self.latency is not None and not self.latency.valid

    def is_cheaper_than(self, other: "Candidate") -> bool:
        """Return whether both latencies are known and this one is smaller."""
        return self.cost < other.cost < np.inf


@dataclass(frozen=True)
class Comparison:
    """A candidate against the best: `verdict` is `within` the margin, `worse`, or `open`.

    `difference` is the interval against the best. `shown_within` is the largest deficit against
    any candidate that the data leave possible.
    """

    candidate: Candidate
    difference: Interval
    shown_within: float
    verdict: str
    cheaper: bool


@dataclass(frozen=True)
class Ranking:
    """All candidates compared on validation images.

    `error` is the one-sided level of each interval, `pool` the pooled seed variance.
    """

    best: Candidate
    comparisons: tuple[Comparison, ...]
    pool: Pool | None
    error: float
    margin: float


def rank_candidates(
    candidates: Sequence[Candidate], margin: float, confidence: float
) -> Ranking:
    """Compare every candidate with every other; the best is the most accurate.

    A candidate is `within` when it is shown non-inferior to *each* other one, so the claim
    holds whichever of them is truly best.
    """
    best = max(candidates, key=lambda candidate: candidate.rank)
    pool = pool_differences([candidate.val for candidate in candidates])
    # Bonferroni: any of the cheaper candidates could be chosen, so they share the error.
    num_cheaper = sum(candidate.is_cheaper_than(best) for candidate in candidates)
    error = (1 - confidence) / max(num_cheaper, 1)
    comparisons = tuple(
        _compare(candidate, best, candidates, margin, pool, error)
        for candidate in candidates
        if candidate is not best
    )
    return Ranking(best, comparisons, pool, error, margin)


def _compare(
    candidate: Candidate,
    best: Candidate,
    candidates: Sequence[Candidate],
    margin: float,
    pool: Pool | None,
    error: float,
) -> Comparison:
    """Compare one candidate with the best and with all others."""
    # Non-inferiority is one-sided: each end of a two-sided interval has this error.
    differences = {}
    for other in candidates:
        if other is not candidate:
            pair = matching_predictions(candidate.val, other.val)
            differences[other.cell] = difference_interval(*pair, 1 - 2 * error, pool)
    difference = differences[best.cell]
    shown_within = max(0.0, -min(interval.low for interval in differences.values()))
    verdict = "open"
    if shown_within <= margin:
        verdict = "within"
    # Worse by more than the margin; a difference that is merely not 0 stays open.
    elif difference.high < -margin:
        verdict = "worse"
    cheaper = candidate.is_cheaper_than(best)
    return Comparison(candidate, difference, shown_within, verdict, cheaper)


def matching_predictions(
    first: Predictions, second: Predictions
) -> tuple[np.ndarray, np.ndarray]:
    """Return the correctness of two cells (seeds, N) with rows of the same seeds."""
    rows, other_rows = matching_rows(first, second)
    return first.correct_as_trained[rows], second.correct_as_trained[other_rows]


def difference_by_image(first: Predictions, second: Predictions) -> np.ndarray:
    """Return first - second by seed and image, in {-1, 0, 1}."""
    minuend, subtrahend = matching_predictions(first, second)
    return minuend.astype(float) - subtrahend


def pool_differences(predictions: Sequence[Predictions]) -> Pool | None:
    """Pool the seed variance of the differences between all pairs of cells."""
    differences = starmap(difference_by_image, combinations(predictions, 2))
    # The differences of K cells are sums of K - 1 independent ones.
    return pool_seed_variance(differences, max_df=len(predictions) - 1)
