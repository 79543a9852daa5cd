"""Candidates and their pairwise comparison: shown within the margin, shown worse, or open."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from resomap.analysis.decision.certificate import Certificate, certify
from resomap.analysis.decision.contrasts import Contrasts, contrast_cells
from resomap.analysis.predictions import Cell, Predictions
from resomap.analysis.statistics import TINY, Interval

RAW = "raw"


@dataclass(frozen=True)
class Latency:
    """Latency of one image at batch 1, ms; `valid` is False when the machine was disturbed.

    `rounds` are the latencies of the rounds of measuring, relative to the reference workload.
    """

    p50: float
    p90: float
    valid: bool
    rounds: tuple[float, ...] = ()

    @property
    def log_rounds(self) -> np.ndarray:
        """Return the logarithms of the rounds: ratios have symmetric errors there."""
        return np.log(np.array(self.rounds or (self.p50,)))

    def upper_factor(self, error: float) -> float:
        """Return by which factor the latency may be larger, at the one-sided level `error`."""
        logs = self.log_rounds
        if len(logs) < 2:
            return 1.0
        return float(np.exp(stats.t.isf(error, len(logs) - 1) * stats.sem(logs)))


@dataclass(frozen=True)
class Candidate:
    """What may be chosen: a model trained at one resolution and used at another, in a mode.

    `val` and `test` hold its predictions. `eval_resolution` is None for that of training, and
    `mode` says what was adapted for it (`raw`: nothing). `latency` is None when not measured.
    `costs` holds other measurements of one image by their column of profiles.csv. `failed_seeds`
    counts the runs that diverged or did not fit in memory. `alarm` is the state of the alarm
    about its evidence, and `localisation` the lower end of the share of relevance on the object.
    """

    val: Predictions
    test: Predictions
    latency: Latency | None
    eval_resolution: int | None = None
    mode: str = RAW
    variant: str | None = None
    costs: Mapping[str, float | None] = field(default_factory=dict)
    failed_seeds: int = 0
    alarm: str | None = None
    localisation: float | None = None

    @property
    def cell(self) -> Cell:
        """Return the model and the resolution of training."""
        return self.val.cell

    @property
    def tested_at(self) -> int:
        """Return the resolution at which images are predicted, px."""
        return self.eval_resolution or self.cell.resolution

    @property
    def identity(self) -> dict[str, Any]:
        """Return the columns that identify the candidate in a record."""
        return {
            **self.cell._asdict(),
            "eval_resolution": self.tested_at,
            "mode": self.mode,
            "variant": self.variant,
        }

    @property
    def order(self) -> tuple[Any, ...]:
        """Return the sort key of records: by model, then by resolution."""
        return *self.cell, self.tested_at, self.mode, self.variant or ""

    @property
    def val_correct(self) -> np.ndarray:
        """Return correctness on validation images (seeds, N)."""
        return self.val.correct[self.tested_at]

    @property
    def test_correct(self) -> np.ndarray:
        """Return correctness on test images (seeds, N)."""
        return self.test.correct[self.tested_at]

    @property
    def val_accuracy(self) -> float:
        """Return the mean over seeds and validation images, in [0, 1]."""
        return float(self.val_correct.mean())

    @property
    def cost(self) -> float:
        """Return the median latency, ms; infinite when not measured."""
        return self.latency.p50 if self.latency else np.inf

    @property
    def rank(self) -> tuple[Any, ...]:
        """Return the sort key: validation accuracy, of equal ones the cheaper, then the smaller."""
        return self.val_accuracy, -self.cost, -self.cell.resolution, self.cell.model, self.mode

    @property
    def is_disturbed(self) -> bool:
        """Return whether the latency was measured and is marked invalid."""
        return self.latency is not None and not self.latency.valid


def shown_cheaper(candidates: Sequence[Candidate], confidence: float) -> np.ndarray:
    """Return where the row is shown to cost less than the column (K, K).

    The interval of the ratio of their latencies excludes 1: over common rounds for the same
    model, over the rounds of each for two models, which were timed in jobs of their own.
    """
    logs = [one.latency.log_rounds if one.latency else np.array([np.inf]) for one in candidates]
    count = np.array([len(values) for values in logs], float)
    means = np.array([values.mean() for values in logs])
    with np.errstate(invalid="ignore"):
        errors = np.array([values.var(ddof=min(len(values) - 1, 1)) for values in logs]) / count
        slower = means - means[:, None]
    half = _welch_half_widths(errors, count, confidence)
    for row, column in _pairs_of_one_model(candidates):
        size = min(len(logs[row]), len(logs[column]))
        if size > 1:
            ratios = logs[row][:size] - logs[column][:size]
            quantile = stats.t.isf((1 - confidence) / 2, size - 1)
            half[row, column] = half[column, row] = quantile * stats.sem(ratios)
            slower[row, column], slower[column, row] = -ratios.mean(), ratios.mean()
    measured = np.isfinite(means)
    return np.asarray((slower > half) & measured & measured[:, None])


def _welch_half_widths(errors: np.ndarray, count: np.ndarray, confidence: float) -> np.ndarray:
    """Return half of Welch's intervals of all differences, from squared errors (K, K)."""
    errors = np.where(np.isfinite(errors), errors, 0.0)
    total = errors[:, None] + errors
    of_one = errors**2 / np.maximum(count - 1, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        df = total**2 / (of_one[:, None] + of_one)
    quantiles = stats.t.isf((1 - confidence) / 2, np.nan_to_num(df, nan=1.0, posinf=1e9))
    # Without rounds nothing is known about the error: the medians decide.
    return np.where(total > 0, quantiles * np.sqrt(total), 0.0)


def _pairs_of_one_model(candidates: Sequence[Candidate]) -> list[tuple[int, int]]:
    """List the pairs of candidates whose rounds were measured together."""
    keys = [(*one.cell[:2], one.variant) for one in candidates]
    measured = [bool(one.latency and one.latency.rounds) for one in candidates]
    return [
        (row, column)
        for row in range(len(keys))
        for column in range(row)
        if keys[row] == keys[column] and measured[row] and measured[column]
    ]


@dataclass(frozen=True)
class Comparison:
    """A candidate against the best: `verdict` is `within` the margin, `worse`, or `open`.

    `difference` is the interval against the best on validation images. `shown_within` is the
    largest deficit against any candidate that the data leave possible. `cheaper` is whether it
    is shown to cost less than the best.
    """

    candidate: Candidate
    difference: Interval
    shown_within: float
    verdict: str
    cheaper: bool


@dataclass(frozen=True)
class Ranking:
    """All candidates compared with each other, by their position.

    `cheaper` (K, K) is where the row is shown to cost less than the column. `error` is the
    one-sided level of the certificate.
    """

    candidates: tuple[Candidate, ...]
    val: Contrasts
    test: Contrasts
    cheaper: np.ndarray
    certificate: Certificate
    margin: float
    error: float

    @property
    def best(self) -> int:
        """Return the position of the most accurate candidate on validation images."""
        return self.certificate.sequence[0]

    @property
    def worse_error(self) -> float:
        """Return the one-sided level that all candidates share which are shown to be worse."""
        # Half of the error, so that the interval on the page excludes the margin, too.
        return self.error / 2

    def comparisons(self) -> list[Comparison]:
        """Return the comparison of every other candidate with the best."""
        others = [cell for cell in range(len(self.candidates)) if cell != self.best]
        worse = self._shown_worse(others)
        return [self._compare(cell, is_worse=cell in worse) for cell in others]

    def _shown_worse(self, others: Sequence[int]) -> set[int]:
        """Return the candidates shown to be worse than the best by more than the margin."""
        errors, df = (values[others, self.best] for values in self.val.errors)
        beyond = -self.margin - self.val.differences[others, self.best]
        chances = stats.t.sf(beyond / np.maximum(errors, TINY), df)
        worse: set[int] = set()
        # Holm (1979): the clearest first, each at its share of the level, up to a failure.
        for rank, place in enumerate(np.argsort(chances, kind="stable")):
            if chances[place] > self.worse_error / (len(others) - rank):
                break
            worse.add(others[int(place)])
        return worse

    def _compare(self, cell: int, *, is_worse: bool) -> Comparison:
        verdict = "worse" if is_worse else "open"
        if cell in self.certificate.successes:
            verdict = "within"
        return Comparison(
            candidate=self.candidates[cell],
            difference=self.val.interval(cell, self.best, 1 - self.error),
            shown_within=float(self.certificate.shown_within[cell]),
            verdict=verdict,
            cheaper=bool(self.cheaper[cell, self.best]),
        )


def rank_candidates(
    candidates: Sequence[Candidate], margin: float, confidence: float
) -> Ranking:
    """Compare every candidate with every other, and certify the cheapest within the margin.

    Validation images select the sequence of cells, test images certify it; without test images
    validation images do both.
    """
    val = contrast_candidates(candidates, "val")
    has_test = min(one.test_correct.shape[1] for one in candidates) > 1
    test = contrast_candidates(candidates, "test") if has_test else None
    cheaper = shown_cheaper(candidates, confidence)
    error = 1 - confidence
    ranks = [one.rank for one in candidates]
    certificate = certify(val, test, ranks, cheaper, margin, error)
    return Ranking(tuple(candidates), val, test or val, cheaper, certificate, margin, error)


def contrast_candidates(candidates: Sequence[Candidate], split: str) -> Contrasts:
    """Compare the candidates on one split, `val` or `test`."""
    if split == "val":
        correct = [one.val_correct for one in candidates]
    else:
        correct = [one.test_correct for one in candidates]
    return contrast_cells(correct, [one.val.seeds for one in candidates])
