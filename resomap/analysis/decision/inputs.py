"""What the decision reads of a sweep: predictions, costs and evidence of every cell."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from resomap.analysis.accuracies import Accuracies, Split, compute_accuracies
from resomap.analysis.decision.candidates import (
    Candidate,
    CellEvidence,
    Deployment,
    list_candidates,
)
from resomap.analysis.decision.confounds import run_facts
from resomap.analysis.decision.exports import read_exports
from resomap.analysis.decision.looks import ONE_LOOK, Looks, read_looks
from resomap.analysis.decision.ways import refused_ways, ways_to_run
from resomap.analysis.predictions import (
    Cell,
    Run,
    RunFolders,
    cell_runs,
    finished_runs,
    model_files,
    read_predictions,
    sweep_cells,
)
from resomap.analysis.profiles import Row, read_records
from resomap.analysis.recorded_sweep import RecordedSweep
from resomap.config.report import Report
from resomap.config.schema import Config
from resomap.errors import DataError
from resomap.workflow.checked_files import read_json
from resomap.workflow.targets import swept_models


class Progress(NamedTuple):
    """How many runs a sweep has, how many ended with a result, and how many without one."""

    runs: int
    finished: int
    failed: int


class DeviceCosts(NamedTuple):
    """The measurements of another device, as the records of profiles."""

    name: str
    rows: Sequence[Row]


@dataclass(frozen=True)
class SweepInputs:
    """The candidates of a sweep, finished or not, its exports, and how far it is."""

    candidates: list[Candidate]
    accuracies: Accuracies
    classes: tuple[str, ...]
    progress: Progress
    exports: list[dict[str, Any]]
    looks: Looks = ONE_LOOK


def read_inputs(
    results: Path, config: Config, rules: Report, device: DeviceCosts | None = None
) -> SweepInputs:
    """Read the sweep that `config` records from the folder `results`.

    Costs are those of the profiles, or of `device`. Networks in int8 join where runs are exported
    so. DataError where its images were not prepared yet.
    """
    manifest, cells, seeds, runs = read_sweep(results, config)
    val, test = read_splits(cells, seeds, runs, manifest)
    by_cell = {cell: cell_runs(cell, seeds, runs) for cell in cells}
    exports = read_exports(results, by_cell, val, test, rules)
    profiles = model_files(cells, results / "profiles", ".json", "profile", runs.sweep)
    alarms: list[Row] = []
    # Reading all explanations takes longer than everything else.
    if rules.alarms == "forbidden" or rules.min_localisation is not None:
        alarms = _read_alarms(cells, seeds, runs, manifest, test, rules.confidence)
    evidence = cell_evidence(cells, seeds, runs, alarms)
    measurements = list(read_records(profiles, "cells"))
    name, refused = (device.name if device else None), exports.refused
    if device:
        measurements = list(_with_macs(device.rows, measurements))
        refused = refused | refused_ways(device.rows)
    ways = ways_to_run(measurements, name)
    deployment = Deployment(name, refused, exports.losses)
    val, test = exports.val, exports.test
    progress = count_progress(cells, seeds, runs, evidence)
    return SweepInputs(
        list_candidates(val, test, ways, evidence, deployment),
        compute_accuracies(val, test, rules.confidence),
        tuple(manifest["classes"]),
        progress,
        exports.records,
        read_looks(results, progress.finished + progress.failed),
    )


def count_progress(
    cells: Sequence[Cell],
    seeds: Sequence[int],
    runs: RunFolders,
    evidence: Mapping[Cell, CellEvidence],
) -> Progress:
    """Count the runs of the sweep, and those that ended."""
    return Progress(
        runs=len(cells) * len(seeds),
        finished=len(finished_runs(cells, seeds, runs)),
        failed=sum(one.failed_seeds for one in evidence.values()),
    )


def _with_macs(rows: Sequence[Row], profiled: Sequence[Row]) -> Iterator[Row]:
    """Yield the rows of a device with the MACs of the profiles, which are equal everywhere."""
    macs = {(row["family"], row["model"], row["resolution"]): row["macs"] for row in profiled}
    for row in rows:
        yield {"macs": macs.get((row["family"], row["model"], row["resolution"])), **row}


def _read_alarms(
    cells: Sequence[Cell],
    seeds: Sequence[int],
    runs: RunFolders,
    manifest: dict[str, Any],
    test: Split,
    confidence: float,
) -> list[Row]:
    """Return the rows of alarms.csv."""
    # Imported here: they load pandas, which nothing else of an answer needs.
    from resomap.analysis.alarm import alarm_rows
    from resomap.analysis.evidence_tables import intervention_rows, sanity_rows

    sanity = list(sanity_rows(cells, seeds, runs))
    exchanges = list(intervention_rows(cells, seeds, runs, confidence))
    return list(alarm_rows(test, runs, manifest, sanity, exchanges, confidence))


def read_sweep(
    results: Path, config: Config
) -> tuple[dict[str, Any], list[Cell], list[int], RunFolders]:
    """Return the manifest, the cells, the seeds and the runs of a sweep.

    DataError where its images were not prepared yet.
    """
    path = results / "data" / "manifest.json"
    if not path.exists():
        raise DataError(f"{path}: not found: the sweep has not prepared its images yet")
    cells = sweep_cells(swept_models(config), sorted(config.sweep.resolutions))
    sweep = RecordedSweep(results, config)
    runs = RunFolders(results / "runs", sweep, config.explainability.enabled)
    return read_json(path), cells, sorted(config.sweep.seeds), runs


def read_splits(
    cells: Sequence[Cell], seeds: Sequence[int], runs: RunFolders, manifest: dict[str, Any]
) -> tuple[Split, Split]:
    """Read the validation and the test predictions of every cell with a finished run."""
    val, test = (read_split(cells, seeds, runs, manifest, name) for name in ("val", "test"))
    return val, test


def read_split(
    cells: Sequence[Cell],
    seeds: Sequence[int],
    runs: RunFolders,
    manifest: dict[str, Any],
    split: str,
) -> Split:
    """Read the predictions of every cell with a finished run on one split."""
    predictions = {}
    for cell in cells:
        of_cell = read_predictions(cell, seeds, runs, manifest, split)
        if of_cell is not None:
            predictions[cell] = of_cell
    return predictions


def cell_evidence(
    cells: Sequence[Cell], seeds: Sequence[int], runs: RunFolders, alarms: Sequence[Row]
) -> dict[Cell, CellEvidence]:
    """Return the failed seeds and the facts of every cell, and what its explanations show."""
    by_cell: dict[Cell, list[Row]] = {}
    for row in alarms:
        by_cell.setdefault(Cell(row["family"], row["model"], row["resolution"]), []).append(row)
    evidence = {}
    for cell in cells:
        of_cell = cell_runs(cell, seeds, runs)
        statuses = [run.status for run in of_cell]
        failed = statuses.count("diverged") + statuses.count("infeasible")
        evidence[cell] = CellEvidence(
            failed, *_alarm_and_localisation(by_cell.get(cell, ())), facts_by_seed(of_cell)
        )
    return evidence


def facts_by_seed(of_cell: Sequence[Run]) -> dict[int, dict[str, Any]]:
    """Return what may confound comparisons with the finished runs of a cell."""
    finished = [run for run in of_cell if run.status == "ok"]
    return {run.seed: run_facts(read_json(run.folder / "metrics.json")) for run in finished}


def _alarm_and_localisation(rows: Sequence[Row]) -> tuple[str | None, float | None]:
    """Return the alarm of a cell, and its smallest localisation over the groups of images."""
    if not rows:
        return None, None
    lows = [row["share_low"] for row in rows if row.get("share_low") is not None]
    states = {row["state"] for row in rows}
    # One group is enough for both; in others no image may be predicted correctly.
    alarm = next((state for state in ("fires", "silent") if state in states), None)
    return alarm, min(lows) if len(lows) == len(rows) else None
