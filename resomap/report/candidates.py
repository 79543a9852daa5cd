"""The table of all candidates on the page, and what its script needs to mark another answer."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from resomap.analysis.tables import Tables
from resomap.report.text.page.verdicts import (
    REASONS,
    VERDICTS,
    verdict_name,
    verdict_reason,
    way_of_candidate,
)

Row = dict[str, Any]
ORDER = list(VERDICTS)
IDENTITY = ("family", "model", "resolution", "eval_resolution", "mode", "variant")
"""Columns by which the script of the page finds a candidate of the choice."""


def candidate_table(tables: Tables) -> list[Row]:
    """Return a row per candidate, and one per cell without a finished run.

    The answer comes first, then by verdict and test accuracy. `record` is the place of a
    candidate in the table, None for a cell without one.
    """
    rows = [*_candidates(tables.candidates), *_unfinished_cells(tables)]
    return sorted(rows, key=_rank)


def _candidates(candidates: pd.DataFrame) -> Iterator[Row]:
    # None for NaN, which the template can test.
    plain = candidates.astype(object).where(candidates.notna(), None)
    for number, row in enumerate(plain.to_dict("records")):
        yield {
            **{str(name): value for name, value in row.items()},
            "record": number,
            "variant": row["variant"] or "",
            "way": way_of_candidate(row),
            "verdict_name": verdict_name(row["verdict"]),
            "reason": verdict_reason(row),
        }


def _unfinished_cells(tables: Tables) -> Iterator[Row]:
    """Yield a row per cell of the sweep without a finished run, with what became of its runs."""
    cells = tables.cells[tables.cells["n_seeds"] == 0]
    for cell in cells.to_dict("records"):
        runs = tables.runs
        own = runs[
            (runs["model"] == cell["model"]) & (runs["resolution"] == cell["resolution"])
        ]
        status = ", ".join(own["status"].unique())
        yield {
            **dict.fromkeys((*tables.candidates.columns, "record")),
            **{name: cell[name] for name in ("family", "model", "resolution", "n_seeds")},
            "eval_resolution": cell["resolution"],
            "mode": "raw",
            "variant": "",
            "way": "",
            "verdict": status,
            "verdict_name": verdict_name(status),
            "reason": "; ".join(own["reason"].dropna().astype(str).unique()),
        }


def _rank(row: Mapping[str, Any]) -> tuple[int, float]:
    verdict = row["verdict"]
    place = ORDER.index(verdict) if verdict in ORDER else len(ORDER)
    return place, -(row["accuracy"] or 0.0)


def candidate_words() -> Row:
    """Return names and reasons, from which the script words the verdicts of another answer."""
    return {"names": VERDICTS, "reasons": REASONS, "identity": IDENTITY}


def csv_link(frame: pd.DataFrame) -> str:
    """Return a table as a link that downloads it as CSV."""
    content = frame.to_csv(index=False, lineterminator="\n").encode()
    return f"data:text/csv;base64,{base64.b64encode(content).decode()}"


def shown_verdicts(rows: list[Row]) -> dict[str, str]:
    """Return the verdicts that occur with their names, in the order of the rows."""
    return {row["verdict"]: row["verdict_name"] for row in rows}
