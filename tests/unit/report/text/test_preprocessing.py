from resomap.analysis.findings.preprocessing import beyond_limit, faithful_preprocessing
from resomap.report.text.preprocessing import (
    limit_line,
    preprocessing_sentence,
    preprocessing_title,
)
from tests.parity_tables import parity_frame, parity_rows

FLIPS = {"torch bilinear antialias": 0.03, "BGR for RGB": 0.6}


def test_sentence_has_the_faithful_and_the_worst():
    text = preprocessing_sentence(
        faithful_preprocessing(parity_frame(parity_rows(FLIPS))), 0.95
    )
    assert text == (
        "torch bilinear antialias, which means to do what the training did, changes 3 % of the "
        "answers of tiny_cnn trained at 24 px, given 24 px. BGR for RGB (colour order) changes "
        "most: 60 % of the answers of tiny_cnn trained at 24 px, given 24 px, and loses 30 points "
        "of accuracy (95 % interval 29.0\N{EN DASH}31.0)."
    )


def test_title_says_that_nothing_changes_or_was_measured():
    finding = faithful_preprocessing(parity_frame(parity_rows({})))
    assert preprocessing_title(finding).endswith("change no answer")
    missing = dict.fromkeys(("torch bilinear antialias", "JPEG by OpenCV"))
    finding = faithful_preprocessing(parity_frame(parity_rows(missing)))
    assert preprocessing_title(finding).startswith("No preprocessing")


def test_complaint_names_cell_preprocessing_and_numbers():
    (finding,) = beyond_limit(parity_frame(parity_rows(FLIPS)), 0.01)
    assert limit_line(finding, 0.01) == (
        "tiny_cnn trained at 24 px, given 24 px: torch bilinear antialias changes 3 % of 200 "
        "answers and loses 1.5 points of accuracy; system.deploy.max_flips allows 1 %"
    )
