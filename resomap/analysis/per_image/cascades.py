"""Cascades: a cheap network answers where it is confident, else a more expensive one does.

The thresholds are set on validation images: of those with which the cascade loses no more than
`tolerance` against its last stage, the ones that cost the least. A threshold is a quantile of the confidence, the
same for every seed, since seeds differ in their confidence and a threshold of its own for each
would follow the noise of its validation images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy import stats

from resomap.analysis.per_image.answers import Answers, CellAnswers
from resomap.analysis.statistics import Interval

SHARES = {2: np.linspace(0, 1, 41), 3: np.linspace(0, 1, 13)}
"""Shares of the images that a stage may pass on, by the number of stages."""


class CascadeOutcome(NamedTuple):
    """What a cascade does: its answers, and the images that pass each stage, all (seeds, N)."""

    correct: np.ndarray
    passed: tuple[np.ndarray, ...]

    def costs(self, costs: Sequence[float]) -> np.ndarray:
        """Return the cost of each image: that of the stages that see it."""
        total = np.full(self.correct.shape, costs[0])
        for passed, cost in zip(self.passed, costs[1:], strict=True):
            total = total + cost * passed
        return total


@dataclass(frozen=True)
class Cascade:
    """Stages of growing cost, and the thresholds of all but the last: (seeds,) for each."""

    stages: tuple[CellAnswers, ...]
    costs: tuple[float, ...]
    thresholds: tuple[np.ndarray, ...]

    def run(self, split: str) -> CascadeOutcome:
        """Return what the cascade does with the images of a split, val or test."""
        return run_stages([getattr(stage, split) for stage in self.stages], self.thresholds)

    @property
    def saves_on_val(self) -> bool:
        """Whether it costs less than its last stage on validation images."""
        return bool(self.run("val").costs(self.costs).mean() < self.costs[-1])


def run_stages(stages: Sequence[Answers], thresholds: Sequence[np.ndarray]) -> CascadeOutcome:
    """Return the outcome of stages, of which each passes images below its threshold on."""
    passed, reaches = [], np.ones(stages[0].correct.shape, bool)
    correct = stages[-1].correct
    for stage, threshold in zip(stages, thresholds, strict=False):
        reaches = reaches & (stage.confidence < threshold[:, None])
        passed.append(reaches)
    # From the last stage back: the first that keeps an image answers.
    for stage, passes in zip(reversed(stages[:-1]), reversed(passed), strict=True):
        correct = np.where(passes, correct, stage.correct)
    return CascadeOutcome(correct, tuple(passed))


def fit_cascade(
    stages: Sequence[CellAnswers], costs: Sequence[float], tolerance: float
) -> Cascade:
    """Return the cheapest cascade within `tolerance` of its last stage on validation images."""
    val = [stage.val for stage in stages]
    goal = val[-1].correct.mean() - tolerance
    quantiles = [_quantiles(stage, SHARES[len(stages)]) for stage in val[:-1]]
    best, lowest = None, np.inf
    for thresholds in product(*quantiles):
        outcome = run_stages(val, thresholds)
        cost = outcome.costs(costs).mean()
        if outcome.correct.mean() >= goal and cost < lowest:
            best, lowest = thresholds, cost
    # Passing every image on is as accurate as the last stage, so one is always found.
    assert best is not None
    return Cascade(tuple(stages), tuple(costs), best)


def _quantiles(stage: Answers, shares: np.ndarray) -> list[np.ndarray]:
    """Return the thresholds (seeds,) below which each share of the images lies."""
    found = [np.quantile(stage.confidence, share, axis=1) for share in shares[:-1]]
    # All images are below infinity; the largest quantile would keep the most confident one.
    return [*found, np.full(len(stage.confidence), np.inf)]


def predict_mean(values: np.ndarray, num_new: int, confidence: float) -> Interval:
    """Compute the interval in which the mean over `num_new` other images will lie.

    `values` (seeds, N) are those of validation images, of the same networks.
    """
    of_images = values.mean(axis=0)
    # One image more at each end, as images of a kind that validation lacks may come.
    ends = [values.min(), values.max()]
    variance = np.concatenate([of_images, ends]).var(ddof=1)
    error = np.sqrt(variance * (1 / len(of_images) + 1 / num_new))
    half = float(stats.t.isf((1 - confidence) / 2, len(of_images) - 1) * error)
    mean = float(of_images.mean())
    return Interval(mean, mean - half, mean + half, "prediction for other images")
