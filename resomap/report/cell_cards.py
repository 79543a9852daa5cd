"""The cards of the page: all that is known of one cell, opened from a table or a chart."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from resomap.analysis.findings.evidence import evidence_alarms
from resomap.analysis.tables import Tables
from resomap.report.text.evidence import alarm_sentences
from resomap.report.text.page import cell_card
from resomap.workflow.predictions import RAW

CELL = ["family", "model", "resolution"]
MAX_CLASSES = 5
"""Classes on a card, those of the lowest recall."""
Record = dict[str, Any]


def cell_cards(
    tables: Tables, candidates: Sequence[Record], confidence: float
) -> dict[str, Any]:
    """Return the words of a card, and a card for each cell; `candidates` as `candidate_table`."""
    by_cell = {
        name: dict(iter(_plain(getattr(tables, name)).groupby(CELL, sort=False)))
        for name in ("runs", "profiles", "classes")
    }
    explained = set(tables.explanations[CELL].itertuples(index=False, name=None))
    alarms, verdicts = _alarms_of_cells(tables), _verdicts(candidates)
    cards = []
    for row in _plain(tables.cells).to_dict("records"):
        key = tuple(row[name] for name in CELL)
        of_cell = {name: parts.get(key) for name, parts in by_cell.items()}
        card: Record = {str(name): row[name] for name in CELL}
        card["facts"] = _facts(verdicts.get(key, ""), row, of_cell["runs"], confidence)
        card["costs"] = _records(of_cell["profiles"], cell_card.cost_cells)
        card["classes"] = _weakest_classes(of_cell["classes"])
        card["alarms"] = alarms.get((row["model"], row["resolution"]), [])
        cards.append(card | {"explained": key in explained})
    return {
        **cell_card.WORDS,
        "cost_columns": cell_card.COST_COLUMNS,
        "class_columns": cell_card.CLASS_COLUMNS,
        "cards": cards,
    }


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with None for blanks."""
    return table.astype(object).where(table.notna(), None)


def _records(table: pd.DataFrame | None, render: Any) -> list[list[str]]:
    return [] if table is None else [render(row) for row in table.to_dict("records")]


def _facts(
    verdict: str, row: Mapping[Any, Any], runs: pd.DataFrame | None, confidence: float
) -> list[tuple[str, str]]:
    """Return name and text of what is known of a cell."""
    failed = []
    if runs is not None:
        ended = runs.loc[runs["status"] != "ok", ["seed", "status", "reason"]]
        for seed, status, reason in ended.itertuples(index=False, name=None):
            failed.append((seed, status, reason or ""))
    texts = (
        verdict,
        cell_card.accuracy_text(row, "accuracy", "n_test", confidence),
        cell_card.accuracy_text(row, "val_accuracy", "n_val", confidence),
        cell_card.seeds_text(int(row["n_seeds"]), failed),
    )
    return [(name, text) for name, text in zip(cell_card.FACTS, texts, strict=True) if text]


def _verdicts(candidates: Sequence[Record]) -> dict[tuple[Any, ...], str]:
    """Return the verdict on every cell as trained, in its way of running that ranks first."""
    verdicts: dict[tuple[Any, ...], str] = {}
    for row in candidates:
        if row["mode"] == RAW and row["eval_resolution"] == row["resolution"]:
            key = tuple(row[name] for name in CELL)
            verdicts.setdefault(key, cell_card.verdict_text(row))
    return verdicts


def _weakest_classes(classes: pd.DataFrame | None) -> list[list[str]]:
    """Return the classes of the lowest recall, mean over the seeds."""
    if classes is None:
        return []
    known = classes.dropna(subset=["accuracy"]).astype({"accuracy": float})
    means = known.groupby("class", sort=False, as_index=False)[["accuracy", "n"]].mean()
    weakest = means.sort_values("accuracy", kind="stable")[:MAX_CLASSES]
    return _records(weakest, cell_card.class_cells)


def _alarms_of_cells(tables: Tables) -> dict[tuple[str, int], list[str]]:
    """Return the sentences of the evidence alarms by model and resolution."""
    sentences: dict[tuple[str, int], list[str]] = {}
    for finding in evidence_alarms(tables.alarms, tables.interventions):
        key = finding.subject["model"], finding.subject["resolution"]
        sentences.setdefault(key, []).extend(alarm_sentences(finding))
    return sentences
