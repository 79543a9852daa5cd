"""The two tables of the page: all cells, and the variants in which a network was run."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from resomap.analysis.findings.baseline import beats_majority
from resomap.analysis.profiles import VARIANT_COLUMNS, best_throughput_rows, main_variant_rows
from resomap.analysis.tables import Tables
from resomap.report.text.format import variant_name
from resomap.workflow.predictions import RAW

CELL_KEYS = ["model", "resolution"]
MEASUREMENT_KEYS = ["family", "model", "resolution", "batch_size"]
VERDICTS = {"within": "within the margin", "worse": "worse", "open": "open"}
STATUSES = {"infeasible": "does not fit", "unsupported": "unsupported"}
CALIBRATION = ("ece", "ece_null", "ece_null_p95")
SHOWN_COLUMNS = ("latency_ms_p50", "latency_ms_low", "latency_ms_high", "peak_memory_mib")


def cell_table(tables: Tables) -> list[dict[str, Any]]:
    """Return one row per cell: its scores, its cost, and its verdict against the best cell."""
    scores = ["balanced_accuracy", "macro_f1", "train_seconds", *CALIBRATION]
    energy = main_variant_rows(tables.energy, tables.profiles)
    columns = [
        tables.runs.groupby(CELL_KEYS, as_index=False)[scores].mean(),
        # MACs of an image are the same in every measurement of a cell.
        tables.profiles.drop_duplicates(CELL_KEYS)[[*CELL_KEYS, "macs"]],
        best_throughput_rows(tables.profiles)[[*CELL_KEYS, "inference_images_per_second"]],
        # At the batch size that takes the least.
        energy.groupby(CELL_KEYS, as_index=False)["energy_j_per_image"].min(),
    ]
    rows = tables.cells
    for more in columns:
        rows = rows.merge(more, on=CELL_KEYS, how="left")
    # None for NaN, which the template can test.
    plain = rows.astype(object).where(rows.notna(), None)
    return [row | {"verdict": _verdict(tables, row)} for row in plain.to_dict("records")]


def _verdict(tables: Tables, row: Mapping[Any, Any]) -> str:
    """Return what was decided about a cell."""
    choice = tables.choice
    if choice["choice"] is None and row["n_seeds"] and not beats_majority(row):
        return "not learned"
    if _is_cell(choice["choice"], row):
        return "undecided, taken" if choice["status"] == "undecided" else "chosen"
    if _is_cell(choice["best"], row):
        return "best"
    for comparison in choice["comparisons"]:
        if _is_cell(comparison, row):
            return VERDICTS[comparison["verdict"]]
    if any(_is_cell(excluded, row) for excluded in choice["excluded"]):
        return "excluded"
    is_own = (tables.runs["model"] == row["model"]) & (
        tables.runs["resolution"] == row["resolution"]
    )
    return ", ".join(tables.runs.loc[is_own, "status"].unique())


def _is_cell(cell: Mapping[str, Any] | None, row: Mapping[Any, Any]) -> bool:
    """Return whether a record of the choice is about the cell of a row, as trained."""
    if cell is None or cell["mode"] != RAW or cell["eval_resolution"] != cell["resolution"]:
        return False
    return all(cell[name] == row[name] for name in CELL_KEYS)


def variant_table(profiles: pd.DataFrame) -> dict[str, Any]:
    """Return the names of the variants, and a row per cell and batch size with several.

    A row has `records`, one or None for each variant: SHOWN_COLUMNS, `valid` and `status`,
    which is blank when it was measured.
    """
    keys = profiles[list(VARIANT_COLUMNS)].itertuples(index=False, name=None)
    variants = list(dict.fromkeys(keys))
    rows = []
    for (_, model, px, batch_size), measured in profiles.groupby(MEASUREMENT_KEYS, sort=False):
        if len(measured) > 1:
            records = _records_by_variant(measured)
            rows.append(
                {
                    "model": model,
                    "resolution": px,
                    "batch_size": batch_size,
                    "records": [records.get(variant) for variant in variants],
                }
            )
    return {"variants": _variant_names(variants), "rows": rows}


def _records_by_variant(measured: pd.DataFrame) -> dict[tuple, dict[str, Any]]:
    """Return what the page shows of each measurement, by its variant."""
    records = {}
    for row in measured.to_dict("records"):
        record = {name: None if pd.isna(row[name]) else row[name] for name in SHOWN_COLUMNS}
        record["valid"] = bool(row["valid"])
        record["status"] = STATUSES.get(row["status"], "")
        records[tuple(row[name] for name in VARIANT_COLUMNS)] = record
    return records


def _variant_names(variants: list[tuple]) -> list[str]:
    """Return the name of each variant, with precision and format where these differ."""
    # What all variants share would only lengthen the heads of the columns.
    differing = [
        column
        for column in range(1, len(VARIANT_COLUMNS))
        if len({variant[column] for variant in variants}) > 1
    ]
    names = []
    for variant in variants:
        extra = [variant[column] for column in differing]
        names.append(", ".join([variant_name(variant[0]), *extra]))
    return names
