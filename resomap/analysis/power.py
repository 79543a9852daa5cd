"""What a comparison can tell apart, and how many seeds or pictures would settle it."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from resomap.analysis.statistics import Pool, Spread, seed_variance

POWER = 0.8
MOST_SEEDS = 50
MOST_PICTURES = 100
"""More pictures than this multiple of those at hand are not proposed."""


@dataclass(frozen=True)
class Plan:
    """Variances of a paired difference a seed: `between` seeds that no picture removes, and what one picture adds, `alone` and `shared`.

    `seeds` and `pictures` are those at hand, `df` the degrees of freedom of the variance between seeds (infinite for one seed, whose
    variance is unknown and left out).
    """

    between: float
    alone: float
    shared: float
    seeds: int
    pictures: int
    df: float

    def detectable(self, seeds: int, pictures: int, error: float) -> float:
        """The difference that a one-sided test at level `error` finds with probability POWER."""
        varying = self.between + self.alone / pictures
        total = varying + seeds * self.shared / pictures
        own_df = self.df if seeds == self.seeds else seeds - 1.0
        df = own_df * (total / varying) ** 2 if varying > 0 else np.inf
        return float(
            (stats.t.isf(error, df) + stats.t.isf(1 - POWER, df)) * np.sqrt(total / seeds)
        )

    def seeds_needed(self, difference: float, error: float) -> int | None:
        """Seeds in all that would find `difference`; None when MOST_SEEDS do not, or when one seed leaves their variance unknown."""
        if self.seeds == 1:
            return None
        enough = (
            seeds
            for seeds in range(self.seeds + 1, MOST_SEEDS + 1)
            if self.detectable(seeds, self.pictures, error) <= difference
        )
        return next(enough, None)

    def pictures_needed(self, difference: float, error: float) -> int | None:
        """Pictures in all that would find `difference`; None when MOST_PICTURES times those at hand do not."""
        multiples = np.geomspace(1, MOST_PICTURES, 100)
        enough = (
            int(np.ceil(multiple * self.pictures))
            for multiple in multiples
            if self.detectable(self.seeds, int(np.ceil(multiple * self.pictures)), error)
            <= difference
        )
        return next(enough, None)


def plan(spread: Spread, pool: Pool | None) -> Plan:
    """Take apart the variance of a difference between two cells, for planning."""
    if spread.seeds == 1:
        return Plan(0.0, spread.unit_variance, 0.0, 1, spread.pictures, np.inf)
    variance, df, _ = seed_variance(spread, pool)
    shared = spread.covariance * spread.pictures
    alone = max(spread.unit_variance - shared, 0.0)
    return Plan(
        max(variance - alone / spread.pictures, 0.0),
        alone,
        shared,
        spread.seeds,
        spread.pictures,
        df,
    )
