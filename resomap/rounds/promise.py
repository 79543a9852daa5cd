"""What the finished grid would probably show: the chance of each candidate of a certificate."""

import numpy as np
from scipy import stats

from resomap.analysis.decision.advice import future_image_variance
from resomap.analysis.decision.comparison import Ranking
from resomap.analysis.statistics import TINY


def chance_certified(ranking: Ranking, seeds: int, error: float) -> np.ndarray:
    """Return the chance that each candidate passes at `error` once it has `seeds` (K,).

    The differences at hand, over both splits, are taken as normal around the true ones, and the
    rival that leaves the smallest chance counts.
    """
    val, test = ranking.val, ranking.test
    means = (val.means + test.means) / 2
    # Both splits see the same networks, so that only the images differ.
    spread = np.sqrt((val.errors[0] ** 2 + test.errors[0] ** 2) / 4 + TINY)
    room = ranking.margin - _future_half_widths(ranking, seeds, error)
    chances = stats.norm.cdf((means[:, None] - means + room) / spread)
    np.fill_diagonal(chances, 1.0)
    return np.asarray(chances.min(axis=1))


def _future_half_widths(ranking: Ranking, seeds: int, error: float) -> np.ndarray:
    """Return what the bounds of the finished grid will add to each difference (K, K)."""
    test = ranking.test
    images, total = future_image_variance(test, seeds, 1.0)
    of_seeds = test.seed_part * test.pair_seeds / total
    return np.asarray(stats.t.isf(error, test.errors[1]) * np.sqrt(images + of_seeds))


def binding_rivals(ranking: Ranking, cell: int, error: float) -> np.ndarray:
    """Return which candidates may still be above the margin over a cell, at level `error` (K,)."""
    test = ranking.test
    lowest = test.differences[cell] - test.half_widths(error)[cell]
    lowest[cell] = 0.0
    return np.asarray(lowest < -ranking.margin)
