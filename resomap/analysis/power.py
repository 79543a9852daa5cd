"""Power of a paired comparison: what it detects, and what would decide it."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from resomap.analysis.statistics import Pool, Spread, seed_variance

POWER = 0.8
MAX_SEEDS = 50
# At most this many times the number of images at hand is proposed.
MAX_IMAGES_FACTOR = 100


@dataclass(frozen=True)
class PowerPlan:
    """The variance components of a paired difference, for other numbers of seeds and images.

    `between` seeds: what more images do not reduce. `alone` and `shared`: what one image adds
    to one seed and to all of them. `seeds` and `images` are those at hand, `df` the degrees of
    freedom of the variance between seeds (infinite for one seed, whose variance is unknown and
    left out).
    """

    between: float
    alone: float
    shared: float
    seeds: int
    images: int
    df: float

    def detectable(self, seeds: int, images: int, error: float) -> float:
        """Return the difference that a one-sided test at `error` detects with power POWER."""
        varying = self.between + self.alone / images
        # More seeds do not average out what all seeds share on an image.
        total = varying + seeds * self.shared / images
        # Pooled degrees of freedom hold for the seeds at hand; others would not be pooled.
        seed_df = self.df if seeds == self.seeds else seeds - 1.0
        df = seed_df * (total / varying) ** 2 if varying > 0 else np.inf
        # The sum of two quantiles approximates the noncentral t distribution.
        quantiles = stats.t.isf(error, df) + stats.t.isf(1 - POWER, df)
        return float(quantiles * np.sqrt(total / seeds))

    def seeds_needed(self, difference: float, error: float) -> int | None:
        """Return how many seeds in all detect `difference`; None when MAX_SEEDS do not.

        None for one seed as well, which leaves the variance between seeds unknown.
        """
        if self.seeds == 1:
            return None
        # By search, since the degrees of freedom change with the number of seeds.
        for seeds in range(self.seeds + 1, MAX_SEEDS + 1):
            if self.detectable(seeds, self.images, error) <= difference:
                return seeds
        return None

    def images_needed(self, difference: float, error: float) -> int | None:
        """Return how many images in all detect `difference`; None when too many."""
        for factor in np.geomspace(1, MAX_IMAGES_FACTOR, 100):
            images = int(np.ceil(factor * self.images))
            if self.detectable(self.seeds, images, error) <= difference:
                return images
        return None


def plan_power(spread: Spread, pool: Pool | None) -> PowerPlan:
    """Split the variance of a difference between two cells into its components."""
    if spread.seeds == 1:
        return PowerPlan(0.0, spread.unit_variance, 0.0, 1, spread.images, np.inf)
    variance, df, _ = seed_variance(spread, pool)
    shared = spread.covariance * spread.images
    alone = max(spread.unit_variance - shared, 0.0)
    between = max(variance - alone / spread.images, 0.0)
    return PowerPlan(between, alone, shared, spread.seeds, spread.images, df)
