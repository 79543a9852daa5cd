import math

import numpy as np
import pytest

from resomap import metrics


def test_confident_correct_logits_have_perfect_scores():
    labels = np.array([0, 1, 2, 1])
    result = metrics.compute_scores(np.eye(3, dtype=np.float32)[labels] * 100, labels)
    ones = (
        *("accuracy", "balanced_accuracy"),
        *("macro_precision", "macro_recall", "macro_f1"),
    )
    assert {name: result[name] for name in ones} == dict.fromkeys(ones, 1.0)
    zeros = ("log_loss", "brier", "ece", "ece_null", "ece_null_p95")
    assert {name: result[name] for name in zeros} == dict.fromkeys(zeros, 0.0)
    assert math.copysign(1, result["log_loss"]) == 1


def test_equal_logits_find_no_class_beyond_the_first_five():
    logits, labels = np.zeros((11, 11), np.float32), np.arange(11)
    assert metrics.compute_scores(logits, labels)["top5_accuracy"] == pytest.approx(5 / 11)


def test_top5_is_scored_from_eleven_classes_on():
    labels = np.arange(11)
    logits = np.tile(np.arange(11.0, 0, -1, dtype=np.float32), (11, 1))
    assert metrics.compute_scores(logits, labels)["top5_accuracy"] == pytest.approx(5 / 11)
    assert math.isnan(metrics.compute_scores(logits[:10, :10], labels[:10])["top5_accuracy"])


def test_scaled_scores_follow_the_temperature():
    logits, labels = np.array([[4, 0], [4, 0], [4, 0]], np.float32), np.array([0, 0, 1])
    result = metrics.compute_scores(logits, labels, temperature=2.0)
    halved = metrics.compute_scores(logits / 2, labels)
    assert result["temperature"] == 2
    assert result["log_loss_scaled"] == halved["log_loss"] < result["log_loss"]
    assert result["ece_scaled"] == halved["ece"]
    assert math.isnan(halved["log_loss_scaled"])


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
