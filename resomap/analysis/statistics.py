"""Intervals whose width knows both chances: the seeds that were drawn and the pictures that were drawn.

Several networks answer the same pictures, as several radiologists read the same cases: seeds are the readers, pictures the cases (Obuchowski
and Rockette 1995). The degrees of freedom are those of Hillis (2007). Everything holds for one training set.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

UNLIKE = 0.01
"""Level at which Cochran's C test calls the largest of several variances unlike the others."""


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its confidence interval, and how the interval was made."""

    mean: float
    low: float
    high: float
    method: str

    @property
    def only_this_network(self) -> bool:
        """Whether it says nothing about other seeds."""
        return self.method.endswith("this network only")


@dataclass(frozen=True)
class Spread:
    """The parts of the variance of a mean over seeds x pictures: `seed_variance` between the seeds' means (NaN of one seed),
    `covariance` between two seeds' means for the pictures they share (never negative), `unit_variance` of one picture's value.
    """

    mean: float
    seeds: int
    pictures: int
    seed_variance: float
    covariance: float
    unit_variance: float

    @property
    def dispersion(self) -> float:
        """The seed variance in units of what drawing the pictures anew for every seed would give; NaN where nothing varies."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.divide(self.seed_variance * self.pictures, self.unit_variance))


def compute_spread(values: np.ndarray) -> Spread:
    """Take the variance of values (seeds, pictures) apart; values are 1 for a right answer, or differences of two such."""
    seeds, pictures = values.shape
    means = values.mean(axis=1)
    return Spread(
        mean=float(means.mean()),
        seeds=seeds,
        pictures=pictures,
        seed_variance=float(means.var(ddof=1)) if seeds > 1 else float("nan"),
        covariance=max(_shared_covariance(values), 0.0),
        unit_variance=float(values.var(axis=1).mean()),
    )


def _shared_covariance(values: np.ndarray) -> float:
    """Average covariance of two seeds' means (their values' covariance over the pictures / N)."""
    seeds, pictures = values.shape
    if seeds == 1 or pictures == 1:
        return 0.0
    centred = values - values.mean(axis=1, keepdims=True)
    of_the_sum = (centred.sum(axis=0) ** 2).sum()
    between = of_the_sum - (centred**2).sum()
    return float(between / (seeds * (seeds - 1)) / (pictures - 1) / pictures)


@dataclass(frozen=True)
class Pool:
    """A seed dispersion shared by spreads of two seeds, its degrees of freedom, and the largest that counts as alike."""

    dispersion: float
    df: float
    largest: float


def pool_spreads(spreads: Sequence[Spread], max_df: float = np.inf) -> Pool | None:
    """Pool the dispersion of all spreads of exactly two seeds; None without any.

    Cochran's C test sets unlike ones aside, one by one. `max_df` bounds the degrees of freedom where spreads are not independent
    (all differences between K cells hold K - 1).
    """
    values = sorted(
        spread.dispersion
        for spread in spreads
        if spread.seeds == 2 and np.isfinite(spread.dispersion)
    )
    while len(values) > 1 and values[-1] > _cochran_limit(len(values)) * sum(values):
        values.pop()
    if not values:
        return None
    return Pool(float(np.mean(values)), min(len(values), max_df), values[-1])


def _cochran_limit(count: int) -> float:
    """Largest share of the sum that one of `count` variances, each of one degree of freedom, should have."""
    return float(1 / (1 + (count - 1) / stats.f.isf(UNLIKE / count, 1, count - 1)))


def accuracy_interval(
    correct: np.ndarray, confidence: float, pool: Pool | None = None
) -> Interval:
    """Interval of the mean of correct (seeds, pictures): Wilson for one seed, else crossed t; Wilson is the least width."""
    spread = compute_spread(correct)
    low, high = wilson(spread.mean, spread.pictures, confidence)
    if spread.seeds == 1:
        return Interval(spread.mean, low, high, "Wilson, this network only")
    low_t, high_t, method = _crossed(spread, confidence, pool)
    return Interval(spread.mean, max(min(low, low_t), 0.0), min(max(high, high_t), 1.0), method)


