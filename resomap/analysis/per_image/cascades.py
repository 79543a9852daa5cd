"""Cascades: a cheap network answers where it is confident, else a more expensive one does.

The thresholds are set on validation images: of those with which the cascade loses no more than
`tolerance` against its last stage, the ones that cost the least. A threshold is a quantile of the
confidence, the same for every seed, since seeds differ in their confidence and a threshold of its
own for each would follow the noise of its validation images.

What the chosen thresholds show on the images that chose them is too good. By how much follows
from resampling those images: thresholds chosen on a resample are compared with what they show on
the images themselves (the optimism of Efron 1983).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy import stats

from resomap.analysis.per_image.answers import Answers, CellAnswers
from resomap.analysis.statistics import Interval

SHARES = {2: np.linspace(0, 1, 41), 3: np.linspace(0, 1, 13)}
"""Shares of the images that a stage may pass on, by the number of stages."""
RESAMPLES = 200
ROUNDING = 1e-6
"""Smallest difference of means of float32 that counts."""


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


class Optimism(NamedTuple):
    """By how much a mean over the images that set the thresholds exceeds that of all images.

    `variance` is that of the difference, image sampling and choice together.
    """

    bias: float
    variance: float


@dataclass(frozen=True)
class Cascade:
    """Stages of growing cost, and the thresholds of all but the last: (seeds,) for each.

    `optimism` says how much better accuracy and cost look on the validation images.
    """

    stages: tuple[CellAnswers, ...]
    costs: tuple[float, ...]
    thresholds: tuple[np.ndarray, ...]
    optimism: tuple[Optimism, Optimism]

    def run(self, split: str) -> CascadeOutcome:
        """Return what the cascade does with the images of a split, val or test."""
        return run_stages([getattr(stage, split) for stage in self.stages], self.thresholds)

    def predict(self, num_new: int, confidence: float) -> tuple[Interval, Interval]:
        """Compute intervals of the accuracy and the mean cost of `num_new` other images.

        They are images of the same kind, seen by the same networks.
        """
        val = self.run("val")
        values = val.correct.astype(float), val.costs(self.costs)
        # The least and the most that an image can be: wrong or right, seen by one stage or by all.
        ends = (0.0, 1.0), (self.costs[0], sum(self.costs))
        accuracy, cost = (
            _predict_mean(*each, num_new, confidence)
            for each in zip(values, ends, self.optimism, strict=True)
        )
        return accuracy, cost

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
    quantiles = [_quantiles(stage, SHARES[len(stages)]) for stage in val[:-1]]
    grid = list(product(*quantiles))
    # Means over seeds (grid, N), in float32 since products with them are the slowest part.
    correct, cost = np.empty((2, len(grid), val[0].correct.shape[1]), np.float32)
    for number, thresholds in enumerate(grid):
        outcome = run_stages(val, thresholds)
        correct[number] = outcome.correct.mean(axis=0)
        cost[number] = outcome.costs(costs).mean(axis=0)
    chosen = _cheapest(correct.mean(axis=1), cost.mean(axis=1), tolerance)
    optimism = _resample(correct, cost, tolerance)
    return Cascade(tuple(stages), tuple(costs), grid[int(chosen)], optimism)


def _cheapest(correct: np.ndarray, cost: np.ndarray, tolerance: float) -> np.ndarray:
    """Return the index of the lowest of `cost` (grid, ...) that loses at most `tolerance`.

    The last of the grid passes every image on, so it is as accurate as the last stage.
    """
    allowed = correct >= correct[-1] - tolerance - ROUNDING
    index: np.ndarray = np.where(allowed, cost, np.inf).argmin(axis=0)
    return index


def _resample(
    correct: np.ndarray, cost: np.ndarray, tolerance: float
) -> tuple[Optimism, Optimism]:
    """Return the optimism of accuracy and cost, from RESAMPLES of the images (grid, N)."""
    weights = _resample_weights(correct.shape[1])
    resampled = correct @ weights, cost @ weights
    chosen = _cheapest(*resampled, tolerance)
    found = []
    for values, own in zip(resampled, (correct, cost), strict=True):
        excess = values[chosen, np.arange(RESAMPLES)] - own.mean(axis=1)[chosen]
        found.append(Optimism(float(excess.mean()), float(excess.var(ddof=1))))
    return found[0], found[1]


@lru_cache(maxsize=4)
def _resample_weights(count: int) -> np.ndarray:
    """Return the weight of each of `count` images in each resample (count, RESAMPLES)."""
    rows = np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
    draws = [np.bincount(own, minlength=count) for own in rows]
    return np.array(draws, np.float32).T / np.float32(count)


def _quantiles(stage: Answers, shares: np.ndarray) -> list[np.ndarray]:
    """Return the thresholds (seeds,) below which each share of the images lies."""
    found = [np.quantile(stage.confidence, share, axis=1) for share in shares[:-1]]
    # All images are below infinity; the largest quantile would keep the most confident one.
    return [*found, np.full(len(stage.confidence), np.inf)]


def _predict_mean(
    values: np.ndarray,
    ends: tuple[float, float],
    optimism: Optimism,
    num_new: int,
    confidence: float,
) -> Interval:
    """Compute the interval of the mean over `num_new` other images.

    `values` (seeds, N) are those of validation images, between `ends`.
    """
    of_images = values.mean(axis=0)
    # Two images more at each end (Agresti and Coull 1998), as images of a kind that validation
    # lacks may come: where all of few images are right, other images can still be wrong.
    variance = np.concatenate([of_images, ends, ends]).var(ddof=1)
    of_mean = max(variance / len(of_images), optimism.variance)
    error = np.sqrt(of_mean + variance / num_new)
    half = float(stats.t.isf((1 - confidence) / 2, len(of_images) - 1) * error)
    mean = float(of_images.mean()) - optimism.bias
    low, mean, high = np.clip([mean - half, mean, mean + half], *ends).tolist()
    return Interval(mean, low, high, "prediction for other images")
