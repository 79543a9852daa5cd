"""Differences between the mean accuracies of cells that predict the same images, for all pairs.

Each pair has its own error over images. What seeds add to it is pooled over all pairs, so that
two or three seeds are enough to know it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import stats

from resomap.analysis.statistics import (
    SCALE_POWERS,
    Interval,
    Pool,
    combine_errors,
    fit_pool,
    scales,
    unseen,
)


@dataclass(frozen=True)
class SeedVariances:
    """What the seeds that two cells share show about their difference, each (K, K).

    `count` seeds give the variance `between` of the differences, of which `alone` is explained
    by images.
    """

    count: np.ndarray
    between: np.ndarray
    alone: np.ndarray

    def subset(self, pairs: tuple[np.ndarray, ...]) -> "SeedVariances":
        """Return the variances of some of the pairs."""
        return SeedVariances(self.count[pairs], self.between[pairs], self.alone[pairs])

    @property
    def known(self) -> np.ndarray:
        """Whether two seeds or more are shared."""
        return (self.count > 1) & ~np.eye(len(self.count), dtype=bool)


@dataclass(frozen=True)
class Contrasts:
    """All differences between K cells: row minus column.

    `means` (K,) are over all seeds and images of a cell. `image_variance` (K, K) is that of the
    differences, as the images were drawn, and `own` (K, K) what seeds add to it by the cells of
    each pair alone (NaN where unknown). `scale` (K, powers) says how the seed variance of a
    cell may grow with that of one image. `pool` is None with one seed.
    """

    means: np.ndarray
    seeds: np.ndarray
    images: int
    image_variance: np.ndarray
    of_seeds: SeedVariances
    own: np.ndarray
    scale: np.ndarray
    pool: Pool | None

    @property
    def differences(self) -> np.ndarray:
        """Mean accuracy of the row minus that of the column (K, K)."""
        return np.asarray(self.means[:, None] - self.means)

    @cached_property
    def pair_seeds(self) -> np.ndarray:
        """Number of seeds that a pair counts as (K, K)."""
        inverse = 1 / self.seeds
        return 2 / (inverse[:, None] + inverse)

    @cached_property
    def pair_scale(self) -> np.ndarray:
        """By what the level of the pool is multiplied for each pair (K, K)."""
        assert self.pool is not None
        of_cells = self.scale[:, scale_index(self.pool)]
        return np.asarray(of_cells[:, None] + of_cells)

    @cached_property
    def seed_part(self) -> np.ndarray:
        """Variance of each difference that the seeds add (K, K); 0 with one seed."""
        if self.pool is None:
            return np.zeros_like(self.image_variance)
        return np.maximum(self.errors[0] ** 2 - self._images_and_unseen, 0.0)

    @property
    def _images_and_unseen(self) -> np.ndarray:
        return self.image_variance + unseen(self.pair_seeds, self.images)

    @cached_property
    def errors(self) -> tuple[np.ndarray, np.ndarray]:
        """Standard errors of all differences and their degrees of freedom, (K, K) each."""
        if self.pool is None:
            error = np.sqrt(self._images_and_unseen)
            return error, np.full_like(error, np.inf)
        return combine_errors(
            self._images_and_unseen,
            self.of_seeds.alone,
            self.own,
            self.pair_scale,
            self.pool,
            self.pair_seeds,
        )

    def half_widths(self, error: float) -> np.ndarray:
        """Return what one-sided bounds of level `error` add to each difference (K, K)."""
        errors, df = self.errors
        return np.asarray(stats.t.isf(error, df) * errors)

    def subset(self, cells: Sequence[int]) -> "Contrasts":
        """Return the differences between some of the cells, with the same pool."""
        pairs = np.ix_(cells, cells)
        return replace(
            self,
            means=self.means[cells],
            seeds=self.seeds[cells],
            image_variance=self.image_variance[pairs],
            of_seeds=self.of_seeds.subset(pairs),
            scale=self.scale[cells],
            own=self.own[pairs],
        )

    def interval(self, row: int, column: int, confidence: float) -> Interval:
        """Return the interval of the difference between two cells."""
        error, df = (values[row, column] for values in self.errors)
        half = float(stats.t.isf((1 - confidence) / 2, df) * error)
        mean = float(self.means[row] - self.means[column])
        method = "these networks only" if self.pool is None else "crossed t"
        return Interval(mean, max(mean - half, -1.0), min(mean + half, 1.0), method)

    def detectable(self, row: int, column: int, error: float, power: float) -> float:
        """Return the difference that a one-sided test of level `error` detects with `power`."""
        size, df = (values[row, column] for values in self.errors)
        # The sum of two quantiles approximates the noncentral t distribution.
        return float((stats.t.isf(error, df) + stats.t.isf(1 - power, df)) * size)


def scale_index(pool: Pool) -> int:
    """Return the position of the power of a pool among the scales."""
    return SCALE_POWERS.index(pool.power)


def contrast_cells(
    correct: Sequence[np.ndarray],
    seeds: Sequence[Sequence[int]],
    pooled: Sequence[int] | None = None,
) -> Contrasts:
    """Compare cells by their correctness (seeds, images) on the same images.

    `seeds` names the rows of each cell; only networks of the same seed share its noise. What
    seeds add is pooled over the pairs of the cells `pooled`, all by default.
    """
    reference = np.arange(len(correct)) if pooled is None else np.array(pooled)
    images = correct[0].shape[1]
    counts = np.array([len(values) for values in correct], float)
    right = np.stack([values.sum(axis=0, dtype=np.int32) for values in correct])
    image_variance = _variances_of_differences(right, counts)
    of_seeds, within = _seed_variances(correct, seeds, image_variance)
    # Networks on the same images cannot covary below 0.
    floor = within / (2 / (1 / counts[:, None] + 1 / counts))
    scale = scales(np.array([_unit_variance(values) for values in correct]))
    return Contrasts(
        means=np.array([values.mean() for values in correct]),
        seeds=counts,
        images=images,
        image_variance=np.maximum(image_variance, floor),
        of_seeds=of_seeds,
        own=own_excess(of_seeds, reference),
        scale=scale,
        pool=_pool_pairs(of_seeds.subset(np.ix_(reference, reference)), scale[reference]),
    )


def _unit_variance(values: np.ndarray) -> float:
    """Return the variance of the value of one image, mean over the seeds."""
    return float(values.var(axis=1, dtype=np.float64).mean())


def _variances_of_differences(right: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Return the variance of the mean over images of each difference of cells (K, K).

    `right` (K, images) counts how many of `seeds` (K,) networks are right.
    """
    images, most = right.shape[1], int(right.max(initial=0))
    # Sums of integers are exact in any order, so that a pair has the same variance whichever
    # other cells are compared: the page computes with those of the whole sweep.
    rows = right.astype("f4" if images * most**2 < 2**24 else "f8")
    products = (rows @ rows.T).astype(float)
    sums = right.sum(axis=1, dtype=float)
    products -= sums[:, None] * sums / images
    products /= seeds[:, None] * seeds * max(images - 1, 1) * images
    of_rows = np.diag(products)
    return np.maximum(of_rows[:, None] + of_rows - 2 * products, 0.0)


