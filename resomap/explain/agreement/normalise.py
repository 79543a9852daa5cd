"""Agreement placed between its floor and its ceiling, with an interval that knows the pictures and, from three seeds on, the seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from resomap.explain.agreement.measures import Kind

CONFIDENCE = 0.95
RESAMPLES = 1000
ENOUGH_SEEDS = 3  # for a spread between them; two networks say nothing of a third


@dataclass(frozen=True)
class SeedPairs:
    """Values (pairs, n) of n pictures, NaN where undefined, and the two seeds of each pair."""

    pairs: Sequence[tuple[int, int]]
    values: np.ndarray

    def of(self, pictures: np.ndarray) -> "SeedPairs":
        """The same of some of the pictures."""
        return SeedPairs(self.pairs, self.values[:, pictures])

    def a_picture(self, without: int | None = None) -> np.ndarray:
        """Mean over the pairs (n,), or over those that one seed has no part in; NaN where there is none."""
        return mean(self.values[[without not in pair for pair in self.pairs]])


@dataclass(frozen=True)
class Parts:
    """What a comparison is made of: the agreement observed, its floor, and the ceilings of the two resolutions."""

    observed: SeedPairs
    floor: SeedPairs
    ceilings: tuple[SeedPairs, SeedPairs]

    def a_picture(self, without: int | None = None) -> np.ndarray:
        """The four for each picture (n, 4), over all pairs of seeds or over those without one."""
        return np.stack(
            [part.a_picture(without) for part in (self.observed, self.floor, *self.ceilings)],
            axis=1,
        )


def mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is not NaN; NaN where nothing is left."""
    return _weighted(np.ones(len(values)), values)


def summarise(parts: Parts, seeds: Sequence[int], kind: Kind) -> dict[str, float]:
    """The columns `observed`, `floor`, `ceiling`, `normalised` and the ends of their intervals; left out or NaN where they mean nothing.

    `ceiling` is what two resolutions reach that differ in nothing but the noise of trainings: of correlations the geometric mean of both
    resolutions' (Spearman 1904), where both are positive; of distances their root mean square, for the squares of what noise moves add up.
    `normalised` is (observed - floor) / (ceiling - floor), where the ceiling is the more alike and the interval of that difference leaves
    out 0; it may exceed 1.

    Intervals are percentiles of a bootstrap over the pictures. With three seeds or more its variance and that of the jackknife over the
    seeds (Arvesen 1969, for means over pairs) are added, with the degrees of freedom of Satterthwaite (1946); what seeds and pictures do
    together is in both, so such an interval is rather too wide.
    """
    pictures = parts.a_picture()
    means = mean(pictures)
    observed, ceiling, _, normalised = _estimates(means, kind)
    low, high = _interval(parts, pictures, seeds, kind)
    told = {
        "observed": observed,
        "observed_low": low[0],
        "observed_high": high[0],
        "floor": means[1],
    }
    if (means[2:] > 0).all():
        told["ceiling"] = ceiling
        if low[2] > 0:
            told |= {
                "normalised": normalised,
                "normalised_low": low[3],
                "normalised_high": high[3],
            }
    return {name: float(value) for name, value in told.items()}


def _estimates(means: np.ndarray, kind: Kind) -> np.ndarray:
    """Of the means of Parts (..., 4): observed, ceiling, by how much the ceiling is more alike than the floor, and normalised (..., 4)."""
    observed, floor, *ceilings = np.moveaxis(means, -1, 0)
    ceiling = _ceiling(np.stack(ceilings), kind)
    gap = ceiling - floor
    normalised = (observed - floor) / np.where(gap == 0, np.nan, gap)
    return np.stack(
        [observed, ceiling, gap if kind == "correlation" else -gap, normalised], axis=-1
    )


def _ceiling(ceilings: np.ndarray, kind: Kind) -> np.ndarray:
    if kind == "distance":
        return np.sqrt(np.square(ceilings).mean(axis=0))
    return np.sqrt(np.maximum(ceilings, 0).prod(axis=0))


def _interval(
    parts: Parts, pictures: np.ndarray, seeds: Sequence[int], kind: Kind
) -> np.ndarray:
    """Ends (2, 4) of the intervals of `_estimates`."""
    resampled = _estimates(_weighted(_resamples(len(pictures)), pictures), kind)
    if len(seeds) < ENOUGH_SEEDS:
        return np.percentile(resampled, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)], axis=0)
    from scipy.special import stdtrit

    left_out = _estimates(
        np.stack([mean(parts.a_picture(without=seed)) for seed in seeds]), kind
    )
    of_pictures, of_seeds = resampled.var(axis=0), (len(seeds) - 1) * left_out.var(axis=0)
    variance = of_pictures + of_seeds
    parted = of_pictures**2 / (len(pictures) - 1) + of_seeds**2 / (len(seeds) - 1)
    df = np.maximum(variance**2 / np.maximum(parted, np.finfo(float).tiny), len(seeds) - 1)
    half = stdtrit(df, (1 + CONFIDENCE) / 2) * np.sqrt(variance)
    return _estimates(mean(pictures), kind) + np.stack([-half, half])


@lru_cache
def _resamples(pictures: int) -> np.ndarray:
    """How often each picture is drawn (RESAMPLES, pictures); the same whenever it is asked for."""
    rng = np.random.default_rng(pictures)
    return rng.multinomial(pictures, np.full(pictures, 1 / pictures), size=RESAMPLES).astype(
        np.float64
    )


def _weighted(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Means under weights (..., n) of values (n, columns), NaN left out; NaN where nothing is left."""
    defined = ~np.isnan(values)
    total = weights @ defined
    return weights @ np.where(defined, values, 0) / np.where(total > 0, total, np.nan)
