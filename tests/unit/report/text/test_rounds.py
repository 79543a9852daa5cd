"""The rounds of a sweep in words."""

from typing import Any

import pytest

from resomap.report.text.page.rounds import round_rows, rounds_sentences

NEAR, FAR = "near the best", "cannot change the answer"
CHOICE = {"model": "tiny_cnn", "eval_resolution": 24, "resolution": 24, "mode": "raw"} | {
    "family": "custom",
    "variant": None,
}


def cell(model: str, resolution: int, reason: str) -> dict[str, Any]:
    return {"family": "custom", "model": model, "resolution": resolution, "reason": reason}


@pytest.fixture
def record() -> dict[str, Any]:
    first = {"runs": [["custom", "tiny_cnn", 24, 0], ["custom", "simple_cnn", 48, 0]]}
    first |= {
        "reasons": [cell("tiny_cnn", 24, NEAR), cell("tiny_cnn", 48, NEAR)],
        "dropped": [],
    }
    first |= {"seconds": 60.0, "error_share": 0.0, "status": "undecided", "choice": CHOICE}
    second = {"runs": [["custom", "tiny_cnn", 24, 1]], "reasons": [cell("tiny_cnn", 24, NEAR)]}
    second |= {"dropped": [cell("simple_cnn", 48, FAR)], "seconds": 30.0, "error_share": 0.3}
    return {"rounds": [first, {**second, "status": None, "choice": None}], "end": None}


def test_row_names_cells_by_their_reason(record):
    first, second = round_rows(record)
    assert first["trained"] == f"2: tiny_cnn at 24 and 48 px ({NEAR})"
    assert first["left_out"] == "none"
    assert first["found"] == "not tested yet; tiny_cnn at 24 px leads"
    assert second["left_out"] == f"simple_cnn at 48 px ({FAR})"
    assert second["share"] == "30 %"


def test_sentences_count_the_trainings_of_all_rounds(record):
    choice = {"rounds": {**record, "end": "settled"}, "error_share": 0.3}
    choice["rules"] = {"confidence": 0.95}
    sentences = list(rounds_sentences(choice, 12))
    assert sentences[0].startswith("2 rounds trained 3 of 12 runs in 90 s")
    assert sentences[1].endswith("may err in 5 %; this one spends 30 % of that.")


def test_grid_that_was_planned_at_once_has_no_sentence():
    assert list(rounds_sentences({"rounds": {}, "error_share": 1.0}, 12)) == []
