"""What would decide an open choice: the whole decision is simulated with more seeds or images.

The unknown accuracies are drawn as in `posterior`, with the luck of the seeds and of the images
at hand. New seeds and images are drawn on top, and the certificate of the best cell is tested as
in `certificate`.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from resomap.analysis.decision.certificate import CONTENTION, luck_share
from resomap.analysis.decision.comparison import Ranking, shown_by_holm
from resomap.analysis.decision.contrasts import Contrasts
from resomap.analysis.decision.posterior import between_df, cell_variances, draw_sweeps
from resomap.analysis.statistics import MOST_DF, TINY

# Of the simulated sweeps so many must end in a choice.
SETTLED = 0.8
MAX_SEEDS = 20
# At most this many times the number of test images at hand is proposed.
MAX_IMAGES_FACTOR = 20
# With fewer, what seeds add is known too badly: images that the simulation found enough settled
# 52 to 63 % of such sweeps, and 79 % with five seeds (benchmarks/decision.md).
SEEDS_FOR_IMAGES = 5
FACTORS = np.geomspace(1.25, MAX_IMAGES_FACTOR, 24).tolist()


@dataclass(frozen=True)
class FutureSweep:
    """How many seeds, and how many times the test images, a simulated sweep has."""

    seeds: int
    images_factor: float = 1.0


@dataclass(frozen=True)
class FutureErrors:
    """Standard errors of the differences of one cell, as future sweeps estimate them (draws, K).

    `of_seeds` and `of_images` are the parts of its square.
    """

    size: np.ndarray
    df: np.ndarray
    of_seeds: np.ndarray
    of_images: np.ndarray


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
    if seeds >= SEEDS_FOR_IMAGES:
        more = [FutureSweep(seeds, factor) for factor in FACTORS]
        enough = _first_settled(simulation, more)
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
        self.draws = draw_sweeps(ranking, self.variances, np.random.default_rng(0))

    def settles(self, future: FutureSweep) -> float:
        """Return the share of the simulated sweeps that end in a choice."""
        rng = np.random.default_rng([future.seeds, int(1000 * future.images_factor)])
        val, test = self._future_means(future, rng)
        best = val.argmax(axis=1)
        within = self._is_within(val, test, best, best, future)
        if self.is_certified:
            cheaper = self.ranking.cheaper.T[best]
            # The next of the sequence is the most accurate one that costs less.
            second = np.where(cheaper, val, -np.inf).argmax(axis=1)
            within &= cheaper.any(axis=1) & self._is_within(val, test, best, second, future)
        return float((within | self._cheaper_are_worse(val, best, future)).mean())

    def _future_means(
        self, future: FutureSweep, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw the mean accuracies of a future sweep on validation and test images."""
        variances, draws = self.variances, self.draws
        seeds = self.ranking.val.seeds
        new = np.maximum(future.seeds - seeds, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.where(new > 0, np.sqrt(draws.seed_variance / new), 0.0)
        fresh = spread * rng.standard_normal(draws.accuracy.shape)
        luck = (seeds * draws.seed_luck + new * fresh) / (seeds + new)
        val, test = (
            _future_image_luck(at_hand, total, alone, seeds, seeds + new, factor, rng)
            for at_hand, total, alone, factor in (
                (draws.val_luck, variances.val, variances.alone_val, 1.0),
                (draws.test_luck, variances.test, variances.alone_test, future.images_factor),
            )
        )
        return draws.accuracy + luck + val, draws.accuracy + luck + test

    def _is_within(
        self,
        val: np.ndarray,
        test: np.ndarray,
        best: np.ndarray,
        cell: np.ndarray,
        future: FutureSweep,
    ) -> np.ndarray:
        """Return where a cell (draws,) is shown to be within the margin of all others."""
        rows = np.arange(len(test))
        errors = self._future_errors(cell, future, test=True)
        half = stats.t.isf(self.ranking.error, errors.df) * errors.size
        luck = self._expected_luck(val, best, cell, errors.of_seeds, future)
        deficit = test - test[rows, cell][:, None] + half + luck
        deficit[rows, cell] = 0.0
        # What a confound prevents, more data do not certify either.
        possible = ~self.ranking.certificate.prevented[cell]
        return np.asarray((deficit.max(axis=1) <= self.ranking.margin) & possible)

    def _expected_luck(
        self,
        val: np.ndarray,
        best: np.ndarray,
        cell: np.ndarray,
        of_seeds: np.ndarray,
        future: FutureSweep,
    ) -> np.ndarray:
        """Return the luck that the certificate subtracts from a cell (draws, K)."""
        rows = np.arange(len(val))
        on_val = self._future_errors(cell, future, test=False)
        reach = stats.t.isf(CONTENTION, on_val.df) * on_val.size
        own = val[rows, cell][:, None]
        rivals = np.array(self.ranking.cheaper.T[best])
        rivals[rows, best] = True
        contends = rivals & (val >= own - reach)
        contends[rows, cell] = True
        centre = np.nanmedian(np.where(contends, val, np.nan), axis=1)
        lead = np.maximum(own - centre[:, None], 0.0)
        return luck_share(of_seeds, on_val.of_images) * lead

    def _cheaper_are_worse(
        self, val: np.ndarray, best: np.ndarray, future: FutureSweep
    ) -> np.ndarray:
        """Return where all cheaper cells are shown to be worse than the best (draws,)."""
        ranking, rows = self.ranking, np.arange(len(val))
        errors = self._future_errors(best, future, test=False)
        beyond = val[rows, best][:, None] - val - ranking.margin
        chances = stats.t.sf(beyond / np.maximum(errors.size, TINY), errors.df)
        # The best itself is no rival of its own.
        chances[rows, best] = 1.0
        worse = shown_by_holm(chances, ranking.worse_error, val.shape[1] - 1)
        return np.asarray((worse | ~ranking.cheaper.T[best]).all(axis=1))

    def _future_errors(
        self, cell: np.ndarray, future: FutureSweep, *, test: bool
    ) -> FutureErrors:
        """Return the errors of the differences of a cell (draws,) in future sweeps."""
        contrasts = self.ranking.test if test else self.ranking.val
        factor = future.images_factor if test else 1.0
        images, total = future_image_variance(contrasts, future.seeds, factor)
        images, total, alone = images[cell], total[cell], contrasts.of_seeds.alone[cell]
        true = self.draws.seed_variance
        true = true + true[np.arange(len(cell)), cell][:, None]
        estimated = (contrasts.seed_part * contrasts.pair_seeds)[cell]
        at_hand = self._share_at_hand(future)
        of_seeds = _future_estimate(estimated, true, alone, at_hand, factor)
        square = images + of_seeds / total
        # Satterthwaite, as in `combine_errors`.
        between = np.maximum(of_seeds + alone / factor, TINY) / total
        df = between_df(contrasts) / at_hand * (square / between) ** 2
        return FutureErrors(
            np.sqrt(square), np.clip(df, 1.0, MOST_DF), of_seeds / total, images
        )

    def _share_at_hand(self, future: FutureSweep) -> float:
        """Return the share of the degrees of freedom of future seeds that are at hand."""
        return float(max(self.ranking.val.seeds.min() - 1, 1) / max(future.seeds - 1, 1))


def _future_estimate(
    estimated: np.ndarray, true: np.ndarray, alone: np.ndarray, at_hand: float, factor: float
) -> np.ndarray:
    """Return the variance of one seed that a future sweep estimates (draws, K).

    The seeds at hand keep their error, and new ones show the truth. The part of the error that
    images caused, `alone`, shrinks with `factor` times the images.
    """
    kept = at_hand * (true + alone / factor) / np.maximum(true + alone, TINY)
    return np.maximum(true + kept * (estimated - true), 0.0)


def future_image_variance(
    contrasts: Contrasts, seeds: int, factor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return what images add to the variance of future differences, and the seeds (K, K)."""
    at_hand = contrasts.pair_seeds
    total = np.maximum(seeds, at_hand)
    averaged = contrasts.of_seeds.alone * (1 / at_hand - 1 / total)
    return np.maximum(contrasts.image_variance - averaged, 0.0) / factor, total


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
