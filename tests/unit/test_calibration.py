from collections.abc import Callable

import numpy as np
import pytest

from resomap import calibration


def test_calibration_error_without_correct_predictions():
    assert calibration.calibration_error(np.full(50, 0.9), np.zeros(50, bool)) == pytest.approx(
        0.9
    )


def test_debiasing_lowers_calibration_error_of_calibrated_model():
    draw = np.random.default_rng(0)
    confidence = draw.uniform(0.5, 1, (200, 400))
    correct = draw.uniform(size=confidence.shape) < confidence
    debiased = _mean_over_models(calibration.calibration_error, confidence, correct)
    plain = _mean_over_models(_plain_calibration_error, confidence, correct)
    assert debiased < 0.7 * plain
    overconfident = draw.uniform(size=confidence.shape) < confidence - 0.2
    large = _mean_over_models(calibration.calibration_error, confidence, overconfident)
    assert large == pytest.approx(0.2, abs=0.005)


def test_calibration_error_equals_published_sampling():
    draw = np.random.default_rng(1)
    confidence = draw.uniform(0.3, 1, 300)
    correct = draw.uniform(size=300) < confidence - 0.05
    bins = np.ceil(confidence * calibration.CALIBRATION_BINS)
    members = [bins == bin_ for bin_ in np.unique(bins)]
    share = np.array([member.mean() for member in members])
    accuracy = np.array([correct[member].mean() for member in members])
    expected = np.array([confidence[member].mean() for member in members])
    deviation = np.sqrt(accuracy * (1 - accuracy) / [member.sum() for member in members])
    resampled = draw.normal(accuracy, deviation, (200_000, len(members)))
    mean_gap = (np.abs(resampled - expected) @ share).mean()
    sampled = 2 * np.abs(accuracy - expected) @ share - mean_gap
    assert calibration.calibration_error(confidence, correct) == pytest.approx(
        sampled, abs=5e-4
    )


def test_null_holds_calibrated_networks_at_95_percent():
    draw = np.random.default_rng(2)
    confidence = draw.uniform(0.3, 1, 400)
    null = calibration.calibration_null(confidence)
    errors = [
        calibration.calibration_error(confidence, draw.uniform(size=400) < confidence)
        for _ in range(1000)
    ]
    assert null.mean == pytest.approx(np.mean(errors), abs=0.002)
    assert np.mean(np.array(errors) <= null.p95) == pytest.approx(0.95, abs=0.02)


def test_null_shrinks_with_more_images():
    confidence = np.linspace(0.3, 1, 400)
    few = calibration.calibration_null(confidence)
    many = calibration.calibration_null(np.repeat(confidence, 16))
    assert many.mean < 0.4 * few.mean
    assert many.p95 < 0.4 * few.p95


def test_null_of_certain_network_is_zero():
    assert calibration.calibration_null(np.ones(50)) == (0.0, 0.0)


def _plain_calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    bins = np.ceil(confidence * calibration.CALIBRATION_BINS)
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
