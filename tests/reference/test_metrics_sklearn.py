import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from resomap import metrics


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(2, 8))
def test_scores_equal_scikit_learn(seed, num_images, classes):
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 3, (num_images, classes)).astype(np.float32)
    labels = draw.integers(draw.integers(1, classes + 1), size=num_images)
    predicted = logits.argmax(axis=1)
    result = metrics.compute_scores(logits, labels)
    macro = {"average": "macro", "zero_division": 0}
    assert result["accuracy"] == pytest.approx(
        sklearn_metrics.accuracy_score(labels, predicted)
    )
    assert result["macro_precision"] == pytest.approx(
        sklearn_metrics.precision_score(labels, predicted, **macro)
    )
    assert result["macro_recall"] == pytest.approx(
        sklearn_metrics.recall_score(labels, predicted, **macro)
    )
    assert result["macro_f1"] == pytest.approx(
        sklearn_metrics.f1_score(labels, predicted, **macro)
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true")
        warnings.filterwarnings("ignore", "A single label was found")
        assert result["balanced_accuracy"] == pytest.approx(
            sklearn_metrics.balanced_accuracy_score(labels, predicted)
        )
    np.testing.assert_array_equal(
        metrics.confusion_matrix(predicted, labels, classes),
        sklearn_metrics.confusion_matrix(labels, predicted, labels=range(classes)),
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(2, 8))
def test_log_loss_equals_scikit_learn(seed, num_images, classes):
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 3, (num_images, classes))
    labels = draw.integers(classes, size=num_images)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    reference = sklearn_metrics.log_loss(labels, probabilities, labels=range(classes))
    assert metrics.compute_scores(logits.astype(np.float32), labels)[
        "log_loss"
    ] == pytest.approx(reference, rel=1e-5, abs=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_top5_and_brier_equal_scikit_learn(seed, num_images):
    draw, classes = np.random.default_rng(seed), 12
    logits = draw.normal(0, 3, (num_images, classes)).astype(np.float32)
    labels = draw.integers(classes, size=num_images)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    result = metrics.compute_scores(logits, labels)
    assert result["top5_accuracy"] == pytest.approx(
        sklearn_metrics.top_k_accuracy_score(labels, logits, k=5, labels=range(classes))
    )
    one_hot = np.eye(classes)[labels]
    assert result["brier"] == pytest.approx(
        classes * sklearn_metrics.mean_squared_error(one_hot, probabilities), rel=1e-5
    )
