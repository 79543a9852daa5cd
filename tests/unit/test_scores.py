import math

import numpy as np
import pytest

from resomap import metrics


def test_a_perfect_confident_network_scores_one_and_loses_nothing():
    labels = np.array([0, 1, 2, 1])
    result = metrics.compute_scores(np.eye(3, dtype=np.float32)[labels] * 100, labels)
    assert result == dict.fromkeys(metrics.SCORES, 1.0) | {"log_loss": 0.0, "ece": 0.0}


def test_no_pictures_have_no_scores():
    result = metrics.compute_scores(np.zeros((0, 3), np.float32), np.zeros(0, np.int64))
    assert tuple(result) == metrics.SCORES
    assert all(math.isnan(value) for value in result.values())


def test_large_logits_do_not_overflow():
    result = metrics.compute_scores(
        np.array([[1e4, 0], [1e4, 0]], np.float32), np.array([0, 1])
    )
    assert result["log_loss"] == 5e3


def test_a_row_of_the_confusion_matrix_is_the_label():
    confusion = metrics.confusion_matrix(np.array([2, 2, 0]), np.array([1, 1, 0]), 3)
    assert confusion.tolist() == [[1, 0, 0], [0, 0, 2], [0, 0, 0]]


def test_confidence_without_any_success_is_all_error():
    assert metrics.calibration_error(np.full(50, 0.9), np.zeros(50, bool)) == pytest.approx(0.9)


def test_debiasing_lowers_the_error_of_a_calibrated_network_and_leaves_a_gross_one():
    draw = np.random.default_rng(0)
    confidence = draw.uniform(0.5, 1, (200, 400))
    correct = draw.uniform(size=confidence.shape) < confidence
    calibrated = np.mean(
        [
            metrics.calibration_error(*network)
            for network in zip(confidence, correct, strict=True)
        ]
    )
    plain = np.mean(
        [
            _plain_calibration_error(*network)
            for network in zip(confidence, correct, strict=True)
        ]
    )
    assert calibrated < 0.7 * plain
    overconfident = draw.uniform(size=confidence.shape) < confidence - 0.2
    gross = np.mean(
        [
            metrics.calibration_error(*network)
            for network in zip(confidence, overconfident, strict=True)
        ]
    )
    assert gross == pytest.approx(0.2, abs=0.005)


def test_debiasing_integrates_what_the_published_code_draws():
    draw = np.random.default_rng(1)
    confidence = draw.uniform(0.3, 1, 300)
    correct = draw.uniform(size=300) < confidence - 0.05
    bins = np.ceil(confidence * metrics.CALIBRATION_BINS)
    members = [bins == bin_ for bin_ in np.unique(bins)]
    share = np.array([member.mean() for member in members])
    accuracy = np.array([correct[member].mean() for member in members])
    expected = np.array([confidence[member].mean() for member in members])
    deviation = np.sqrt(accuracy * (1 - accuracy) / [member.sum() for member in members])
    redrawn = (
        np.abs(draw.normal(accuracy, deviation, (200_000, len(members))) - expected) @ share
    )
    drawn = 2 * np.abs(accuracy - expected) @ share - redrawn.mean()
    assert metrics.calibration_error(confidence, correct) == pytest.approx(drawn, abs=5e-4)


def test_accuracy_inside_a_pair_ignores_every_other_class():
    logits = np.array([[2, 1, 9, 0], [2, 1, 9, 0], [0, 0, 9, 0], [5, 0, 1, 0]], np.float32)
    result = metrics.pair_accuracy(logits, np.array([0, 1, 0, 2]), [[0, 1]])
    np.testing.assert_array_equal(result, [1, 0, 0, np.nan])


def test_without_pairs_no_picture_has_a_pair_accuracy():
    assert np.isnan(metrics.pair_accuracy(np.zeros((2, 3)), np.array([0, 1]), None)).all()


def test_no_pictures_have_no_pair_accuracy():
    assert metrics.pair_accuracy(np.zeros((0, 4)), np.zeros(0, np.int64), [[0, 1]]).shape == (
        0,
    )


def test_partners_are_mutual():
    assert metrics.pair_partners([[0, 3], [1, 2]], 5).tolist() == [3, 2, 1, 0, -1]


def _plain_calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    bins = np.ceil(confidence * metrics.CALIBRATION_BINS)
    return sum(
        abs(correct[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean()
        for b in np.unique(bins)
    )
