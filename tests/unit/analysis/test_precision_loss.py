import numpy as np
import pytest

from resomap.analysis.precision_loss import measure_loss
from resomap.analysis.statistics import difference_interval

CLASSES = 4


def logits_of(answers):
    """Return logits whose largest are those of the answers (seeds, N)."""
    return np.eye(CLASSES)[np.asarray(answers)]


def test_loss_and_agreement_count_images():
    labels = np.array([0, 1, 2, 3, 0, 1, 2, 3, 0, 1])
    # One right answer lost, one wrong answer exchanged for another wrong one.
    reference = np.array([[0, 1, 2, 3, 0, 1, 2, 3, 0, 3]])
    lowered = np.array([[0, 1, 2, 3, 0, 1, 2, 3, 1, 2]])
    loss = measure_loss(labels, logits_of(reference), logits_of(lowered), 0.95)
    assert loss.agreement == pytest.approx(0.8)
    assert loss.lost.mean == pytest.approx(0.1)
    assert loss.lost == difference_interval(reference == labels, lowered == labels, 0.95)
    assert (loss.seeds, loss.images) == (1, 10)


def test_equal_answers_lose_nothing_and_keep_a_width():
    answers = np.zeros((1, 200), int)
    labels = np.zeros(200, int)
    loss = measure_loss(labels, logits_of(answers), logits_of(answers), 0.95)
    assert (loss.agreement, loss.lost.mean) == (1.0, 0.0)
    assert -0.05 < loss.lost.low < 0 < loss.lost.high < 0.05


def test_small_loss_on_few_images_is_not_certified():
    answers = np.zeros((1, 20), int)
    few = measure_loss(np.zeros(20, int), logits_of(answers), logits_of(answers), 0.95)
    answers = np.zeros((1, 2000), int)
    many = measure_loss(np.zeros(2000, int), logits_of(answers), logits_of(answers), 0.95)
    assert not few.is_certified(0.02)
    assert many.is_certified(0.02)


def test_large_loss_is_not_certified():
    labels = np.zeros(2000, int)
    reference, lowered = np.zeros((3, 2000), int), np.zeros((3, 2000), int)
    lowered[:, :100] = 1
    loss = measure_loss(labels, logits_of(reference), logits_of(lowered), 0.95)
    assert loss.lost.mean == pytest.approx(0.05)
    assert not loss.is_certified(0.02)
    assert loss.columns()["n_seeds"] == 3
