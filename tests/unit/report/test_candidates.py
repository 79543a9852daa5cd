"""The table of all candidates on the page: their verdicts, reasons and numbers."""

import base64
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from resomap.analysis.tables import Tables, read_tables
from resomap.report.candidates import candidate_table, csv_link, shown_verdicts
from resomap.report.text.page.verdicts import REASONS, VERDICTS, verdict_reason
from tests.synthetic import Sweep, aggregate

SWEEP = Sweep(
    test=80,
    val=40,
    explained=0,
    variants=("eager", "compiled", "training_step"),
    modes=("raw", "bn"),
    statuses={("tiny_cnn", 24, 0): "diverged", ("tiny_cnn", 24, 1): "diverged"},
)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    folder = tmp_path_factory.mktemp("results")
    aggregate(folder, SWEEP)
    return read_tables(folder / "tables")


def test_table_has_every_candidate_and_every_cell(tables: Tables) -> None:
    rows = candidate_table(tables)
    assert len(rows) == len(tables.candidates) + 1
    cells = set(zip(tables.cells["model"], tables.cells["resolution"], strict=True))
    assert cells <= {(row["model"], row["eval_resolution"]) for row in rows}


def test_answer_comes_first_and_each_verdict_has_a_reason(tables: Tables) -> None:
    rows = candidate_table(tables)
    chosen = tables.choice["choice"]
    assert rows[0]["verdict"] in {"chosen", "taken"}
    assert (rows[0]["model"], rows[0]["variant"]) == (chosen["model"], chosen["variant"] or "")
    assert all(row["reason"] for row in rows)


def test_cell_without_a_run_has_its_status_and_reason(tables: Tables) -> None:
    (row,) = [row for row in candidate_table(tables) if row["record"] is None]
    assert (row["model"], row["resolution"]) == ("tiny_cnn", 24)
    assert (row["verdict_name"], row["reason"]) == ("diverged", "it diverged")


def test_run_that_never_began_is_listed_as_waiting(tmp_path: Path) -> None:
    waiting = tuple(("tiny_cnn", 24, seed) for seed in (0, 1))
    aggregate(tmp_path, Sweep(test=40, val=24, explained=0, waiting=waiting))
    rows = candidate_table(read_tables(tmp_path / "tables"))
    assert [row["verdict"] for row in rows if row["accuracy"] is None] == ["waiting"]


def test_excluded_candidate_has_the_reason_of_the_rule(tables: Tables) -> None:
    excluded = tables.candidates.assign(
        verdict="excluded", reason="p90 latency 8 ms is above 2 ms"
    )
    rows = candidate_table(replace(tables, candidates=excluded))
    assert rows[0]["reason"] == "p90 latency 8 ms is above 2 ms"
    assert rows[0]["verdict_name"] == "excluded"


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("worse", "it loses 10 points (interval 6.0 to 14.0) to the best, shown to exceed"),
        ("open", "it may lose 12 points to another"),
        ("within", "shown to lose at most 12 points to any other"),
    ],
)
def test_reason_turns_difference_into_loss(verdict: str, expected: str) -> None:
    ends = {"difference": -0.1, "difference_low": -0.14, "difference_high": -0.06}
    row: dict[str, Any] = {"verdict": verdict, "at_most": 0.12, "reason": None, **ends}
    assert verdict_reason(row).startswith(expected)


def test_every_reason_belongs_to_a_verdict() -> None:
    assert set(REASONS) <= set(VERDICTS)


def test_filter_lists_the_verdicts_that_occur(tables: Tables) -> None:
    rows = candidate_table(tables)
    assert set(shown_verdicts(rows)) == {row["verdict"] for row in rows}
    assert shown_verdicts(rows)["slower"] == "slower way"


def test_csv_link_holds_the_table(tables: Tables) -> None:
    content = base64.b64decode(csv_link(tables.candidates).partition(",")[2])
    pd.testing.assert_frame_equal(
        pd.read_csv(io.BytesIO(content)), tables.candidates, check_dtype=False
    )
