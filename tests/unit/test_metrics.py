import math
from collections.abc import Callable

import numpy as np
import pytest

from resomap import metrics


def test_confident_correct_logits_have_perfect_scores():
    labels = np.array([0, 1, 2, 1])
    result = metrics.compute_scores(np.eye(3, dtype=np.float32)[labels] * 100, labels)
    assert result == dict.fromkeys(metrics.SCORE_NAMES, 1.0) | {"log_loss": 0.0, "ece": 0.0}


def test_scores_of_no_images_are_nan():
    result = metrics.compute_scores(np.zeros((0, 3), np.float32), np.zeros(0, np.int64))
    assert tuple(result) == metrics.SCORE_NAMES
    assert all(math.isnan(value) for value in result.values())


def test_log_loss_of_large_logits_is_finite():
    result = metrics.compute_scores(
        np.array([[1e4, 0], [1e4, 0]], np.float32), np.array([0, 1])
    )
    assert result["log_loss"] == 5e3


def test_confusion_matrix_rows_are_labels():
    confusion = metrics.confusion_matrix(np.array([2, 2, 0]), np.array([1, 1, 0]), 3)
    assert confusion.tolist() == [[1, 0, 0], [0, 0, 2], [0, 0, 0]]


def test_calibration_error_without_correct_predictions():
    assert metrics.calibration_error(np.full(50, 0.9), np.zeros(50, bool)) == pytest.approx(0.9)


def test_debiasing_lowers_calibration_error_of_calibrated_model():
    draw = np.random.default_rng(0)
    confidence = draw.uniform(0.5, 1, (200, 400))
    correct = draw.uniform(size=confidence.shape) < confidence
    debiased = _mean_over_models(metrics.calibration_error, confidence, correct)
    plain = _mean_over_models(_plain_calibration_error, confidence, correct)
    assert debiased < 0.7 * plain
    overconfident = draw.uniform(size=confidence.shape) < confidence - 0.2
    large = _mean_over_models(metrics.calibration_error, confidence, overconfident)
    assert large == pytest.approx(0.2, abs=0.005)


def test_calibration_error_equals_published_sampling():
    draw = np.random.default_rng(1)
    confidence = draw.uniform(0.3, 1, 300)
    correct = draw.uniform(size=300) < confidence - 0.05
    bins = np.ceil(confidence * metrics.CALIBRATION_BINS)
    members = [bins == bin_ for bin_ in np.unique(bins)]
    share = np.array([member.mean() for member in members])
    accuracy = np.array([correct[member].mean() for member in members])
    expected = np.array([confidence[member].mean() for member in members])
    deviation = np.sqrt(accuracy * (1 - accuracy) / [member.sum() for member in members])
    resampled = draw.normal(accuracy, deviation, (200_000, len(members)))
    mean_gap = (np.abs(resampled - expected) @ share).mean()
    sampled = 2 * np.abs(accuracy - expected) @ share - mean_gap
    assert metrics.calibration_error(confidence, correct) == pytest.approx(sampled, abs=5e-4)


def test_pair_accuracy_ignores_other_classes():
    logits = np.array([[2, 1, 9, 0], [2, 1, 9, 0], [0, 0, 9, 0], [5, 0, 1, 0]], np.float32)
    result = metrics.pair_accuracy(logits, np.array([0, 1, 0, 2]), [[0, 1]])
    np.testing.assert_array_equal(result, [1, 0, 0, np.nan])


def test_pair_accuracy_without_pairs_is_nan():
    assert np.isnan(metrics.pair_accuracy(np.zeros((2, 3)), np.array([0, 1]), None)).all()


def test_pair_accuracy_of_no_images_is_empty():
    accuracy = metrics.pair_accuracy(np.zeros((0, 4)), np.zeros(0, np.int64), [[0, 1]])
    assert accuracy.shape == (0,)


def test_pair_partners_are_mutual():
    assert metrics.pair_partners([[0, 3], [1, 2]], 5).tolist() == [3, 2, 1, 0, -1]


def _plain_calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    bins = np.ceil(confidence * metrics.CALIBRATION_BINS)
    return sum(
        abs(correct[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean()
        for b in np.unique(bins)
    )


def _mean_over_models(
    compute: Callable[[np.ndarray, np.ndarray], float],
    confidence: np.ndarray,
    correct: np.ndarray,
) -> float:
    return np.mean([compute(*model) for model in zip(confidence, correct, strict=True)])
