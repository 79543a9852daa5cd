"""The neighbours of a choice, and why they were not chosen."""

from typing import Any

from resomap.analysis.decision.choice import choose
from tests.unit.analysis.decision.test_choice import candidate, rules


def neighbours(*cells: Any, **changes: Any) -> dict[int, dict[str, Any]]:
    """Return the records of the neighbours by their resolution."""
    record = choose(cells, rules(**changes))
    return {one["resolution"]: one for one in record["neighbours"]}


def test_neighbours_are_the_next_sizes_and_the_best() -> None:
    cells = [candidate(px, 0.95, px) for px in (16, 24, 32, 48)]
    found = neighbours(candidate(8, 0.5, 8), *cells, candidate(96, 0.955, 96))
    assert {px: one["why"] for px, one in found.items()} == {
        8: "worse",
        24: "dearer",
        96: "dearer",
    }


def test_dearer_neighbour_has_its_gain_and_its_cost() -> None:
    found = neighbours(candidate(24, 0.949, 2), candidate(48, 0.95, 8))
    assert found[48]["times_latency"] == 4
    assert found[48]["difference"]["mean"] > 0


def test_cheaper_open_neighbour_has_the_loss_that_is_possible() -> None:
    few: dict[str, Any] = {"seeds": (0,), "images": 100}
    found = neighbours(candidate(48, 0.94, 2, **few), candidate(96, 0.95, 8, **few))
    assert found[48]["why"] == "open"
    assert found[48]["at_most"] > 0.02


def test_excluded_neighbour_has_its_reason() -> None:
    found = neighbours(candidate(24, 0.9, 2), candidate(48, 0.95, 8), max_latency_ms=5)
    assert found[48]["why"] == "excluded"
    assert found[48]["reason"] == "p90 latency 12 ms is above 5 ms"


def test_neighbour_of_equal_cost_brings_no_gain() -> None:
    found = neighbours(candidate(24, 0.95, 2), candidate(48, 0.949, 2))
    assert found[48]["why"] == "no gain"


def test_unmeasured_neighbour_has_no_ratio() -> None:
    found = neighbours(candidate(24, 0.949, None), candidate(48, 0.95, None))
    assert found[24]["times_latency"] is None
