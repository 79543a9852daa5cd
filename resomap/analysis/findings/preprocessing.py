"""Findings about other preprocessings: whether those that mean to do the same change answers."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from resomap.analysis.findings.finding import Estimate, Finding, read_estimate, select

EVIDENCE = "tables/preprocessing_parity.csv"
NAMES = ("model", "train_resolution", "eval_resolution", "preprocessing", "kind")


def measured_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Select the preprocessings that were measured, without that of the training itself."""
    return table[table["flipped"].notna() & (table["kind"] != "reference")]


def faithful_preprocessing(table: pd.DataFrame) -> Finding:
    """Find what changes most answers of those that mean to do what the training did.

    The state is `same` where none changes an answer, `differs`, or `unknown` without any. The
    first of `parts` is the worst of all others, which do something else.
    """
    rows = measured_rows(table)
    faithful, others = rows[rows["judged"]], rows[~rows["judged"]]
    others = others[others["kind"] != "compression"]
    parts = (_worst(others, "differs"),) if len(others) else ()
    if faithful.empty:
        return Finding("preprocessing", "unknown", EVIDENCE, parts=parts)
    state = "differs" if faithful["flipped"].max() > 0 else "same"
    worst = _worst(faithful, state)
    counts = {"compared": Estimate(float(len(faithful)))}
    return Finding(
        "preprocessing", state, EVIDENCE, worst.subject, {**worst.numbers, **counts}, parts
    )


def _worst(rows: pd.DataFrame, state: str) -> Finding:
    return preprocessing_cost(rows.loc[rows["flipped"].idxmax()], state)


def preprocessing_cost(row: Mapping[str, Any] | pd.Series, state: str) -> Finding:
    """Return what one preprocessing of one cell changes and loses."""
    numbers = {
        "flipped": Estimate(float(row["flipped"]), n=int(row["n"]) * int(row["n_seeds"])),
        "accuracy_lost": read_estimate(row, "accuracy_lost"),
    }
    return Finding("preprocessing cost", state, EVIDENCE, select(row, *NAMES), numbers)


def beyond_limit(table: pd.DataFrame, max_flips: float | None) -> list[Finding]:
    """Find every cell and preprocessing that means to do the same and changes more answers."""
    if max_flips is None:
        return []
    rows = measured_rows(table)
    beyond = rows[rows["judged"] & (rows["flipped"] > max_flips)]
    return [preprocessing_cost(row, "fails") for _, row in beyond.iterrows()]
