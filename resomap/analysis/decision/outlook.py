"""What a sweep can show, before any training: detectable differences and the chance of an answer.

Nothing is known about the networks yet, so that their variances are assumed: those of small
networks on images of which 80 % are predicted correctly.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from resomap.analysis.decision.certificate import CONTENTION, luck_share

# Standard deviation of the accuracy between seeds.
SEED_SD = 0.007
# Variances of an image, half of those of a difference: shared by seeds, and by none.
SHARED_VARIANCE, ALONE_VARIANCE = 0.016, 0.07
POWER = 0.8
DRAWS = 2000
# A third of the cells are about as accurate as the best one, the others worse by up to this.
TIE_SD, MAX_LOSS = 0.005, 0.1


@dataclass(frozen=True)
class SweepSize:
    """The numbers of a sweep that decide what it can show."""

    cells: int
    seeds: int
    val: int
    test: int


@dataclass(frozen=True)
class Outlook:
    """The difference that a comparison detects in 4 of 5 sweeps, and the chance of an answer."""

    detectable: float
    answered: float


def foresee(size: SweepSize, margin: float, confidence: float) -> Outlook:
    """Simulate sweeps of this size, and certify the most accurate cell of each."""
    variance, df = _pair_variance(size)
    answered = _chance_of_answer(size, variance, df, margin, 1 - confidence)
    return Outlook(detectable_difference(size, confidence), answered)


def detectable_difference(size: SweepSize, confidence: float) -> float:
    """Return the difference of two cells that is detected in 4 of 5 sweeps of this size."""
    variance, df = _pair_variance(size)
    quantiles = stats.t.isf(1 - confidence, df) + stats.t.isf(1 - POWER, df)
    return float(quantiles * np.sqrt(variance))


def _pair_variance(size: SweepSize) -> tuple[float, float]:
    """Return the variance of a difference on test images, and its degrees of freedom."""
    of_seeds = _seed_variance(size) + ALONE_VARIANCE / size.seeds / size.test
    total = 2 * (of_seeds + SHARED_VARIANCE / size.test)
    # One seed leaves the variance between seeds unknown, and it is not claimed to be known.
    if size.seeds == 1:
        return total, np.inf
    df = max(size.cells - 1, 1) * (size.seeds - 1)
    return total, df * (total / (2 * of_seeds)) ** 2


def _seed_variance(size: SweepSize) -> float:
    """Return what seeds add to the variance of a mean; nothing for these networks only."""
    return SEED_SD**2 / size.seeds if size.seeds > 1 else 0.0


def _chance_of_answer(
    size: SweepSize, variance: float, df: float, margin: float, error: float
) -> float:
    """Return the share of simulated sweeps whose most accurate cell is certified."""
    rng = np.random.default_rng(0)
    shape = (DRAWS, size.cells)
    is_tie = np.arange(size.cells) <= size.cells // 3
    losses = np.where(is_tie, 0.0, rng.uniform(0, MAX_LOSS, shape))
    accuracy = rng.normal(0, TIE_SD, shape) - losses
    seeds = _seed_variance(size)
    common = accuracy + np.sqrt(seeds) * rng.standard_normal(shape)
    of_images = SHARED_VARIANCE + ALONE_VARIANCE / size.seeds
    val, test = (
        common + np.sqrt(of_images / count) * rng.standard_normal(shape)
        for count in (size.val, size.test)
    )
    best = val.argmax(axis=1)
    luck = _expected_luck(val, seeds, of_images / size.val)
    half = (stats.t.isf(error, df) * np.sqrt(variance) + luck)[:, None]
    deficits = test - test[np.arange(DRAWS), best][:, None] + half
    deficits[np.arange(DRAWS), best] = 0.0
    return float((deficits.max(axis=1) <= margin).mean())


def _expected_luck(val: np.ndarray, seeds: float, images: float) -> np.ndarray:
    """Return the luck that the certificate subtracts from the best cell of each sweep (draws,)."""
    best = val.max(axis=1)
    reach = stats.norm.isf(CONTENTION) * np.sqrt(2 * (seeds + images))
    contends = val >= (best - reach)[:, None]
    centre = np.nanmedian(np.where(contends, val, np.nan), axis=1)
    return np.asarray(luck_share(np.array(seeds), np.array(images)) * (best - centre))