def difference_interval(
    first: np.ndarray, second: np.ndarray, confidence: float, pool: Pool | None = None
) -> Interval:
    """Interval of mean(first) - mean(second), both (seeds, pictures) of the same seeds and pictures.

    The interval over pictures (Bonett and Price 2012) stands alone for one seed, and is the least width for more.
    """
    spread = compute_spread(first.astype(float) - second)
    low, high = _paired_over_pictures(first, second, confidence)
    if spread.seeds == 1:
        return Interval(spread.mean, low, high, "Bonett-Price, this network only")
    low_t, high_t, method = _crossed(spread, confidence, pool)
    return Interval(
        spread.mean, max(min(low, low_t), -1.0), min(max(high, high_t), 1.0), method
    )


def mean_interval(values: np.ndarray, confidence: float, pool: Pool | None = None) -> Interval:
    """Interval of the mean of any values (seeds, pictures): t over pictures for one seed, else crossed t, and no narrower than over pictures."""
    spread = compute_spread(values)
    error = float(values.mean(axis=0).std(ddof=1)) / np.sqrt(spread.pictures)
    half = float(stats.t.isf((1 - confidence) / 2, spread.pictures - 1)) * error
    if spread.seeds == 1:
        return Interval(
            spread.mean,
            spread.mean - half,
            spread.mean + half,
            "t over pictures, this network only",
        )
    low, high, method = _crossed(spread, confidence, pool)
    return Interval(
        spread.mean, min(spread.mean - half, low), max(spread.mean + half, high), method
    )


def wilson(mean: float, count: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion `mean` of `count` pictures."""
    z = stats.norm.isf((1 - confidence) / 2)
    centre = (mean + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(mean * (1 - mean) / count + z**2 / (4 * count**2))
    return float(max(centre - half, 0.0)), float(min(centre + half, 1.0))


def _paired_over_pictures(
    first: np.ndarray, second: np.ndarray, confidence: float
) -> tuple[float, float]:
    """Adjusted Wald: one picture is added to each kind of disagreement, so agreement everywhere still has a width."""
    count = first.shape[1] + 2
    gained = (np.mean(first > second) * first.shape[1] + 1) / count
    lost = (np.mean(first < second) * first.shape[1] + 1) / count
    half = stats.norm.isf((1 - confidence) / 2) * np.sqrt(
        (gained + lost - (gained - lost) ** 2) / count
    )
    return max(float(gained - lost - half), -1.0), min(float(gained - lost + half), 1.0)


def _crossed(spread: Spread, confidence: float, pool: Pool | None) -> tuple[float, float, str]:
    error, df, pooled = crossed_error(spread, pool)
    half = float(stats.t.isf((1 - confidence) / 2, df)) * error
    return (
        spread.mean - half,
        spread.mean + half,
        "crossed t, pooled" if pooled else "crossed t",
    )


def crossed_error(spread: Spread, pool: Pool | None = None) -> tuple[float, float, bool]:
    """Standard error of the mean over several seeds with its degrees of freedom (Hillis 2007), and whether the pool was used."""
    variance, df, pooled = seed_variance(spread, pool)
    total = variance + spread.seeds * spread.covariance
    df = df * (total / variance) ** 2 if variance > 0 else np.inf
    return float(np.sqrt(total / spread.seeds)), df, pooled


def seed_variance(spread: Spread, pool: Pool | None = None) -> tuple[float, float, bool]:
    """Variance between seeds, its degrees of freedom, and whether it is the pool's: for two seeds, unless their own is unlike it."""
    if pool is None or spread.seeds != 2 or spread.dispersion > pool.largest:
        return spread.seed_variance, spread.seeds - 1.0, False
    return pool.dispersion * spread.unit_variance / spread.pictures, pool.df, True
