"""Every table of results/tables: made from the result files of a sweep, and read back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from resomap.analysis.accuracies import compute_accuracies
from resomap.analysis.alarm import alarm_rows
from resomap.analysis.cell_tables import (
    cell_rows,
    group_rows,
    knee_rows,
    matrix_rows,
)
from resomap.analysis.cost_tables import (
    cost_rows,
    energy_rows,
    neighbour_rows,
    profile_rows,
    stage_rows,
)
from resomap.analysis.decision.answer_tables import AnswerTables, answer_tables
from resomap.analysis.decision.candidate_table import candidate_rows
from resomap.analysis.decision.candidates import list_candidates
from resomap.analysis.decision.choice import ChoiceRecord, choose
from resomap.analysis.decision.inputs import cell_evidence, count_progress, read_splits
from resomap.analysis.decision.looks import read_looks
from resomap.analysis.decision.ways import main_latencies, ways_to_run
from resomap.analysis.evidence_tables import (
    agreement_rows,
    explanation_rows,
    faithfulness_rows,
    intervention_rows,
    sanity_rows,
)
from resomap.analysis.per_image.cascade_tables import cascade_rows
from resomap.analysis.per_image.class_accuracy import class_accuracy_rows
from resomap.analysis.per_image.confusion import confusion_rows
from resomap.analysis.per_image.demand import demand_rows, hard_image_rows
from resomap.analysis.predictions import (
    Cell,
    ModelFiles,
    RunFolders,
    model_files,
    sweep_cells,
)
from resomap.analysis.profiles import Row, read_records
from resomap.analysis.run_tables import class_rows, evaluation_rows, read_environment, run_rows
from resomap.config.architecture import Architecture
from resomap.config.report import Report
from resomap.system import files
from resomap.workflow.checked_files import read_json
from resomap.workflow.checked_tables import read_table
from resomap.workflow.layout import table_columns
from resomap.workflow.sweep_results import SweepResults


@dataclass(frozen=True)
class Tables:
    """Every table of results/tables by the name of its file."""

    runs: pd.DataFrame
    evaluation: pd.DataFrame
    classes: pd.DataFrame
    confusion: pd.DataFrame
    demand: pd.DataFrame
    class_accuracy: pd.DataFrame
    hard_images: pd.DataFrame
    cascades: pd.DataFrame
    candidates: pd.DataFrame
    profiles: pd.DataFrame
    stages: pd.DataFrame
    neighbours: pd.DataFrame
    cost: pd.DataFrame
    energy: pd.DataFrame
    explanations: pd.DataFrame
    agreement: pd.DataFrame
    faithfulness: pd.DataFrame
    sanity: pd.DataFrame
    interventions: pd.DataFrame
    alarms: pd.DataFrame
    cells: pd.DataFrame
    groups: pd.DataFrame
    matrix: pd.DataFrame
    knees: pd.DataFrame
    choice: ChoiceRecord
    answer: AnswerTables
    environment: dict[str, list[Any]]


def read_tables(folder: Path) -> Tables:
    """Read what `write_tables` and the rule `aggregate_tables` wrote into `folder`."""
    frames = {}
    for name, kind in Tables.__annotations__.items():
        if kind is pd.DataFrame:
            frames[name] = read_table(folder / f"{name}.csv")
    return Tables(
        **frames,
        choice=read_json(folder / "choice.json"),
        answer=read_json(folder / "answer.json"),
        environment=read_json(folder / "environment.json"),
    )


def write_tables(
    manifest: dict[str, Any],
    runs: Path,
    profiles: Path,
    agreement: Path,
    folder: Path,
    *,
    models: Sequence[Architecture],
    resolutions: Sequence[int],
    seeds: Sequence[int],
    report: Report,
    explain: bool = True,
    sweep: SweepResults | None = None,
) -> ChoiceRecord:
    """Write every table, answer.json and environment.json into `folder`; returns the choice.

    Missing results leave blanks, and so do those that do not belong to `sweep`. Explanations are
    read only if the sweep has them (`explain`), although those of an earlier one may be there.
    """
    cells = sweep_cells(models, resolutions)
    run_folders = RunFolders(runs, sweep, explain)
    profile_files = model_files(cells, profiles, ".json", "profile", sweep)
    agreement_files: ModelFiles = {}
    if explain:
        agreement_files = model_files(cells, agreement, ".csv", "compare", sweep)
    measurements = list(read_records(profile_files, "cells"))
    ways = ways_to_run(measurements)
    latencies = main_latencies(ways)
    val, test = read_splits(cells, seeds, run_folders, manifest)
    accuracies = compute_accuracies(val, test, report.confidence)
    scores = list(cell_rows(cells, len(seeds), test, val, accuracies, latencies))
    evidence = _evidence_tables(cells, seeds, run_folders, agreement_files, report.confidence)
    alarms = list(
        alarm_rows(
            test,
            run_folders,
            manifest,
            evidence["sanity"],
            evidence["interventions"],
            report.confidence,
        )
    )
    tables = {
        "runs": run_rows(cells, seeds, run_folders, manifest),
        "evaluation": evaluation_rows(cells, seeds, run_folders),
        "classes": class_rows(cells, seeds, run_folders, manifest),
        "confusion": confusion_rows(cells, seeds, run_folders, manifest),
        "demand": demand_rows(test, manifest, report.confidence),
        "class_accuracy": class_accuracy_rows(test, manifest, report.confidence),
        "hard_images": hard_image_rows(test, manifest),
        "cascades": cascade_rows(
            {cell: latency.p50 for cell, latency in latencies.items()},
            seeds,
            run_folders,
            report.margin,
            report.confidence,
        ),
        "cells": scores,
        "groups": group_rows(test, manifest, report.confidence),
        "matrix": matrix_rows(test, accuracies),
        "knees": knee_rows(val, manifest, report.margin, report.confidence),
        "stages": stage_rows(read_records(profile_files, "stages")),
        **_cost_tables(measurements, scores, report.confidence),
        **evidence,
        "alarms": alarms,
    }
    known = cell_evidence(cells, seeds, run_folders, alarms)
    candidates = list_candidates(val, test, ways, known)
    progress = count_progress(cells, seeds, run_folders, known)
    looks = read_looks(runs.parent, progress.finished + progress.failed)
    choice = choose(candidates, report, manifest["classes"], accuracies, looks=looks)
    tables["candidates"] = candidate_rows(candidates, choice, accuracies)
    for name, rows in tables.items():
        files.write_rows(folder / f"{name}.csv", list(rows), table_columns(name))
    files.write_json(folder / "environment.json", read_environment(cells, seeds, run_folders))
    answer = answer_tables(candidates, report, manifest["classes"], accuracies, choice)
    files.write_json(folder / "answer.json", answer)
    return choice


def _cost_tables(
    measurements: Sequence[Row], scores: Sequence[Row], confidence: float
) -> dict[str, Iterable[Row]]:
    """Return the rows made from the measurements; `scores` are the rows of cells.csv."""
    neighbours = neighbour_rows(measurements, confidence)
    return {
        "profiles": profile_rows(measurements),
        "neighbours": neighbours,
        "cost": cost_rows(measurements, neighbours, confidence),
        "energy": energy_rows(measurements, scores),
    }


def _evidence_tables(
    cells: Sequence[Cell],
    seeds: Sequence[int],
    runs: RunFolders,
    agreement: ModelFiles,
    confidence: float,
) -> dict[str, list[Row]]:
    """Return the rows made from the explanations."""
    return {
        "explanations": list(explanation_rows(cells, seeds, runs)),
        "agreement": list(agreement_rows(agreement)),
        "faithfulness": list(faithfulness_rows(cells, seeds, runs)),
        "sanity": list(sanity_rows(cells, seeds, runs)),
        "interventions": list(intervention_rows(cells, seeds, runs, confidence)),
    }
