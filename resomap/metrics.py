"""Classification scores computed from logits, equal to scikit-learn's, and the calibration error.

scikit-learn is not used because importing it takes longer than computing the scores.
"""

import math
from collections.abc import Sequence

import numpy as np

from resomap.workflow.columns import SCORES, column_names

CALIBRATION_BINS = 15
SCORE_NAMES = column_names(SCORES)


def compute_scores(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return every score of SCORE_NAMES for logits (N, C) and labels (N,); NaN if N is 0.

    As in scikit-learn, macro averages are over the classes that occur among the labels or the
    predictions, balanced accuracy is over those among the labels, and 0/0 counts as 0. `log_loss`
    is in nats. `ece` is debiased, see `calibration_error`.
    """
    if len(labels) == 0:
        return dict.fromkeys(SCORE_NAMES, math.nan)
    predicted = logits.argmax(axis=1)
    confusion = confusion_matrix(predicted, labels, logits.shape[1])
    # Subtracting the largest logit keeps exp from overflowing. The sum is in float64, since a
    # float32 sum over many classes loses digits of small losses.
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(axis=1, dtype=np.float64))
    label_shifted = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    return {
        "accuracy": float((predicted == labels).mean()),
        **_class_averages(confusion),
        "log_loss": float((log_total - label_shifted).mean()),
        "ece": calibration_error(np.exp(-log_total), predicted == labels),
    }


def confusion_matrix(predicted: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return image counts (C, C), int64: rows are labels, columns are predictions."""
    counts = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def confusion_scores(confusion: np.ndarray) -> dict[str, float]:
    """Return accuracy and the macro averages of a confusion matrix (C, C)."""
    accuracy = float(confusion.trace() / confusion.sum())
    return {"accuracy": accuracy, **_class_averages(confusion)}


def _class_averages(confusion: np.ndarray) -> dict[str, float]:
    correct = confusion.diagonal()
    labelled, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    precision = correct / np.maximum(predicted, 1)
    recall = correct / np.maximum(labelled, 1)
    f1 = 2 * correct / np.maximum(labelled + predicted, 1)
    occurs = labelled + predicted > 0
    return {
        "balanced_accuracy": float(recall[labelled > 0].mean()),
        "macro_precision": float(precision[occurs].mean()),
        "macro_recall": float(recall[occurs].mean()),
        "macro_f1": float(f1[occurs].mean()),
    }


def calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Return the debiased expected calibration error of the top label over 15 equal bins.

    Takes the probability of the predicted class (N,) and whether it is correct (N,), N > 0. Some
    bias remains, so compare models at the same N. The result is never negative.
    """
    bins = np.digitize(confidence, np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1], right=True)
    count = np.bincount(bins, minlength=CALIBRATION_BINS)
    accuracy, expected = (
        np.bincount(bins, weights=values, minlength=CALIBRATION_BINS) / np.maximum(count, 1)
        for values in (correct, confidence)
    )
    gap = np.abs(accuracy - expected)
    deviation = np.sqrt(accuracy * (1 - accuracy) / np.maximum(count, 1))
    # The mean gap is biased upwards, because noise in the accuracies adds to it in either
    # direction. The bias is estimated as the expected gain from resampling the accuracies from
    # normal distributions (Kumar, Liang, Ma 2019); `uncertainty-calibration` samples them, here
    # the expectation is computed exactly.
    resampled = np.array([_mean_magnitude(*bin_) for bin_ in zip(gap, deviation, strict=True)])
    return max(0.0, float(count @ (2 * gap - resampled) / count.sum()))


def _mean_magnitude(mean: float, deviation: float) -> float:
    """Return E|X| of a normal X (the mean of the folded normal distribution)."""
    if deviation == 0:
        return abs(mean)
    ratio = mean / deviation
    density = deviation * math.sqrt(2 / math.pi) * math.exp(-(ratio**2) / 2)
    return density + mean * math.erf(ratio / math.sqrt(2))


def pair_partners(pairs: Sequence[Sequence[int]] | None, num_classes: int) -> np.ndarray:
    """Return the other class in the pair of each class (C,), int64; -1 for a class in no pair."""
    partners = np.full(num_classes, -1)
    for first, second in pairs or ():
        partners[first], partners[second] = second, first
    return partners


def pair_accuracy(
    logits: np.ndarray, labels: np.ndarray, pairs: Sequence[Sequence[int]] | None
) -> np.ndarray:
    """Return per image (N,) whether the label's logit exceeds that of its pair partner, as 1 or 0.

    NaN for an image whose class is in no pair, so that `np.nanmean` over a group is its accuracy
    inside the pairs.
    """
    partners = pair_partners(pairs, logits.shape[1])[labels]
    images = np.arange(len(labels))
    return np.where(partners < 0, np.nan, logits[images, labels] > logits[images, partners])


def is_correct(
    logits: np.ndarray, labels: np.ndarray, pairs: Sequence[Sequence[int]] | None
) -> np.ndarray:
    """Return which images are classified correctly, bool (N,).

    An image whose class is in a pair is judged inside the pair, others among all classes.
    """
    inside = pair_accuracy(logits, labels, pairs)
    predicted = logits.argmax(axis=1)
    correct: np.ndarray = np.where(np.isnan(inside), predicted == labels, inside == 1)
    return correct
