import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from resomap import metrics


@st.composite
def predictions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    num_images, num_classes = draw(st.integers(1, 30)), draw(st.integers(2, 6))
    logits = draw(
        arrays(np.float32, (num_images, num_classes), elements=st.floats(-30, 30, width=32))
    )
    return logits, draw(arrays(np.int64, num_images, elements=st.integers(0, num_classes - 1)))


@given(predictions())
def test_scores_are_within_their_ranges(prediction):
    result = metrics.compute_scores(*prediction)
    unbounded = ("log_loss", "brier", "temperature", "log_loss_scaled")
    known = {name: value for name, value in result.items() if not np.isnan(value)}
    assert all(0 <= value <= 1 for name, value in known.items() if name not in unbounded)
    assert result["log_loss"] >= 0
    assert 0 <= result["brier"] <= 2 + 1e-9


@given(predictions(), st.randoms(use_true_random=False))
def test_scores_do_not_depend_on_order(prediction, shuffler):
    order = list(range(len(prediction[1])))
    shuffler.shuffle(order)
    shuffled = metrics.compute_scores(prediction[0][order], prediction[1][order])
    np.testing.assert_allclose(
        list(shuffled.values()),
        list(metrics.compute_scores(*prediction).values()),
        rtol=1e-6,
        atol=1e-6,
    )


@given(predictions(), st.integers(-50, 50))
def test_scores_do_not_depend_on_shift_of_logits(prediction, shift):
    logits, labels = prediction[0].round(), prediction[1]
    assert metrics.compute_scores(logits + np.float32(shift), labels) == metrics.compute_scores(
        logits, labels
    )


@given(predictions())
def test_correct_prediction_is_correct_inside_pair(prediction):
    logits, labels = prediction
    inside = metrics.pair_accuracy(logits, labels, [[0, 1]])
    others = np.where(np.eye(logits.shape[1], dtype=bool)[labels], -np.inf, logits).max(axis=1)
    correct = logits[np.arange(len(labels)), labels] > others
    assert (inside[correct & (labels < 2)] == 1).all()
    assert np.isnan(inside[labels >= 2]).all()
