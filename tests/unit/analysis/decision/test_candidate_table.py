"""Rows of candidates.csv: the verdict, accuracy and cost of everything that can be chosen."""

from typing import Any

from resomap.analysis.accuracies import compute_accuracies
from resomap.analysis.decision.candidate_table import candidate_rows
from resomap.analysis.decision.candidates import Candidate
from resomap.analysis.decision.choice import choose
from resomap.workflow.layout import table_columns
from tests.unit.analysis.decision.test_choice import at_chance, candidate, few_images, rules


def rows_of(candidates: list[Candidate], **changes: Any) -> dict[int, dict[str, Any]]:
    """Return the rows by resolution, after a choice with changed rules."""
    limits = rules(**changes)
    val = {one.cell: one.val for one in candidates}
    test = {one.cell: one.test for one in candidates}
    accuracies = compute_accuracies(val, test, limits.confidence)
    choice = choose(candidates, limits, accuracies=accuracies)
    rows = list(candidate_rows(candidates, choice, accuracies))
    assert all(set(row) <= set(table_columns("candidates")) for row in rows)
    return {row["resolution"]: row for row in rows}


def test_each_candidate_has_the_verdict_of_the_choice() -> None:
    rows = rows_of([candidate(24, 0.7, 1), candidate(48, 0.949, 2), candidate(96, 0.95, 8)])
    verdicts = {px: row["verdict"] for px, row in rows.items()}
    assert verdicts == {24: "worse", 48: "chosen", 96: "best"}
    assert rows[24]["difference_high"] < -0.02


def test_excluded_candidate_keeps_its_reason() -> None:
    rows = rows_of([candidate(48, 0.949, 2), candidate(96, 0.95, 8)], max_latency_ms=3)
    assert rows[96]["verdict"] == "excluded"
    assert "is above 3 ms" in rows[96]["reason"]


def test_undecided_choice_is_taken_until_decided() -> None:
    rows = rows_of([few_images(48, 0.94, 2, 0), few_images(96, 0.95, 8, 1)])
    assert {px: row["verdict"] for px, row in rows.items()} == {48: "open", 96: "taken"}


def test_candidates_at_majority_class_are_not_learned() -> None:
    rows = rows_of([at_chance(16), at_chance(24)])
    assert {row["verdict"] for row in rows.values()} <= {"not learned", "best"}


def test_accuracy_is_the_mean_with_its_interval_and_images() -> None:
    one = candidate(48, 0.949, 2)
    row = rows_of([one, candidate(96, 0.95, 8)])[48]
    assert row["accuracy"] == one.test_correct.mean()
    assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]
    assert row["n"] == one.test_correct.shape[1]


def test_cost_that_was_not_measured_is_missing() -> None:
    row = rows_of([candidate(48, 0.95, None), candidate(96, 0.951, None)])[48]
    assert "latency_ms_p50" not in row
