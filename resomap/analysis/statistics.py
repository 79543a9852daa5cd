"""Confidence intervals of means over seeds and images; all intervals are made here.

Several networks predict the same images, as several radiologists read the same cases: seeds are
the readers, images the cases (Obuchowski and Rockette 1995). What the images add to the variance
of a mean is measured by many of them; what the seeds add is not, so cells share it. The degrees
of freedom are those of Hillis (2007). All intervals hold for one training set.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special, stats

# How the seed variance grows with the variance p(1 - p) of one image: as it does, not at all, as
# its square (equal spread of logits), or more steeply. The first holds unless another one is
# more likely by this much, twice the logarithm.
SCALE_POWERS = (1.0, 0.0, 2.0, 3.0)
LIKELIER = 2.0
# Smallest variances, so that cells without any error can be compared.
TINY = 1e-12
# Degrees of freedom from which a t quantile is a normal one.
MOST_DF = 1e9


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

    `image_variance` is that of the mean over seeds, as the images were drawn. `seed_variance` is
    that between the means of the seeds (NaN for one seed), and `alone_variance` the part of it
    that images explain. `unit_variance` is that of the value of one image.
    """

    mean: float
    seeds: int
    images: int
    image_variance: float
    seed_variance: float
    alone_variance: float
    unit_variance: float


@dataclass(frozen=True)
class Pool:
    """The variance that seeds add beyond the images, shared by all cells.

    It is `level` times the variance of one image to the power `power`; `level_variance` is the
    variance of `level` as an estimate.
    """

    level: float
    power: float
    level_variance: float

    def scale(self, unit_variance: np.ndarray) -> np.ndarray:
        """Return by what `level` is multiplied, from the variance of one image."""
        return np.asarray(np.maximum(unit_variance, TINY) ** self.power)


def compute_spread(values: np.ndarray) -> Spread:
    """Compute the variance components of correctness or its differences (seeds, images)."""
    seeds, images = values.shape
    if values.dtype == bool:
        of_seeds, unit, shared = _spread_of_counts(values)
    else:
        values = np.asarray(values, float)
        of_seeds = values.mean(axis=1)
        unit = float(values.var(axis=1, ddof=min(images - 1, 1)).mean())
        shared = float(values.mean(axis=0).var(ddof=min(images - 1, 1))) / images
    # Networks that predict the same images cannot covary below 0: less than that is noise.
    shared = max(shared, unit / images / seeds)
    several = seeds > 1
    return Spread(
        mean=float(of_seeds.mean()),
        seeds=seeds,
        images=images,
        image_variance=shared,
        seed_variance=float(of_seeds.var(ddof=1)) if several else float("nan"),
        # What is not shared by two seeds on the same images averages out between them.
        alone_variance=(unit / images - shared) * seeds / (seeds - 1) if several else 0.0,
        unit_variance=unit,
    )


