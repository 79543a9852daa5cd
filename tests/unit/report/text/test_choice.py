"""The headline: what it opens with."""

from typing import Any

import pytest

from resomap.analysis.decision.candidates import Candidate
from resomap.analysis.decision.choice import choose
from resomap.report.text.choice import describe_choice
from resomap.report.text.choice_title import choice_title
from tests.unit.analysis.decision.test_choice import at_chance, candidate, rules


@pytest.mark.parametrize(
    ("cells", "start"),
    [
        ([at_chance(16), at_chance(24, valid=False)], "Nothing was learned: "),
        ([candidate(48, 0.9, 2, valid=False)], "Provisional"),
        ([candidate(48, 0.9, 2)], "Choose net at 48 px: "),
    ],
    ids=["nothing learned", "invalid latency", "valid latency"],
)
def test_headline_and_title_open_with_what_matters(cells: list[Candidate], start: str) -> None:
    record = describe_choice(choose(cells, rules()))
    assert record["headline"].startswith(start)
    first_word = start.split(maxsplit=1)[0]
    assert first_word == "Choose" or choice_title(record).startswith(first_word)


def test_chosen_cell_at_majority_class_is_a_caveat() -> None:
    # The best on validation images is at chance on test images, and another cell is not.
    few: dict[str, Any] = {"seeds": (0,), "images": 32}
    lucky = Candidate(candidate(48, 0.95, None, **few).val, at_chance(48).test, None)
    record = describe_choice(choose([lucky, candidate(96, 0.9, None, **few)], rules()))
    assert record["choice"]["resolution"] == 48
    assert any("itself is not shown to beat" in reason for reason in record["reasons"])
