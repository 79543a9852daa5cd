"""Calibration of predicted probabilities: its error, and the error that chance alone makes."""

import math
from typing import NamedTuple

import numpy as np

CALIBRATION_BINS = 15
NULL_DRAWS = 400
"""Perfectly calibrated networks that are drawn for the null of a calibration error."""


class CalibrationNull(NamedTuple):
    """The calibration error that a perfectly calibrated network shows by chance."""

    mean: float
    p95: float


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the log-softmax of logits (N, C), float64."""
    # Subtracting the largest logit keeps exp from overflowing. The sum is in float64, since a
    # float32 sum over many classes loses digits of small losses.
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(axis=1, dtype=np.float64))
    log_shares: np.ndarray = shifted - log_total[:, None]
    return log_shares


def mean_log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean cross-entropy of logits (N, C) in nats."""
    # Subtracted, because a loss of 0 would otherwise be written as -0.0.
    return 0.0 - float(log_probabilities(logits)[np.arange(len(labels)), labels].mean())


def calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Return the debiased expected calibration error of the top label over 15 equal bins.

    Takes the probability of the predicted class (N,) and whether it is correct (N,), N > 0. Some
    bias remains, so compare it with its null at the same N. The result is never negative.
    """
    bins, count = _bin(confidence)
    accuracy, expected = (_bin_means(bins, count, values) for values in (correct, confidence))
    return float(_debiased_error(count, accuracy, expected))


def calibration_null(confidence: np.ndarray) -> CalibrationNull:
    """Return what `calibration_error` is by chance when every confidence (N,) is true.

    N > 0. The draws are the same in every call.
    """
    # Sorted, so that the null does not depend on the order of the images.
    confidence = np.sort(confidence)
    bins, count = _bin(confidence)
    rng = np.random.default_rng(0)
    accuracies = []
    for _ in range(NULL_DRAWS):
        correct = rng.random(len(confidence)) < confidence
        accuracies.append(_bin_means(bins, count, correct))
    expected = _bin_means(bins, count, confidence)
    errors = _debiased_error(count, np.stack(accuracies), expected)
    return CalibrationNull(float(errors.mean()), float(np.quantile(errors, 0.95)))


def _bin(confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bin of each confidence, and the number of confidences in each bin."""
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]
    bins = np.digitize(confidence, edges, right=True)
    return bins, np.bincount(bins, minlength=CALIBRATION_BINS)


def _bin_means(bins: np.ndarray, count: np.ndarray, values: np.ndarray) -> np.ndarray:
    totals = np.bincount(bins, weights=values, minlength=CALIBRATION_BINS)
    means: np.ndarray = totals / np.maximum(count, 1)
    return means


def _debiased_error(
    count: np.ndarray, accuracy: np.ndarray, expected: np.ndarray
) -> np.ndarray:
    """Return the error for accuracies (..., bins) of bins with these counts and confidences."""
    gap = np.abs(accuracy - expected)
    deviation = np.sqrt(accuracy * (1 - accuracy) / np.maximum(count, 1))
    # The mean gap is biased upwards, because noise in the accuracies adds to it in either
    # direction. The bias is estimated as the expected gain from resampling the accuracies from
    # normal distributions (Kumar, Liang, Ma 2019); `uncertainty-calibration` samples them, here
    # the expectation is computed exactly.
    resampled = _mean_magnitudes(gap, deviation)
    return np.maximum(0.0, (2 * gap - resampled) @ count / count.sum())


def _mean_magnitude(mean: float, deviation: float) -> float:
    """Return E|X| of a normal X (the mean of the folded normal distribution)."""
    if deviation == 0:
        return abs(mean)
    ratio = mean / deviation
    density = deviation * math.sqrt(2 / math.pi) * math.exp(-(ratio**2) / 2)
    return density + mean * math.erf(ratio / math.sqrt(2))


_mean_magnitudes = np.vectorize(_mean_magnitude, otypes=[float])