def _spread_of_counts(correct: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Return the means of seeds, the variance of one image, and that of the mean over images.

    Counts give what `compute_spread` takes from single values, many times faster: a large sweep
    has thousands of such arrays.
    """
    seeds, images = correct.shape
    right = np.count_nonzero(correct, axis=1)
    # Below 256 seeds a byte holds the count of an image, and adding bytes is fast.
    of_images = correct.sum(axis=0, dtype=np.uint8 if seeds < 256 else np.intp)
    frequency, values = np.bincount(of_images, minlength=seeds + 1), np.arange(seeds + 1)
    divisor = images - min(images - 1, 1)
    unit = float((right * (images - right)).mean() / images / divisor)
    squares = float((frequency * (values / seeds - right.sum() / correct.size) ** 2).sum())
    return right / images, unit, squares / divisor / images


def pool_spreads(spreads: Sequence[Spread]) -> Pool | None:
    """Pool what seeds add to the variance over all spreads of several seeds; None without one."""
    several = [spread for spread in spreads if spread.seeds > 1]
    if not several:
        return None
    return fit_pool(
        np.array([spread.seed_variance for spread in several]),
        np.array([spread.alone_variance for spread in several]),
        np.array([scales(spread.unit_variance) for spread in several]),
        np.array([spread.seeds - 1.0 for spread in several]),
    )


def pool_seed_variance(values: Iterable[np.ndarray]) -> Pool | None:
    """Pool what seeds add to the variance over all values (seeds, images)."""
    return pool_spreads([compute_spread(each) for each in values])


def scales(unit_variance: float | np.ndarray) -> np.ndarray:
    """Return the variance of one image to each of SCALE_POWERS, on a new last axis."""
    return np.maximum(np.asarray(unit_variance)[..., None], TINY) ** np.array(SCALE_POWERS)


def fit_pool(
    variances: np.ndarray,
    alone: np.ndarray,
    scale: np.ndarray,
    df: np.ndarray,
    independent: float = 1.0,
) -> Pool:
    """Fit the level of the excess of seed variances (n,) over what images explain, `alone`.

    `scale` (n, powers) says how the excess grows under each power, `df` (n,) are the degrees of
    freedom of the variances, of which the share `independent` counts where they depend on each
    other.
    """
    total = (df[:, None] * scale).sum(axis=0)
    levels = np.maximum((df * (variances - alone)).sum() / total, 0.0)
    # The power that makes the variances most likely (of chi-squared form, up to constants).
    expected = np.maximum(alone[:, None] + levels * scale, TINY)
    misfit = (df[:, None] * (np.log(expected) + variances[:, None] / expected)).sum(axis=0)
    # Where seeds add little the powers fit alike, and the wrong one would let cells near a coin
    # toss decide about those near 1.
    best = int((misfit + LIKELIER * (np.arange(len(misfit)) > 0)).argmin())
    pooled_df = independent * effective_df(variances, df)
    variance = 2 * (df * variances).sum() ** 2 / pooled_df / total[best] ** 2
    return Pool(float(levels[best]), SCALE_POWERS[best], float(variance))


def effective_df(variances: np.ndarray, df: np.ndarray) -> float:
    """Return the degrees of freedom of the sum of variances, fewer where they are unlike."""
    squares = (df * variances**2).sum()
    if squares == 0:
        return float(df.sum())
    # The squares of variances with few degrees of freedom exceed those of the true ones.
    alike = (df * variances).sum() ** 2 / squares * (1 + 2 / df.mean())
    return float(min(df.sum(), alike))


def accuracy_interval(
    correct: np.ndarray, confidence: float, pool: Pool | None = None
) -> Interval:
    """Compute the interval of the mean of correct (seeds, images).

    Wilson's interval with the number of independent images that has the same variance (Korn and
    Graubard 1998), and Student's t in place of the normal quantile.
    """
    return interval_of_spread(compute_spread(correct), confidence, pool)


def interval_of_spread(spread: Spread, confidence: float, pool: Pool | None) -> Interval:
    """Compute the interval of an accuracy as `accuracy_interval` does, from its spread."""
    if spread.seeds == 1 and pool is None:
        low, high = wilson(spread.mean, spread.images, confidence)
        return Interval(spread.mean, low, high, "Wilson, this network only")
    error, df = crossed_error(spread, pool)
    # At an accuracy of 0 or 1 nothing varies: the images count as if all seeds shared them.
    count: float = spread.images
    if error > 0 and 0 < spread.mean < 1:
        count = spread.mean * (1 - spread.mean) / error**2
    else:
        df = np.inf
    low, high = wilson(spread.mean, count, confidence, df)
    seeds = "seeds" if spread.seeds > 1 else "seeds of other cells"
    return Interval(spread.mean, low, high, f"Wilson over {seeds} and images")


def difference_interval(
    first: np.ndarray, second: np.ndarray, confidence: float, pool: Pool | None = None
) -> Interval:
    """Compute the interval of mean(first) - mean(second) on the same (seeds, images).

    Bonett and Price (2012) over images for one seed; crossed t for several.
    """
    spread = compute_spread(first.astype(float) - second)
    if spread.seeds == 1 and pool is None:
        low, high = _bonett_price(first, second, confidence)
        return Interval(spread.mean, low, high, "Bonett-Price, this network only")
    # One image more of each kind of disagreement, by one seed: cells that never disagreed may.
    added = float(unseen(spread.seeds, spread.images))
    spread = replace(spread, image_variance=spread.image_variance + added)
    low, high = _crossed(spread, confidence, pool)
    return Interval(spread.mean, max(low, -1.0), min(high, 1.0), "crossed t")


def unseen(seeds: int | np.ndarray, images: int) -> float | np.ndarray:
    """Return the variance of a difference that two more disagreements by one seed would add."""
    return 2 / seeds / (images + 2) ** 2


def mean_interval(values: np.ndarray, confidence: float, pool: Pool | None = None) -> Interval:
    """Compute the interval of the mean of any values (seeds, images).

    Student's t over images for one seed; crossed t for several.
    """
    spread = compute_spread(values)
    if spread.seeds == 1 and pool is None:
        half = stats.t.isf((1 - confidence) / 2, spread.images - 1)
        half *= np.sqrt(spread.image_variance)
        ends = spread.mean - float(half), spread.mean + float(half)
        return Interval(spread.mean, *ends, "t over images, this network only")
    return Interval(spread.mean, *_crossed(spread, confidence, pool), "crossed t")


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


def wilson(
    mean: float, count: float, confidence: float, df: float = np.inf
) -> tuple[float, float]:
    """Compute Wilson's score interval of a proportion `mean` of `count` images."""
    # Inverts the score test (Wilson 1927), which holds its level near 0 and 1.
    z = t_quantile((1 - confidence) / 2, df)
    centre = (mean + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(mean * (1 - mean) / count + z**2 / (4 * count**2))
    # The interval contains the proportion, which rounding would leave out at 0 and 1.
    low, high = min(centre - half, mean), max(centre + half, mean)
    return float(max(low, 0.0)), float(min(high, 1.0))


def t_quantile(error: float, df: float) -> float:
    """Return `stats.t.isf(error, df)` of plain numbers, without the time that SciPy's checks take."""
    return float(-special.stdtrit(df, error))


def _bonett_price(
    first: np.ndarray, second: np.ndarray, confidence: float
) -> tuple[float, float]:
    """Compute the adjusted Wald interval of a paired difference of proportions."""
    # One image is added to each kind of disagreement: two networks that agree on every image
    # still get an interval with a width.
    differences = np.append(first.astype(float) - second, [1.0, -1.0])
    error = np.sqrt(differences.var() / len(differences))
    half = stats.norm.isf((1 - confidence) / 2) * error
    mean = differences.mean()
    return max(float(mean - half), -1.0), min(float(mean + half), 1.0)


def _crossed(spread: Spread, confidence: float, pool: Pool | None) -> tuple[float, float]:
    """Compute the ends of the crossed t interval."""
    error, df = crossed_error(spread, pool)
    half = float(stats.t.isf((1 - confidence) / 2, df)) * error
    return spread.mean - half, spread.mean + half


def crossed_error(spread: Spread, pool: Pool | None = None) -> tuple[float, float]:
    """Return the standard error of the mean over seeds, and its degrees of freedom.

    Without `pool` the seed variance is that of the spread alone.
    """
    pool = pool or pool_spreads([spread])
    if pool is None:
        return float(np.sqrt(spread.image_variance)), np.inf
    scale = pool.scale(np.array(spread.unit_variance))
    own = spread.seed_variance - spread.alone_variance
    error, df = combine_errors(
        np.array(spread.image_variance),
        np.array(spread.alone_variance),
        np.array(own),
        scale,
        pool,
        spread.seeds,
    )
    return float(error), float(df)


def combine_errors(
    image_variance: np.ndarray,
    alone: np.ndarray,
    own: np.ndarray,
    scale: np.ndarray,
    pool: Pool,
    seeds: float | np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return standard errors of means over `seeds`, and their degrees of freedom.

    `own` is what seeds add to the variance in the cell itself (NaN for one seed). It replaces
    the pooled value where it is larger.
    """
    pooled = pool.level * scale
    # A cell may vary more than the others, as near the limit of a resolution.
    excess = np.fmax(pooled, own)
    total = image_variance + excess / seeds
    # The level has the variance of an estimate; that of `alone` and of the images is small.
    inflation = (alone + excess) / np.maximum(alone + pooled, TINY)
    error_of_total = (scale * inflation / seeds) ** 2 * pool.level_variance
    # Satterthwaite; Hillis (2007): what the images add to the variance adds degrees of freedom.
    df = 2 * total**2 / np.maximum(error_of_total, TINY**4)
    # Without any variance there is no estimate of one, and nothing to know about it.
    df = np.where(total > 0, np.clip(df, 1.0, MOST_DF), MOST_DF)
    return np.sqrt(total), df
