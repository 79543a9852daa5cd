import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from resomap import metrics


@st.composite
def answers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    pictures, classes = draw(st.integers(1, 30)), draw(st.integers(2, 6))
    logits = draw(
        arrays(np.float32, (pictures, classes), elements=st.floats(-30, 30, width=32))
    )
    return logits, draw(arrays(np.int64, pictures, elements=st.integers(0, classes - 1)))


@given(answers())
def test_scores_lie_in_their_ranges(answer):
    result = metrics.compute_scores(*answer)
    assert all(0 <= result[name] <= 1 for name in metrics.SCORES if name != "log_loss")
    assert result["log_loss"] >= 0


@given(answers(), st.randoms(use_true_random=False))
def test_the_order_of_the_pictures_does_not_matter(answer, shuffler):
    order = list(range(len(answer[1])))
    shuffler.shuffle(order)
    shuffled = metrics.compute_scores(answer[0][order], answer[1][order])
    np.testing.assert_allclose(
        list(shuffled.values()),
        list(metrics.compute_scores(*answer).values()),
        rtol=1e-6,
        atol=1e-6,
    )


@given(answers(), st.integers(-50, 50))
def test_a_shift_of_all_logits_does_not_matter(answer, shift):
    logits, labels = answer[0].round(), answer[1]
    assert metrics.compute_scores(logits + np.float32(shift), labels) == metrics.compute_scores(
        logits, labels
    )


@given(answers())
def test_a_right_answer_is_right_inside_its_pair_too(answer):
    logits, labels = answer
    inside = metrics.pair_accuracy(logits, labels, [[0, 1]])
    others = np.where(np.eye(logits.shape[1], dtype=bool)[labels], -np.inf, logits).max(axis=1)
    right = logits[np.arange(len(labels)), labels] > others
    assert (inside[right & (labels < 2)] == 1).all()
    assert np.isnan(inside[labels >= 2]).all()
