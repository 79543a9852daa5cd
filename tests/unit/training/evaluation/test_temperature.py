import math

import numpy as np
import pytest

from resomap.calibration import log_probabilities
from resomap.training.evaluation.temperature import fit_temperature


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_fitted_temperature_undoes_scaling(factor):
    draw = np.random.default_rng(3)
    logits = draw.normal(0, 2, (20_000, 4)).astype(np.float32)
    shares = np.exp(log_probabilities(logits))
    labels = (draw.uniform(size=(len(logits), 1)) > shares.cumsum(axis=1)).sum(axis=1)
    fitted = fit_temperature(factor * logits, labels.clip(max=3))
    assert fitted == pytest.approx(factor, rel=0.03)


def test_temperature_of_separable_images_is_bounded():
    labels = np.arange(30) % 3
    logits = np.eye(3, dtype=np.float32)[labels]
    assert 0.0099 < fit_temperature(logits, labels) < 1


def test_temperature_without_images_is_unknown():
    none = np.zeros((0, 3), np.float32), np.zeros(0, np.int64)
    assert math.isnan(fit_temperature(*none))
