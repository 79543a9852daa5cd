"""The tidy tables: one row an observation, copied from result files; blank where a run gave no number."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from resomap import metrics
from resomap.analysis.answers import Cell, Run, cell_runs, group_of_class, run_status
from resomap.analysis.measurements import Row
from resomap.system import files
from resomap.workflow.layout import ENDED, table_columns

RUNS = table_columns("runs")
EVALUATION = table_columns("evaluation")
CLASSES = table_columns("classes")
PROFILES = table_columns("profiles")
STAGES = table_columns("stages")
P99_FROM = 1000
"""Repetitions under which a 99th percentile is not reported."""


def run_rows(
    cells: Sequence[Cell], seeds: Sequence[int], runs: Path, manifest: dict[str, Any]
) -> Iterator[Row]:
    """Rows of RUNS: every run of the sweep, also those that failed; scores on the test split at the training resolution."""
    for run in sweep_runs(cells, seeds, runs):
        status = run_status(run)
        row = {
            **identity(run),
            "status": status,
            "n_train": manifest["splits"]["train"]["count"],
        }
        yield (
            row
            | (_training(run) if status in ENDED else {})
            | (_own_scores(run) if status == "ok" else {})
        )


def sweep_runs(cells: Sequence[Cell], seeds: Sequence[int], runs: Path) -> Iterator[Run]:
    """Every run of the sweep, whether it exists or not."""
    for cell in cells:
        yield from cell_runs(cell, seeds, runs)


def identity(run: Run) -> Row:
    """The columns that name a run."""
    return {**run.cell._asdict(), "seed": run.seed}


def _training(run: Run) -> Row:
    metrics, timing = (
        files.read_json(run.folder / name) for name in ("metrics.json", "timing.json")
    )
    return {
        "epochs": len(pd.read_csv(run.folder / "history.csv")) or None,
        **{
            name: timing.get(name)
            for name in ("train_seconds", "train_images_per_second", "peak_memory_mib")
        },
        **{name: metrics.get(name) for name in ("reason", "learning_rate", "micro_batch")},
        **{name: metrics["environment"].get(name) for name in ("device", "precision")},
        "code": metrics["job"].get("code"),
    }


def _own_scores(run: Run) -> Row:
    own = next(
        row
        for row in _evaluations(run)
        if row["eval_resolution"] == run.cell.resolution and row["mode"] == "raw"
    )
    return {"n_test": own["n"], **{name: own[name] for name in metrics.SCORE_NAMES}}


def _evaluations(run: Run) -> list[Row]:
    return records(pd.read_csv(run.folder / "evaluation.csv"))


def records(frame: pd.DataFrame) -> list[Row]:
    """Rows with None for NaN, so that they are written blank."""
    return [
        {str(key): None if pd.isna(value) else value for key, value in row.items()}
        for row in frame.to_dict("records")
    ]


def finished_runs(cells: Sequence[Cell], seeds: Sequence[int], runs: Path) -> Iterator[Run]:
    """Those that have numbers."""
    return (run for run in sweep_runs(cells, seeds, runs) if run_status(run) == "ok")


def evaluation_rows(cells: Sequence[Cell], seeds: Sequence[int], runs: Path) -> Iterator[Row]:
    """Rows of EVALUATION: every finished run at every resolution of the sweep."""
    for run in finished_runs(cells, seeds, runs):
        for row in _evaluations(run):
            trained = {
                "family": run.cell.family,
                "model": run.cell.model,
                "train_resolution": run.cell.resolution,
                "seed": run.seed,
            }
            yield trained | {name: row[name] for name in EVALUATION if name not in trained}


def class_rows(
    cells: Sequence[Cell], seeds: Sequence[int], runs: Path, manifest: dict[str, Any]
) -> Iterator[Row]:
    """Rows of CLASSES: every class of every finished run, on the test split at the training resolution."""
    groups = group_of_class(manifest)
    for run in finished_runs(cells, seeds, runs):
        stored = files.read_arrays(run.folder / "predictions.npz")
        logits, label = stored[f"logits_r{run.cell.resolution}"], stored["label"]
        pair = metrics.pair_accuracy(logits, label, manifest["pairs"])
        for index, name in enumerate(manifest["classes"]):
            shown = label == index
            row = {
                **identity(run),
                "class": name,
                "group": groups[index],
                "n": int(shown.sum()),
            }
            yield row | {
                "accuracy": known_mean(logits[shown].argmax(axis=1) == index),
                "pair_accuracy": known_mean(pair[shown]),
            }


def known_mean(values: np.ndarray) -> float | None:
    """Mean of what is known of the values; None where nothing is."""
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    return float(known.mean()) if known.size else None


def profile_rows(records: Iterable[Row]) -> Iterator[Row]:
    """Rows of PROFILES, a record of `cells` each; what an older profile does not tell is blank."""
    for record in records:
        row = {name: record.get(name) for name in PROFILES}
        yield row | ({} if (row["n"] or 0) >= P99_FROM else {"latency_ms_p99": None})


def stage_rows(records: Iterable[Row]) -> Iterator[Row]:
    """Rows of STAGES, a record of `stages` each: where the time of one picture goes from its file to its logits."""
    for record in records:
        total = sum(
            record[f"{stage}_ms"] or 0 for stage in ("decode", "resize", "copy", "forward")
        )
        yield {name: record.get(name) for name in STAGES} | {"total_ms": total}
