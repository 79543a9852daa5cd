"""The pairwise comparison of candidates: shown within the margin, shown worse, or open."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from resomap.analysis.decision.candidates import Candidate
from resomap.analysis.decision.certificate import Certificate, certify
from resomap.analysis.decision.confounds import Confounds, find_confounds
from resomap.analysis.decision.contrasts import Contrasts, contrast_cells
from resomap.analysis.decision.latencies import shown_cheaper
from resomap.analysis.statistics import TINY, Interval
from resomap.workflow.predictions import RAW


@dataclass(frozen=True)
class Comparison:
    """A candidate against the best: `verdict` is `within` the margin, `worse`, or `open`.

    `difference` is the interval against the best on validation images. `shown_within` is the
    largest deficit against any candidate that the data leave possible. `cheaper` is whether it
    is shown to cost less than the best. `confounds` names what its runs and those of the best
    differ in.
    """

    candidate: Candidate
    difference: Interval
    shown_within: float
    verdict: str
    cheaper: bool
    confounds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ranking:
    """All candidates compared with each other, by their position.

    `cheaper` (K, K) is where the row is shown to cost less than the column. `confidence` is that
    of intervals, and `error` the one-sided level of the tests, smaller where several looks at a
    growing sweep share it.
    """

    candidates: tuple[Candidate, ...]
    val: Contrasts
    test: Contrasts
    cheaper: np.ndarray
    certificate: Certificate
    margin: float
    confidence: float
    error: float
    confounds: Confounds

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
        worse = shown_by_holm(chances, self.worse_error, len(others))
        return {cell for cell, is_worse in zip(others, worse, strict=True) if is_worse}

    def _compare(self, cell: int, *, is_worse: bool) -> Comparison:
        verdict = "worse" if is_worse else "open"
        if cell in self.certificate.successes:
            verdict = "within"
        return Comparison(
            candidate=self.candidates[cell],
            difference=self.val.interval(cell, self.best, self.confidence),
            shown_within=float(self.certificate.shown_within[cell]),
            verdict=verdict,
            cheaper=bool(self.cheaper[cell, self.best]),
            confounds=tuple(self.confounds.between(cell, self.best)),
        )


def shown_by_holm(chances: np.ndarray, error: float, tests: int) -> np.ndarray:
    """Return where p-values (..., n) are shown at the level `error` that `tests` of them share.

    Holm (1979): the clearest first, each at its share of the level, up to a failure.
    """
    order = np.argsort(chances, axis=-1, kind="stable")
    shares = error / np.maximum(tests - np.arange(chances.shape[-1]), 1)
    passed = np.take_along_axis(chances, order, axis=-1) <= shares
    shown = np.zeros(chances.shape, bool)
    np.put_along_axis(shown, order, np.logical_and.accumulate(passed, axis=-1), axis=-1)
    return shown


def rank_candidates(
    candidates: Sequence[Candidate],
    margin: float,
    confidence: float,
    accepted: Iterable[str] = (),
    error_share: float = 1.0,
) -> Ranking:
    """Compare every candidate with every other, and certify the cheapest within the margin.

    Candidates with a rival whose runs differ in more than the `accepted` confounds are not
    certified, nor are int8 networks that may lose the margin to themselves in fp32.

    Validation images select the sequence of cells, test images certify it; without test images
    validation images do both. `error_share` is the part of the error that this look at the sweep
    may spend (`looks`).
    """
    val = contrast_candidates(candidates, "val")
    has_test = min(one.test_correct.shape[1] for one in candidates) > 1
    test = contrast_candidates(candidates, "test") if has_test else None
    cheaper = cheaper_candidates(candidates, confidence)
    error = (1 - confidence) * error_share
    ranks = [one.rank for one in candidates]
    confounds = find_confounds([one.facts for one in candidates], accepted)
    prevented = confounds.prevents(len(candidates)) | _may_lose(candidates, margin)
    certificate = certify(val, test, ranks, cheaper, margin, error, prevented)
    return Ranking(
        tuple(candidates),
        val,
        test or val,
        cheaper,
        certificate,
        margin,
        confidence,
        error,
        confounds,
    )


def _may_lose(candidates: Sequence[Candidate], margin: float) -> np.ndarray:
    """Return which candidates are in int8 and not shown to keep the accuracy of fp32 (K,).

    Where the network in fp32 is a rival, the certificate compares the two itself.
    """
    rivals = {one.evaluated for one in candidates}
    return np.array(
        [
            one.loss is not None
            and not one.loss.is_certified(margin)
            and (one.cell, RAW, one.tested_at) not in rivals
            for one in candidates
        ]
    )


def contrast_candidates(candidates: Sequence[Candidate], split: str) -> Contrasts:
    """Compare the candidates on one split, `val` or `test`."""
    if split == "val":
        correct = [one.val_correct for one in candidates]
    else:
        correct = [one.test_correct for one in candidates]
    seeds = [one.val.seeds for one in candidates]
    return contrast_cells(correct, seeds, _pooled(candidates))


def _pooled(candidates: Sequence[Candidate]) -> list[int]:
    """Return the candidates whose seeds tell about those of all others."""
    # One network is measured at several sizes, and counting it again would claim to know more.
    # Away from their size networks may also vary far more than where they were trained.
    as_trained = [cell for cell, one in enumerate(candidates) if one.is_as_trained]
    return as_trained if len(as_trained) > 1 else list(range(len(candidates)))


def cheaper_candidates(candidates: Sequence[Candidate], confidence: float) -> np.ndarray:
    """Return where the row is shown to cost less than the column (K, K)."""
    # All resolutions of a model are timed in turns, so their rounds share the machine's state.
    # So do the networks of a runtime in fp32 and int8.
    jobs = [(*one.cell[:2], one.variant) for one in candidates]
    return shown_cheaper([one.latency for one in candidates], jobs, confidence)