def _seed_variances(
    correct: Sequence[np.ndarray], seeds: Sequence[Sequence[int]], image_variance: np.ndarray
) -> tuple[SeedVariances, np.ndarray]:
    """Return the seed variances of all pairs, and the image variance of one seed (K, K)."""
    size = len(correct)
    count, sums, squares, within = (np.zeros((size, size)) for _ in range(4))
    for seed in sorted({seed for of_cell in seeds for seed in of_cell}):
        cells = [cell for cell, of_cell in enumerate(seeds) if seed in of_cell]
        rows = np.stack([correct[cell][list(seeds[cell]).index(seed)] for cell in cells])
        means = rows.mean(axis=1)
        differences = means[:, None] - means
        pairs = np.ix_(cells, cells)
        count[pairs] += 1
        sums[pairs] += differences
        squares[pairs] += differences**2
        within[pairs] += _variances_of_differences(rows, np.ones(len(rows)))
    with np.errstate(divide="ignore", invalid="ignore"):
        within = np.where(count > 0, within / count, 0.0)
        between = np.where(count > 1, (squares - sums**2 / count) / (count - 1), np.nan)
        alone = np.maximum(within - image_variance, 0.0) * count / (count - 1)
    alone = np.where(count > 1, np.minimum(alone, within), 0.0)
    return SeedVariances(count, np.maximum(between, 0.0), alone), within


def _pool_pairs(of_seeds: SeedVariances, scale: np.ndarray) -> Pool | None:
    """Pool what seeds add to the variance over all pairs; None when no pair shares two."""
    rows, columns = np.nonzero(np.triu(of_seeds.known))
    if not len(rows):
        return None
    pairs = (rows, columns)
    # The differences of K cells are sums of K - 1 independent ones.
    independent = (len(scale) - 1) / len(rows)
    return fit_pool(
        of_seeds.between[pairs],
        of_seeds.alone[pairs],
        scale[rows] + scale[columns],
        of_seeds.count[pairs] - 1,
        min(independent, 1.0),
    )


def own_excess(of_seeds: SeedVariances, reference: np.ndarray) -> np.ndarray:
    """Return what seeds add to the variance of each pair by its own cells (K, K).

    NaN where it is unknown. The part of a cell comes from all its differences to the cells
    `reference`, since that of one pair alone would be noisy.
    """
    known, size = of_seeds.known, len(reference)
    excess = np.where(known, of_seeds.between - of_seeds.alone, np.nan)
    to_reference = excess[:, reference]
    if size < 3 or not known[:, reference].any():
        return excess
    present = known[:, reference].sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_rows = np.nansum(to_reference, axis=1) / present
    mean = np.nanmean(of_rows[reference]) / 2
    # A row is the mean of the others plus its own cell; a cell of the reference is not among
    # its own others, so that (K - 1) of K cells are left. Solved for the cell.
    of_cells = of_rows - mean
    inside = (of_rows[reference] * (size - 1) - size * mean) / (size - 2)
    of_cells[reference] = inside
    return np.asarray(of_cells[:, None] + of_cells)
