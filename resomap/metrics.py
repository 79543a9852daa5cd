"""How well logits tell classes: the scores of scikit-learn, computed without its start-up, and the calibration error."""

import math
from collections.abc import Sequence

import numpy as np

CALIBRATION_BINS = 15
SCORES = (
    "accuracy",
    "balanced_accuracy",
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "log_loss",
    "ece",
)


def compute_scores(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Every score of SCORES for logits (N, C) and labels (N,); all NaN when there are no pictures.

    Macro averages run over the classes that occur among the labels or the predictions, balanced accuracy over those among the labels,
    and 0/0 counts as 0, as in scikit-learn. `log_loss` is in nats. `ece` is debiased: see `calibration_error`.
    """
    if len(labels) == 0:
        return dict.fromkeys(SCORES, math.nan)
    predicted = logits.argmax(axis=1)
    confusion = confusion_matrix(predicted, labels, logits.shape[1])
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
    """Counts of pictures (C, C), int64: a row is the label, a column the prediction."""
    return np.bincount(labels * num_classes + predicted, minlength=num_classes**2).reshape(
        num_classes, num_classes
    )


def class_scores(confusion: np.ndarray) -> dict[str, float]:
    """Accuracy and the macro averages of a confusion matrix (C, C); see `compute_scores`."""
    return {
        "accuracy": float(confusion.trace() / confusion.sum()),
        **_class_averages(confusion),
    }


def _class_averages(confusion: np.ndarray) -> dict[str, float]:
    right, labelled, predicted = (
        confusion.diagonal(),
        confusion.sum(axis=1),
        confusion.sum(axis=0),
    )
    precision = right / np.maximum(predicted, 1)
    recall = right / np.maximum(labelled, 1)
    f1 = 2 * right / np.maximum(labelled + predicted, 1)
    occurs = labelled + predicted > 0
    return {
        "balanced_accuracy": float(recall[labelled > 0].mean()),
        "macro_precision": float(precision[occurs].mean()),
        "macro_recall": float(recall[occurs].mean()),
        "macro_f1": float(f1[occurs].mean()),
    }


def calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Expected calibration error of the top label over 15 equal bins of confidence, debiased, never negative.

    The plain estimate sums |accuracy - confidence| over the bins, weighted by their pictures, and is too large because noise has no sign.
    Its bias is what the same sum would gain if the accuracies were drawn once more from normal distributions about those observed (Kumar,
    Liang, Ma 2019; `uncertainty-calibration` draws, this integrates). A part of the bias remains: compare networks at the same N.

    Takes the probability of the predicted class (N,) and whether it was right (N,), N > 0.
    """
    bins = np.digitize(confidence, np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1], right=True)
    count = np.bincount(bins, minlength=CALIBRATION_BINS)
    accuracy, expected = (
        np.bincount(bins, weights=values, minlength=CALIBRATION_BINS) / np.maximum(count, 1)
        for values in (correct, confidence)
    )
    gap = np.abs(accuracy - expected)
    spread = np.sqrt(accuracy * (1 - accuracy) / np.maximum(count, 1))
    redrawn = np.array([_mean_magnitude(*bin_) for bin_ in zip(gap, spread, strict=True)])
    return max(0.0, float(count @ (2 * gap - redrawn) / count.sum()))


def _mean_magnitude(mean: float, deviation: float) -> float:
    """E|X| of a normal X (the folded normal distribution)."""
    if deviation == 0:
        return abs(mean)
    ratio = mean / deviation
    return deviation * math.sqrt(2 / math.pi) * math.exp(-(ratio**2) / 2) + mean * math.erf(
        ratio / math.sqrt(2)
    )


def pair_partners(pairs: Sequence[Sequence[int]] | None, num_classes: int) -> np.ndarray:
    """The other class of each class's pair (C,), int64; -1 for a class in no pair."""
    partners = np.full(num_classes, -1)
    for first, second in pairs or ():
        partners[first], partners[second] = second, first
    return partners


def pair_accuracy(
    logits: np.ndarray, labels: np.ndarray, pairs: Sequence[Sequence[int]] | None
) -> np.ndarray:
    """Per picture (N,): 1 when the label's logit is larger than its pair partner's, whatever other classes say, else 0.

    NaN for a picture whose class is in no pair, so `np.nanmean` of a group is its accuracy inside the pair.
    """
    partners = pair_partners(pairs, logits.shape[1])[labels]
    pictures = np.arange(len(labels))
    return np.where(partners < 0, np.nan, logits[pictures, labels] > logits[pictures, partners])


def is_correct(
    logits: np.ndarray, labels: np.ndarray, pairs: Sequence[Sequence[int]] | None
) -> np.ndarray:
    """Return which images are classified correctly, bool (N,): inside the pair of the label's class if it has one, else among all classes."""
    inside = pair_accuracy(logits, labels, pairs)
    correct: np.ndarray = np.where(
        np.isnan(inside), logits.argmax(axis=1) == labels, inside == 1
    )
    return correct
