"""Confidence intervals of means over seeds and images; all intervals are made here.

Several networks predict the same images, as several radiologists read the same cases: seeds are
the readers, images the cases (Obuchowski and Rockette 1995). The degrees of freedom are those
of Hillis (2007). All intervals hold for one training set.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

# Level at which Cochran's C test rejects the largest of several variances as an outlier.
OUTLIER_LEVEL = 0.01


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its confidence interval, and how the interval was made."""

    mean: float
    low: float
    high: float
    method: str

    def columns(self, name: str) -> dict[str, float]:
        """Return the columns `name`, `name`_low and `name`_high of a table."""
        return {name: self.mean, f"{name}_low": self.low, f"{name}_high": self.high}


@dataclass(frozen=True)
class Spread:
    """The components of the variance of a mean over seeds x images.

    `seed_variance` is that between the means of the seeds (NaN for one seed), `covariance` that
    between the means of two seeds due to shared images (never negative), `unit_variance` that
    of the value of one image.
    """

    mean: float
    seeds: int
    images: int
    seed_variance: float
    covariance: float
    unit_variance: float

    @property
    def dispersion(self) -> float:
        """Seed variance relative to that of seeds with images of their own, or NaN."""
        # Raw variances shrink as an accuracy nears 1, so cells are compared on this scale.
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.divide(self.seed_variance * self.images, self.unit_variance))


@dataclass(frozen=True)
class Pool:
    """A shared seed dispersion, its degrees of freedom, and the largest one in the pool."""

    dispersion: float
    df: float
    largest: float


def compute_spread(values: np.ndarray) -> Spread:
    """Compute the variance components of correctness or its differences (seeds, images)."""
    seeds, images = values.shape
    means = values.mean(axis=1)
    return Spread(
        mean=float(means.mean()),
        seeds=seeds,
        images=images,
        seed_variance=float(means.var(ddof=1)) if seeds > 1 else float("nan"),
        # Networks that predict the same images cannot covary below 0: less than that is noise.
        covariance=max(_shared_covariance(values), 0.0),
        unit_variance=float(values.var(axis=1).mean()),
    )


def _shared_covariance(values: np.ndarray) -> float:
    """Compute the average covariance of the means of two seeds."""
    seeds, images = values.shape
    if seeds == 1 or images == 1:
        return 0.0
    centred = values - values.mean(axis=1, keepdims=True)
    # The products of all pairs of seeds are the square of the sum minus the squares.
    square_of_sum = (centred.sum(axis=0) ** 2).sum()
    cross_terms = square_of_sum - (centred**2).sum()
    return float(cross_terms / (seeds * (seeds - 1)) / (images - 1) / images)


def pool_spreads(spreads: Sequence[Spread], max_df: float = np.inf) -> Pool | None:
    """Pool the dispersion of all spreads of exactly two seeds; None when there is none.

    `max_df` bounds the degrees of freedom of dependent spreads (all differences between K cells
    have K - 1).
    """
    # A variance of two seeds has one degree of freedom, and so a useless t interval alone.
    two_seeds = [spread.dispersion for spread in spreads if spread.seeds == 2]
    values = sorted(value for value in two_seeds if np.isfinite(value))
    # Only cells of similar dispersion share it: Cochran's C test removes the largest in turn.
    while len(values) > 1 and values[-1] > _cochran_limit(len(values)) * sum(values):
        values.pop()
    if not values:
        return None
    return Pool(float(np.mean(values)), min(len(values), max_df), values[-1])


def pool_seed_variance(values: Iterable[np.ndarray], max_df: float = np.inf) -> Pool | None:
    """Pool the dispersion of all values (seeds, images); see `pool_spreads`."""
    return pool_spreads([compute_spread(each.astype(float)) for each in values], max_df)


def _cochran_limit(count: int) -> float:
    """Return the largest share that one of `count` variances of 1 df may have in their sum."""
    # The critical value of Cochran's C (1941); any of the variances may be the largest.
    ratio = stats.f.isf(OUTLIER_LEVEL / count, 1, count - 1)
    return float(1 / (1 + (count - 1) / ratio))


def accuracy_interval(
    correct: np.ndarray, confidence: float, pool: Pool | None = None
) -> Interval:
    """Compute the interval of the mean of correct (seeds, images).

    Wilson for one seed; for several crossed t, at least as wide as Wilson's.
    """
    spread = compute_spread(correct)
    low, high = wilson(spread.mean, spread.images, confidence)
    if spread.seeds == 1:
        return Interval(spread.mean, low, high, "Wilson, this network only")
    low_t, high_t, method = _crossed(spread, confidence, pool)
    # At an accuracy of 1 nothing varies, and the crossed interval alone would have no width.
    return Interval(spread.mean, max(min(low, low_t), 0.0), min(max(high, high_t), 1.0), method)


