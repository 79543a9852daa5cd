"""Latencies with the rounds of measuring, and which of them is shown to be lower."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from resomap.analysis.statistics import t_quantile


@dataclass(frozen=True)
class Latency:
    """Latency of one image at batch 1, ms; `valid` is False when the machine was disturbed.

    `rounds` are the latencies of the rounds of measuring, relative to the reference workload.
    """

    p50: float
    p90: float
    valid: bool
    rounds: tuple[float, ...] = ()

    @property
    def log_rounds(self) -> np.ndarray:
        """Return the logarithms of the rounds: ratios have symmetric errors there."""
        return np.log(np.array(self.rounds or (self.p50,)))

    def upper_factor(self, error: float) -> float:
        """Return by which factor the latency may be larger, at the one-sided level `error`."""
        return upper_factor(self.log_rounds, error)


def upper_factor(log_rounds: np.ndarray, error: float) -> float:
    """Return by which factor a measurement may be larger, at the one-sided level `error`.

    `log_rounds` are the logarithms of its repetitions; with fewer than two nothing is known.
    """
    if len(log_rounds) < 2:
        return 1.0
    return float(np.exp(stats.t.isf(error, len(log_rounds) - 1) * stats.sem(log_rounds)))


def shown_cheaper(
    latencies: Sequence[Latency | None], keys: Sequence[Hashable], confidence: float
) -> np.ndarray:
    """Return where the row is shown to cost less than the column (K, K).

    The interval of the ratio of their latencies excludes 1: over common rounds for equal `keys`,
    which were timed together; over the rounds of each for others, timed in jobs of their own.
    """
    logs = [one.log_rounds if one else np.array([np.inf]) for one in latencies]
    count = np.array([len(values) for values in logs], float)
    means = np.array([values.mean() for values in logs])
    with np.errstate(invalid="ignore"):
        errors = np.array([values.var(ddof=min(len(values) - 1, 1)) for values in logs]) / count
        slower = means - means[:, None]
    half = _welch_half_widths(errors, count, confidence)
    for row, column in _pairs_of_equal_key(latencies, keys):
        size = min(len(logs[row]), len(logs[column]))
        if size > 1:
            ratios = logs[row][:size] - logs[column][:size]
            # Not `stats.sem`, whose checks take longer than everything else of a large sweep.
            error = ratios.std(ddof=1) / np.sqrt(size)
            quantile = t_quantile((1 - confidence) / 2, size - 1)
            half[row, column] = half[column, row] = quantile * error
            slower[row, column], slower[column, row] = -ratios.mean(), ratios.mean()
    measured = np.isfinite(means)
    return np.asarray((slower > half) & measured & measured[:, None])


def _welch_half_widths(errors: np.ndarray, count: np.ndarray, confidence: float) -> np.ndarray:
    """Return half of Welch's intervals of all differences, from squared errors (K, K)."""
    errors = np.where(np.isfinite(errors), errors, 0.0)
    total = errors[:, None] + errors
    of_one = errors**2 / np.maximum(count - 1, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        df = total**2 / (of_one[:, None] + of_one)
    quantiles = stats.t.isf((1 - confidence) / 2, np.nan_to_num(df, nan=1.0, posinf=1e9))
    # Without rounds nothing is known about the error: the medians decide.
    return np.where(total > 0, quantiles * np.sqrt(total), 0.0)


def _pairs_of_equal_key(
    latencies: Sequence[Latency | None], keys: Sequence[Hashable]
) -> list[tuple[int, int]]:
    """List the pairs whose rounds were measured together."""
    measured = [bool(one and one.rounds) for one in latencies]
    return [
        (row, column)
        for row in range(len(keys))
        for column in range(row)
        if keys[row] == keys[column] and measured[row] and measured[column]
    ]
