"""Classification scores computed from logits, equal to scikit-learn's.

scikit-learn is not used because importing it takes longer than computing the scores.
"""

import math
from collections.abc import Sequence

import numpy as np

from resomap.calibration import (
    calibration_error,
    calibration_null,
    log_probabilities,
    mean_log_loss,
)
from resomap.workflow.columns import SCORES, column_names

MIN_CLASSES_FOR_TOP5 = 11
SCORE_NAMES = column_names(SCORES)


def compute_scores(
    logits: np.ndarray, labels: np.ndarray, temperature: float = math.nan
) -> dict[str, float]:
    """Return every score of SCORE_NAMES for logits (N, C) and labels (N,); NaN if N is 0.

    As in scikit-learn, macro averages are over the classes that occur among the labels or the
    predictions, balanced accuracy is over those among the labels, and 0/0 counts as 0. `log_loss`
    is in nats. `ece` is debiased, see `calibration_error`. The scores of scaled logits are NaN
    without a `temperature`, and `top5_accuracy` for fewer than 11 classes.
    """
    if len(labels) == 0:
        return dict.fromkeys(SCORE_NAMES, math.nan)
    predicted = logits.argmax(axis=1)
    confusion = confusion_matrix(predicted, labels, logits.shape[1])
    scores = {
        "accuracy": float((predicted == labels).mean()),
        **_class_averages(confusion),
        "top5_accuracy": _top5_accuracy(logits, labels),
        **_probability_scores(logits, labels, predicted),
        **_scaled_scores(logits, labels, predicted, temperature),
    }
    return {name: scores[name] for name in SCORE_NAMES}


def _top5_accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    # Of ten classes, five are half.
    if logits.shape[1] < MIN_CLASSES_FOR_TOP5:
        return math.nan
    of_label = np.take_along_axis(logits, labels[:, None], axis=1)
    # Of equal logits the first counts as larger, as for arg max: constant ones find no class.
    ties = (logits == of_label) & (np.arange(logits.shape[1]) < labels[:, None])
    ranks = ((logits > of_label) | ties).sum(axis=1)
    return float((ranks < 5).mean())


def _probability_scores(
    logits: np.ndarray, labels: np.ndarray, predicted: np.ndarray
) -> dict[str, float]:
    log_shares = log_probabilities(logits)
    images, shares = np.arange(len(labels)), np.exp(log_shares)
    # The squared distance to the label's unit vector, without building these.
    brier = (shares**2).sum(axis=1) - 2 * shares[images, labels] + 1
    confidence = np.exp(log_shares[images, predicted])
    null = calibration_null(confidence)
    return {
        "log_loss": mean_log_loss(logits, labels),
        "brier": float(brier.mean()),
        "ece": calibration_error(confidence, predicted == labels),
        "ece_null": null.mean,
        "ece_null_p95": null.p95,
    }


def _scaled_scores(
    logits: np.ndarray, labels: np.ndarray, predicted: np.ndarray, temperature: float
) -> dict[str, float]:
    names = ("temperature", "log_loss_scaled", "ece_scaled")
    if math.isnan(temperature):
        return dict.fromkeys(names, math.nan)
    scaled = logits / temperature
    confidence = np.exp(log_probabilities(scaled)[np.arange(len(labels)), predicted])
    values = (
        temperature,
        mean_log_loss(scaled, labels),
        calibration_error(confidence, predicted == labels),
    )
    return dict(zip(names, values, strict=True))


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