def difference_interval(
    first: np.ndarray, second: np.ndarray, confidence: float, pool: Pool | None = None
) -> Interval:
    """Compute the interval of mean(first) - mean(second) on the same (seeds, images).

    Bonett and Price (2012) over images for one seed; for several crossed t, at least as wide as
    theirs.
    """
    spread = compute_spread(first.astype(float) - second)
    low, high = _bonett_price(first, second, confidence)
    if spread.seeds == 1:
        return Interval(spread.mean, low, high, "Bonett-Price, this network only")
    low_t, high_t, method = _crossed(spread, confidence, pool)
    return Interval(
        spread.mean, max(min(low, low_t), -1.0), min(max(high, high_t), 1.0), method
    )


def mean_interval(values: np.ndarray, confidence: float, pool: Pool | None = None) -> Interval:
    """Compute the interval of the mean of any values (seeds, images).

    Student's t over images for one seed; for several crossed t, at least as wide as over
    images.
    """
    spread = compute_spread(values)
    error = float(values.mean(axis=0).std(ddof=1)) / np.sqrt(spread.images)
    half = float(stats.t.isf((1 - confidence) / 2, spread.images - 1)) * error
    low, high = spread.mean - half, spread.mean + half
    if spread.seeds == 1:
        return Interval(spread.mean, low, high, "t over images, this network only")
    low_t, high_t, method = _crossed(spread, confidence, pool)
    return Interval(spread.mean, min(low, low_t), max(high, high_t), method)


def student_interval(values: np.ndarray, confidence: float) -> Interval:
    """Compute Student's t interval of the mean of values (n,)."""
    half = stats.t.isf((1 - confidence) / 2, len(values) - 1) * stats.sem(values)
    mean = values.mean()
    return Interval(float(mean), float(mean - half), float(mean + half), "t")


def geometric_interval(logs: np.ndarray, confidence: float) -> Interval:
    """Compute Student's t interval of a geometric mean from logarithms (n,)."""
    interval = student_interval(logs, confidence)
    # Ratios multiply, so their errors are symmetric in the logarithm.
    mean, low, high = np.exp([interval.mean, interval.low, interval.high]).tolist()
    return Interval(mean, low, high, "t of logarithms")


def wilson(mean: float, count: int, confidence: float) -> tuple[float, float]:
    """Compute Wilson's score interval of a proportion `mean` of `count` images."""
    # Inverts the score test (Wilson 1927), which holds its level near 0 and 1.
    z = stats.norm.isf((1 - confidence) / 2)
    centre = (mean + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(mean * (1 - mean) / count + z**2 / (4 * count**2))
    return float(max(centre - half, 0.0)), float(min(centre + half, 1.0))


def _bonett_price(
    first: np.ndarray, second: np.ndarray, confidence: float
) -> tuple[float, float]:
    """Compute the adjusted Wald interval of a paired difference of proportions."""
    # One image is added to each kind of disagreement: two networks that agree on every image
    # still get an interval with a width.
    count = first.shape[1] + 2
    gained = (np.mean(first > second) * first.shape[1] + 1) / count
    lost = (np.mean(first < second) * first.shape[1] + 1) / count
    variance = (gained + lost - (gained - lost) ** 2) / count
    half = stats.norm.isf((1 - confidence) / 2) * np.sqrt(variance)
    return max(float(gained - lost - half), -1.0), min(float(gained - lost + half), 1.0)


def _crossed(spread: Spread, confidence: float, pool: Pool | None) -> tuple[float, float, str]:
    """Compute the ends of the crossed t interval, and name its method."""
    error, df, pooled = crossed_error(spread, pool)
    half = float(stats.t.isf((1 - confidence) / 2, df)) * error
    method = "crossed t, pooled" if pooled else "crossed t"
    return spread.mean - half, spread.mean + half, method


def crossed_error(spread: Spread, pool: Pool | None = None) -> tuple[float, float, bool]:
    """Return the standard error of the mean over seeds, its df (Hillis 2007), and if pooled."""
    variance, df, pooled = seed_variance(spread, pool)
    total = variance + spread.seeds * spread.covariance
    # Hillis (2007): what the images add to the variance also adds degrees of freedom.
    df = df * (total / variance) ** 2 if variance > 0 else np.inf
    return float(np.sqrt(total / spread.seeds)), df, pooled


def seed_variance(spread: Spread, pool: Pool | None = None) -> tuple[float, float, bool]:
    """Return the variance between seeds, its df, and whether it comes from the pool."""
    # A cell that varies more than all that were pooled is one that Cochran's C removed.
    if pool is None or spread.seeds != 2 or spread.dispersion > pool.largest:
        return spread.seed_variance, spread.seeds - 1.0, False
    return pool.dispersion * spread.unit_variance / spread.images, pool.df, True
