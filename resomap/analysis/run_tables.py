"""Rows of runs.csv, evaluation.csv and classes.csv, copied from the result files."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from resomap import metrics
from resomap.analysis.predictions import (
    Cell,
    Run,
    RunFolders,
    finished_runs,
    group_of_class,
    sweep_runs,
)
from resomap.analysis.profiles import Row
from resomap.workflow.checked_files import read_arrays, read_json
from resomap.workflow.checked_tables import read_table
from resomap.workflow.layout import ENDED, table_columns
from resomap.workflow.predictions import RAW, logits_name

EVALUATION_COLUMNS = table_columns("evaluation")


def run_rows(
    cells: Sequence[Cell], seeds: Sequence[int], runs: RunFolders, manifest: dict[str, Any]
) -> Iterator[Row]:
    """Yield a row of runs.csv for every run of the sweep, failed ones included.

    Scores are those on the test split at the training resolution.
    """
    num_train = manifest["splits"]["train"]["count"]
    for run in sweep_runs(cells, seeds, runs):
        row = {**run_key(run), "status": run.status, "n_train": num_train}
        if run.status in ENDED:
            row |= _training_columns(run)
        if run.status == "ok":
            row |= _score_columns(run)
        yield row


def run_key(run: Run) -> Row:
    """Return the columns that identify a run."""
    return {**run.cell._asdict(), "seed": run.seed}


def _training_columns(run: Run) -> Row:
    """Return the columns that training left in metrics.json, timing.json and history.csv."""
    result = read_json(run.folder / "metrics.json")
    timing = read_json(run.folder / "timing.json")
    # A run that did not fit has no epoch, which is a blank and not a 0.
    row: Row = {"epochs": len(read_table(run.folder / "history.csv")) or None}
    for name in ("train_seconds", "train_images_per_second", "peak_memory_mib"):
        row[name] = timing.get(name)
    for name in ("reason", "learning_rate", "micro_batch"):
        row[name] = result.get(name)
    for name in ("device", "precision"):
        row[name] = result["environment"].get(name)
    return row | {"code": result["job"].get("code")}


def _score_columns(run: Run) -> Row:
    """Return the test scores of a finished run at its training resolution."""
    (row,) = (
        row
        for row in _evaluations(run)
        if row["eval_resolution"] == run.cell.resolution and row["mode"] == RAW
    )
    return {"n_test": row["n"], **{name: row[name] for name in metrics.SCORE_NAMES}}


def _evaluations(run: Run) -> list[Row]:
    """Read the evaluation of a run."""
    return to_rows(read_table(run.folder / "evaluation.csv"))


def to_rows(frame: pd.DataFrame) -> list[Row]:
    """Return the rows of a frame with None for NaN, which is written as a blank."""
    rows: Any = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return list(rows)


def evaluation_rows(
    cells: Sequence[Cell], seeds: Sequence[int], runs: RunFolders
) -> Iterator[Row]:
    """Yield a row of evaluation.csv for every finished run, resolution and mode."""
    for run in finished_runs(cells, seeds, runs):
        key = run_key(run)
        key["train_resolution"] = key.pop("resolution")
        for scores in _evaluations(run):
            row = scores | key
            yield {name: row[name] for name in EVALUATION_COLUMNS}


def class_rows(
    cells: Sequence[Cell], seeds: Sequence[int], runs: RunFolders, manifest: dict[str, Any]
) -> Iterator[Row]:
    """Yield a row of classes.csv per finished run and class, on test images."""
    groups = group_of_class(manifest)
    for run in finished_runs(cells, seeds, runs):
        logits, labels = read_own_logits(run)
        pair_correct = metrics.pair_accuracy(logits, labels, manifest["pairs"])
        for index, name in enumerate(manifest["classes"]):
            of_class = labels == index
            yield {
                **run_key(run),
                "class": name,
                "group": groups[index],
                "n": int(of_class.sum()),
                "accuracy": mean_or_none(logits[of_class].argmax(axis=1) == index),
                "pair_accuracy": mean_or_none(pair_correct[of_class]),
            }


def read_own_logits(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (N, C) and labels (N,) of the test images at the resolution of training."""
    name = logits_name(run.cell.resolution)
    stored = read_arrays(run.folder / "predictions.npz", name, "label")
    return stored[name], stored["label"]


def mean_or_none(values: np.ndarray) -> float | None:
    """Return the mean of the values that are not NaN; None when there is none."""
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    return float(known.mean()) if known.size else None


def read_environment(
    cells: Sequence[Cell], seeds: Sequence[int], runs: RunFolders
) -> dict[str, list[Any]]:
    """Return all values of each entry of the environments; more than one is a confound."""
    values: dict[str, list[Any]] = {}
    for run in sweep_runs(cells, seeds, runs):
        path = run.folder / "metrics.json"
        known = path.exists() and run.status != "stale"
        environment = read_json(path)["environment"] if known else {}
        for name, value in environment.items():
            seen = values.setdefault(name, [])
            if value not in seen:
                seen.append(value)
    return values
