"""What would decide an open choice: the whole decision is simulated with more seeds or images.

The unknown accuracies are drawn from what the data say about them: shrunk means (empirical
Bayes), with the luck of the seeds and of the images at hand. New seeds and images are drawn on
top, and the certificate of the best cell is tested as in `certificate`.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from resomap.analysis.decision.certificate import contenders, expected_maximum, flattery
from resomap.analysis.decision.comparison import Ranking
from resomap.analysis.statistics import MOST_DF, TINY

# Of the simulated sweeps so many must end in a choice.
SETTLED = 0.8
DRAWS = 400
MAX_SEEDS = 20
# At most this many times the number of test images at hand is proposed.
MAX_IMAGES_FACTOR = 100
FACTORS = np.geomspace(1.25, MAX_IMAGES_FACTOR, 24).tolist()


@dataclass(frozen=True)
class FutureSweep:
    """How many seeds, and how many times the test images, a simulated sweep has."""

    seeds: int
    images_factor: float = 1.0


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
    """Simulated accuracies and their errors at hand, (draws, K) each.

    `seed_factor` (draws, 1) is what the true seed variance is to its estimate.
    """

    accuracy: np.ndarray
    seed_luck: np.ndarray
    val_luck: np.ndarray
    test_luck: np.ndarray
    seed_factor: np.ndarray


@dataclass(frozen=True)
class Advice:
    """How many more seeds, or more test images, settle the choice; None when too many."""

    more_seeds: int | None
    more_images: int | None


def advise(ranking: Ranking) -> Advice:
    """Find the smallest numbers of seeds and of images that settle the choice in 4 of 5 sweeps.

    Where a cell is certified already, it is settled when a cheaper one is, too, or all cheaper
    ones are shown to be worse.
    """
    seeds = int(ranking.val.seeds.min())
    simulation = Simulation(ranking)
    more_seeds = more_images = None
    # One seed leaves the variance between seeds unknown.
    if ranking.val.pool is not None:
        more = [FutureSweep(total) for total in range(seeds + 1, MAX_SEEDS + 1)]
        enough = _first_settled(simulation, more)
        if enough:
            more_seeds = enough.seeds - seeds
    enough = _first_settled(simulation, [FutureSweep(seeds, factor) for factor in FACTORS])
    if enough:
        more_images = int(np.ceil((enough.images_factor - 1) * ranking.test.images))
    return Advice(more_seeds, more_images)


def _first_settled(
    simulation: "Simulation", sweeps: Sequence[FutureSweep]
) -> FutureSweep | None:
    """Return the smallest of the growing sweeps that settles the choice; None without one."""

    def settles(sweep: FutureSweep) -> bool:
        return simulation.settles(sweep) >= SETTLED

    # By bisection, since more data settle more.
    position = bisect_left(sweeps, True, key=settles)
    return sweeps[position] if position < len(sweeps) else None


class Simulation:
    """Draws of the sweep as it may be, and the share of them that more data would settle."""

    def __init__(self, ranking: Ranking) -> None:
        self.ranking = ranking
        self.is_certified = ranking.certificate.certified is not None
        self.variances = cell_variances(ranking)
        self.luck = self._luck()
        self.draws = draw_sweeps(ranking, self.variances, np.random.default_rng(0))

    def settles(self, future: FutureSweep) -> float:
        """Return the share of the simulated sweeps that end in a choice."""
        rng = np.random.default_rng([future.seeds, int(1000 * future.images_factor)])
        val, test = self._future_means(future, rng)
        best = val.argmax(axis=1)
        within = self._is_within(test, best, future)
        if self.is_certified:
            cheaper = self.ranking.cheaper.T[best]
            # The next of the sequence is the most accurate one that costs less.
            second = np.where(cheaper, val, -np.inf).argmax(axis=1)
            within &= cheaper.any(axis=1) & self._is_within(test, second, future)
        return float((within | self._cheaper_are_worse(val, best, future)).mean())

    def _future_means(
        self, future: FutureSweep, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw the mean accuracies of a future sweep on validation and test images."""
        variances, draws = self.variances, self.draws
        seeds = self.ranking.val.seeds
        new = np.maximum(future.seeds - seeds, 0)
        shape = draws.accuracy.shape
        with np.errstate(divide="ignore", invalid="ignore"):
            of_new = variances.seed * draws.seed_factor / new
            spread = np.where(new > 0, np.sqrt(of_new), 0.0)
        fresh = spread * rng.standard_normal(shape)
        luck = (seeds * draws.seed_luck + new * fresh) / (seeds + new)
        val, test = (
            _future_image_luck(at_hand, total, alone, seeds, seeds + new, factor, rng)
            for at_hand, total, alone, factor in (
                (draws.val_luck, variances.val, variances.alone_val, 1.0),
                (draws.test_luck, variances.test, variances.alone_test, future.images_factor),
            )
        )
        return draws.accuracy + luck + val, draws.accuracy + luck + test

    def _is_within(self, test: np.ndarray, cell: np.ndarray, future: FutureSweep) -> np.ndarray:
        """Return where a cell (draws,) is shown to be within the margin of all others."""
        rows = np.arange(len(test))
        ranking = self.ranking
        half = stats.t.isf(ranking.error, self._future_df(future, test=True))[cell]
        half = half * self._future_errors(cell, future, test=True)
        # More seeds are less lucky.
        luck = self.luck[cell] * np.sqrt(ranking.val.seeds.min() / future.seeds)
        deficit = test - test[rows, cell][:, None] + half + luck
        deficit[rows, cell] = 0.0
        return np.asarray(deficit.max(axis=1) <= ranking.margin)

    def _luck(self) -> np.ndarray:
        """Return the expected luck of each cell as the best (row) against the others (K, K)."""
        ranking = self.ranking
        # By best cell (row) and contender (column): those that cost less, and itself.
        rivals = ranking.cheaper.T | np.eye(len(ranking.cheaper), dtype=bool)
        count = (rivals * contenders(ranking.val).T).sum(axis=1)
        return flattery(ranking.val, ranking.test) * expected_maximum(count)[:, None]

    def _cheaper_are_worse(
        self, val: np.ndarray, best: np.ndarray, future: FutureSweep
    ) -> np.ndarray:
        """Return where all cheaper cells are shown to be worse than the best (draws,)."""
        ranking = self.ranking
        half = stats.t.isf(ranking.worse_error, self._future_df(future, test=False))[best]
        half = half * self._future_errors(best, future, test=False)
        highest = val - val[np.arange(len(val)), best][:, None] + half
        cheaper = ranking.cheaper.T[best]
        return np.asarray(((highest < -ranking.margin) | ~cheaper).all(axis=1))

    def _future_errors(
        self, cell: np.ndarray, future: FutureSweep, *, test: bool
    ) -> np.ndarray:
        """Return the standard errors of the differences of a cell in future sweeps (draws, K)."""
        images, of_seeds, _ = self._future_variances(future, test=test)
        # The seeds at hand keep their estimate, and new ones show the truth.
        old = max(self.ranking.val.seeds.min() - 1, 1) / max(future.seeds - 1, 1)
        factor = old + (1 - old) * self.draws.seed_factor
        return np.asarray(np.sqrt(images[cell] + of_seeds[cell] * factor))

    def _future_variances(
        self, future: FutureSweep, *, test: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what images and what seeds add to the variance of a future sweep (K, K).

        Third is the share of its seeds that are at hand.
        """
        contrasts = self.ranking.test if test else self.ranking.val
        factor = future.images_factor if test else 1.0
        seeds = contrasts.pair_seeds
        total = np.maximum(future.seeds, seeds)
        averaged = contrasts.of_seeds.alone * (1 / seeds - 1 / total)
        images = np.maximum(contrasts.image_variance - averaged, 0.0) / factor
        return images, contrasts.seed_part * seeds / total, seeds / total

    def _future_df(self, future: FutureSweep, *, test: bool) -> np.ndarray:
        """Return the degrees of freedom of the errors of a future sweep (K, K)."""
        contrasts = self.ranking.test if test else self.ranking.val
        images, of_seeds, share = self._future_variances(future, test=test)
        at_hand = np.maximum(contrasts.seeds.min() - 1, 1)
        errors, df = contrasts.errors
        # Satterthwaite: fewer where less of the variance is that of the many images.
        total = (images + of_seeds) / np.maximum(errors**2, TINY)
        more = max(future.seeds - 1, 1) / at_hand
        df = np.minimum(df, MOST_DF) * (total / share) ** 2 * more
        return np.clip(df, 1.0, MOST_DF)


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
    factor = draw_seed_factors(ranking, rng)
    luck = variances.seed / ranking.val.seeds
    centre, spread = _prior(ranking, luck, variances)
    luck = luck * factor
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
        seed_factor=factor,
    )


def draw_seed_factors(ranking: Ranking, rng: np.random.Generator) -> np.ndarray:
    """Draw what the true seed variance may be to its estimate (draws, 1)."""
    pool = ranking.test.pool
    if pool is None or pool.level_variance == 0:
        return np.ones((DRAWS, 1))
    # The df of the level, as that of a variance; few seeds leave it open by a large factor.
    df = max(2 * pool.level**2 / pool.level_variance, 1.0)
    return np.clip(df / rng.chisquare(df, (DRAWS, 1)), 0.2, 5.0)


def _prior(
    ranking: Ranking, luck: np.ndarray, variances: CellVariances
) -> tuple[np.ndarray, np.ndarray]:
    """Return centre and variance of the accuracies of the cells: shared by those in contention."""
    means = (ranking.val.means + ranking.test.means) / 2
    error = luck + (variances.val + variances.test) / 4
    # The cells that are not clearly worse than the best are alike; others keep their accuracy.
    near = means >= means.max() - ranking.margin - 3 * np.sqrt(2 * error)
    between = max(float(means[near].var() - error[near].mean()), 0.0)
    centre = np.where(near, means[near].mean(), means)
    return centre, np.where(near, between, 1.0)


def _future_image_luck(
    at_hand: np.ndarray,
    total: np.ndarray,
    alone: np.ndarray,
    seeds: np.ndarray,
    future_seeds: np.ndarray,
    factor: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw the luck of the images with more seeds and `factor` times the images (draws, K)."""
    # The old networks on the old images stay part of the mean: its luck shrinks, and new luck
    # comes on top.
    future = np.maximum(total - alone * (1 / seeds - 1 / future_seeds), 0.0) / factor
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = np.where(total > 0, future / total, 0.0)
    fresh = np.sqrt(np.maximum(future - kept * future, 0.0))
    return kept * at_hand + fresh * rng.standard_normal(at_hand.shape)
