"""What a sweep says about its unknown accuracies, drawn at random: the posterior of the advice.

Accuracies have a normal prior that the cells in contention share. Its spread and what one seed
adds are unknown, too, and few cells and seeds leave them open.
"""

from dataclasses import dataclass

import numpy as np

from resomap.analysis.decision.comparison import Ranking
from resomap.analysis.decision.contrasts import Contrasts, scale_index
from resomap.analysis.statistics import MOST_DF, TINY, Pool

DRAWS = 400
# Quantiles of the prior of a standard deviation.
PRIOR_QUANTILES = (np.arange(200) + 0.5) / 200


@dataclass(frozen=True)
class CellVariances:
    """The variances of the mean accuracy of each cell (K,), without what all cells share.

    `seed` is what one seed adds, `val` and `test` what the images at hand add, `alone_val` and
    `alone_test` the part of it that more seeds reduce (for one seed).
    """

    seed: np.ndarray
    val: np.ndarray
    test: np.ndarray
    alone_val: np.ndarray
    alone_test: np.ndarray


@dataclass(frozen=True)
class Draws:
    """Simulated accuracies, their errors at hand, and the variance of one seed, (draws, K) each."""

    accuracy: np.ndarray
    seed_luck: np.ndarray
    val_luck: np.ndarray
    test_luck: np.ndarray
    seed_variance: np.ndarray


def cell_variances(ranking: Ranking) -> CellVariances:
    """Split the variances of differences between the two cells of a pair."""
    val, test = ranking.val, ranking.test
    seeds = val.seeds
    return CellVariances(
        seed=_per_cell(test.seed_part) * seeds,
        val=_per_cell(val.image_variance),
        test=_per_cell(test.image_variance),
        alone_val=_per_cell(val.of_seeds.alone),
        alone_test=_per_cell(test.of_seeds.alone),
    )


def _per_cell(of_pairs: np.ndarray) -> np.ndarray:
    """Return half of the median over the pairs of each cell (K,)."""
    pairs = np.array(of_pairs, float)
    np.fill_diagonal(pairs, np.nan)
    return np.asarray(np.nan_to_num(np.nanmedian(pairs, axis=1) / 2))


def draw_sweeps(ranking: Ranking, variances: CellVariances, rng: np.random.Generator) -> Draws:
    """Draw accuracies and luck given the means at hand.

    Drawn from the prior, then corrected by what the means say (Matheron's rule), which is exact
    for normal values.
    """
    seed_variance = draw_seed_variances(ranking.test, variances.seed, ranking.margin / 2, rng)
    luck = seed_variance / ranking.val.seeds
    centre, spread = draw_priors(ranking, luck, variances, rng)
    prior = np.stack(np.broadcast_arrays(spread, luck, variances.val, variances.test))
    drawn = np.sqrt(prior) * rng.standard_normal(prior.shape)
    drawn[0] += centre
    # Both splits see the accuracy and the luck of the seeds; each has images of its own.
    both = spread + luck
    residuals = np.stack(
        [
            ranking.val.means - drawn[0] - drawn[1] - drawn[2],
            ranking.test.means - drawn[0] - drawn[1] - drawn[3],
        ]
    )
    tiny = 1e-15
    first, second = both + variances.val + tiny, both + variances.test + tiny
    determinant = np.maximum(first * second - both**2, tiny**2)
    weights = np.stack(
        [
            (second * residuals[0] - both * residuals[1]) / determinant,
            (first * residuals[1] - both * residuals[0]) / determinant,
        ]
    )
    common = weights.sum(axis=0)
    return Draws(
        accuracy=drawn[0] + spread * common,
        seed_luck=drawn[1] + luck * common,
        val_luck=drawn[2] + variances.val * weights[0],
        test_luck=drawn[3] + variances.test * weights[1],
        seed_variance=seed_variance,
    )


def draw_seed_variances(
    contrasts: Contrasts, estimated: np.ndarray, scale: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw what the true variances of one seed may be, given their estimates (K,): (draws, K)."""
    pool = contrasts.pool
    if pool is None:
        return np.zeros((DRAWS, len(estimated)))
    # What was measured is the sum of both, so that few seeds leave the variance of the seeds open
    # even where it was estimated as 0.
    of_pair = float(np.median(contrasts.pair_scale[contrasts.of_seeds.known]))
    between, images = _between_seeds(contrasts, pool)
    excess = draw_excess(of_pair * between, between_df(contrasts), of_pair * images, scale, rng)
    change = excess / of_pair - pool.level
    return np.maximum(estimated + change * contrasts.scale[:, scale_index(pool)], 0.0)


def between_df(contrasts: Contrasts) -> float:
    """Return the degrees of freedom of the variance between seeds, images included."""
    pool = contrasts.pool
    if pool is None or pool.level_variance == 0:
        return MOST_DF
    between, _ = _between_seeds(contrasts, pool)
    return float(np.clip(2 * between**2 / pool.level_variance, 1.0, MOST_DF))


def _between_seeds(contrasts: Contrasts, pool: Pool) -> tuple[float, float]:
    """Return the variance between seeds, and what images explain of it, as levels of the pool."""
    of_seeds = contrasts.of_seeds
    known = of_seeds.known
    df = of_seeds.count[known] - 1
    total = (df * contrasts.pair_scale[known]).sum()
    between, images = (
        float((df * values[known]).sum() / total)
        for values in (of_seeds.between, of_seeds.alone)
    )
    # Cells outside of the pool may vary more, and a level of 0 hides that less was measured than
    # images explain.
    return min(between, pool.level + images), images


def draw_excess(
    total: float, df: float, noise: float | np.ndarray, scale: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw what adds to the variance `noise`, given an estimate `total` of their sum (draws, 1).

    `df` are the degrees of freedom of the estimate, `noise` may be (draws, 1). The prior of the
    standard deviation is half-Cauchy of this `scale` (Gelman 2006).
    """
    excess = (scale * np.tan(np.pi / 2 * PRIOR_QUANTILES)) ** 2
    sums = np.broadcast_to(np.maximum(excess + noise, TINY), (DRAWS, len(excess)))
    likely = -df / 2 * (np.log(sums) + total / sums)
    weights = np.exp(likely - likely.max(axis=1, keepdims=True)).cumsum(axis=1)
    chosen = (rng.random((DRAWS, 1)) * weights[:, -1:] > weights).sum(axis=1)
    return np.asarray(excess[chosen, None])


def draw_priors(
    ranking: Ranking, luck: np.ndarray, variances: CellVariances, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw centre and variance of the accuracies of the cells: shared by those in contention.

    `luck` (draws, K) is the variance that seeds add to the means.
    """
    means = (ranking.val.means + ranking.test.means) / 2
    error = luck + (variances.val + variances.test) / 4
    # The cells that are not clearly worse than the best are alike; others keep their accuracy.
    reach = ranking.margin + 3 * np.sqrt(2 * error.mean(axis=0))
    near = means >= means.max() - reach
    count = int(near.sum())
    if count < 2:
        return means, np.ones_like(luck)
    # Few cells leave open how alike they are.
    noise = error[:, near].mean(axis=1, keepdims=True)
    total = float(means[near].var(ddof=1))
    between = draw_excess(total, count - 1, noise, ranking.margin / 2, rng)
    centre = np.where(near, means[near].mean(), means)
    return centre, np.where(near, between, 1.0)
