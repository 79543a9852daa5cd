"""Agreement relative to its floor and ceiling, with intervals over images and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from resomap.explain.agreement.measures import Kind

CONFIDENCE = 0.95
RESAMPLES = 1000
MIN_SEEDS = 3  # for a variance between seeds: two networks do not predict a third


@dataclass(frozen=True)
class SeedPairs:
    """Agreement (pairs, n) of n images, NaN where undefined, and the seeds of each pair."""

    pairs: Sequence[tuple[int, int]]
    values: np.ndarray

    def select(self, images: np.ndarray) -> "SeedPairs":
        """Return the values of some images, by position."""
        return SeedPairs(self.pairs, self.values[:, images])

    def image_means(self, without_seed: int | None = None) -> np.ndarray:
        """Return the mean over all pairs (n,) or those without a seed; NaN for no pair."""
        kept = [without_seed not in pair for pair in self.pairs]
        return mean(self.values[kept])


@dataclass(frozen=True)
class AgreementParts:
    """The agreement observed, its floor, and the ceilings of the two resolutions."""

    observed: SeedPairs
    floor: SeedPairs
    ceilings: tuple[SeedPairs, SeedPairs]

    def image_means(self, without_seed: int | None = None) -> np.ndarray:
        """Return the four means of each image (n, 4), over all pairs or without a seed."""
        parts = (self.observed, self.floor, *self.ceilings)
        return np.stack([part.image_means(without_seed) for part in parts], axis=1)


def mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over the first axis, ignoring NaN; NaN where nothing remains."""
    return _weighted_mean(np.ones(len(values)), values)


def summarise(parts: AgreementParts, seeds: Sequence[int], kind: Kind) -> dict[str, float]:
    """Return `observed`, `floor`, `ceiling` and `normalised` with the ends of their intervals.

    - `ceiling`: agreement of two resolutions that differ only by the noise of training. For
      correlations the geometric mean of the ceilings of both resolutions (the correction for
      attenuation, Spearman 1904), where both are positive. For distances their root mean
      square, as the squares of independent displacements add up.
    - `normalised`: (observed - floor) / (ceiling - floor); it may exceed 1. Only where the
      ceiling is more alike than the floor and the interval of the difference excludes 0.

    Values that are not defined are missing or NaN.
    """
    image_means = parts.image_means()
    means = mean(image_means)
    observed, ceiling, _, normalised = _estimates(means, kind)
    low, high = _interval(parts, image_means, seeds, kind)
    summary = {
        "observed": observed,
        "observed_low": low[0],
        "observed_high": high[0],
        "floor": means[1],
    }
    if (means[2:] > 0).all():
        summary["ceiling"] = ceiling
        if low[2] > 0:
            summary |= {"normalised": normalised}
            summary |= {"normalised_low": low[3], "normalised_high": high[3]}
    return {name: float(value) for name, value in summary.items()}


def _estimates(means: np.ndarray, kind: Kind) -> np.ndarray:
    """Return observed, ceiling, gap and normalised (..., 4).

    `means` (..., 4) are those of AgreementParts. The gap is by how much the ceiling is more
    alike than the floor.
    """
    observed, floor, *ceilings = np.moveaxis(means, -1, 0)
    ceiling = _combine_ceilings(np.stack(ceilings), kind)
    difference = ceiling - floor
    gap = difference if kind == "correlation" else -difference
    normalised = (observed - floor) / np.where(difference == 0, np.nan, difference)
    return np.stack([observed, ceiling, gap, normalised], axis=-1)


def _combine_ceilings(ceilings: np.ndarray, kind: Kind) -> np.ndarray:
    if kind == "distance":
        return np.sqrt(np.square(ceilings).mean(axis=0))
    return np.sqrt(np.maximum(ceilings, 0).prod(axis=0))


def _interval(
    parts: AgreementParts, image_means: np.ndarray, seeds: Sequence[int], kind: Kind
) -> np.ndarray:
    """Return the ends (2, 4) of the intervals of `_estimates`.

    With few seeds, percentiles of a bootstrap over the images. With `MIN_SEEDS` or more, the
    variance of a jackknife over the seeds is added (Arvesen 1969, for means over pairs).
    """
    resampled = _estimates(_weighted_mean(_resamples(len(image_means)), image_means), kind)
    if len(seeds) < MIN_SEEDS:
        return np.percentile(resampled, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)], axis=0)
    from scipy.special import stdtrit

    left_out = _estimates(
        np.stack([mean(parts.image_means(without_seed=seed)) for seed in seeds]), kind
    )
    # The interaction of seeds and images is in both variances, so the interval is conservative.
    image_variance = resampled.var(axis=0)
    seed_variance = (len(seeds) - 1) * left_out.var(axis=0)
    variance = image_variance + seed_variance
    # Degrees of freedom of a sum of variances (Satterthwaite 1946).
    scaled = image_variance**2 / (len(image_means) - 1) + seed_variance**2 / (len(seeds) - 1)
    df = np.maximum(variance**2 / np.maximum(scaled, np.finfo(float).tiny), len(seeds) - 1)
    half = stdtrit(df, (1 + CONFIDENCE) / 2) * np.sqrt(variance)
    return _estimates(mean(image_means), kind) + np.stack([-half, half])


@lru_cache
def _resamples(num_images: int) -> np.ndarray:
    """Return how often each image occurs in each resample (RESAMPLES, num_images), float64."""
    # Seeded by the number of images, so every row of a table uses the same resamples.
    rng = np.random.default_rng(num_images)
    counts = rng.multinomial(num_images, np.full(num_images, 1 / num_images), size=RESAMPLES)
    return counts.astype(np.float64)


def _weighted_mean(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the means of values (n, columns) under weights (..., n), ignoring NaN."""
    defined = ~np.isnan(values)
    total = weights @ defined
    return weights @ np.where(defined, values, 0) / np.where(total > 0, total, np.nan)
