"""The networks in int8 as one more mode of the predictions of a sweep, from the exports of its runs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from resomap.analysis.accuracies import Split
from resomap.analysis.deploy_tables import RunExport, read_export
from resomap.analysis.precision_loss import PrecisionLoss, measure_loss
from resomap.analysis.predictions import Cell, Predictions, Run
from resomap.workflow.predictions import INT8, val_logits_name
from resomap.workflow.sweep_results import has_current_inputs, run_wildcards

DEPLOYABLE = "deployable"
EXPORT_AGAIN = "run `snakemake deploy` again"


@dataclass(frozen=True)
class Exports:
    """The predictions of a sweep with the mode int8, and what its exports are worth.

    `failed` are the cells, with a test resolution, that have an export which does not answer as
    the trained network does. `losses` are those of int8. `records` has what to say of each.
    """

    val: dict[Cell, Predictions]
    test: dict[Cell, Predictions]
    failed: set[tuple[Cell, int]] = field(default_factory=set)
    losses: dict[tuple[Cell, int], PrecisionLoss] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)


class ExportProblem(NamedTuple):
    """Why the exports of a cell cannot be used, and whether one of them answers wrongly."""

    text: str
    is_wrong: bool = False


def read_exports(
    results: Path,
    runs: Mapping[Cell, Sequence[Run]],
    val: Split,
    test: Split,
    margin: float,
    confidence: float,
) -> Exports:
    """Read the exports of all finished `runs`, whose predictions are `val` and `test`.

    A cell has the mode int8 where every finished run is exported so, proven, and exported from
    its present weights.
    """
    exports = Exports(dict(val), dict(test))
    for cell, predictions in test.items():
        finished = [run for run in runs[cell] if run.seed in predictions.seeds]
        for px in _exported_sizes(results, finished):
            paths = [_record_path(results, run, px) for run in finished]
            found = _read_cell(results, finished, paths, (val[cell], predictions))
            record = {**cell._asdict(), "eval_resolution": px, "problem": None}
            if isinstance(found, ExportProblem):
                exports.records.append(record | {"problem": found.text})
                if found.is_wrong:
                    exports.failed.add((cell, px))
            elif found:
                loss = _add_int8(exports, cell, px, found, confidence)
                exports.records.append(record | _describe(loss, margin))
    return exports


def _exported_sizes(results: Path, runs: Sequence[Run]) -> list[int]:
    """Return the test resolutions for which any of the runs is exported."""
    sizes = set()
    for run in runs:
        folder = _record_path(results, run, 0).parents[1]
        sizes |= {int(path.parent.name[2:]) for path in folder.glob("at*/export.json")}
    return sorted(sizes)


def _record_path(results: Path, run: Run, px: int) -> Path:
    return results.joinpath("deploy", *run.folder.parts[-4:], f"at{px}", "export.json")


def _read_cell(
    results: Path,
    runs: Sequence[Run],
    paths: Sequence[Path],
    splits: tuple[Predictions, Predictions],
) -> list[RunExport] | ExportProblem | None:
    """Return the exports of the runs of a cell with int8, or why not; None without int8."""
    found = list[RunExport]()
    for run, path in zip(runs, paths, strict=True):
        if not (path.exists() and path.with_name("logits.npz").exists()):
            return ExportProblem(f"seed {run.seed} is not exported: {EXPORT_AGAIN}")
        wildcards = {**run_wildcards(run.folder), "eval_resolution": path.parent.name[2:]}
        if not has_current_inputs(results, "export", **wildcards):
            return ExportProblem(
                f"seed {run.seed} was exported from other weights or images: {EXPORT_AGAIN}"
            )
        found.append(read_export(path))
    for run, export in zip(runs, found, strict=True):
        if export.record["status"] != DEPLOYABLE:
            return ExportProblem(
                f"the export of seed {run.seed} does not answer as the trained network does",
                is_wrong=True,
            )
    if not any(INT8 in export.record["job"]["precisions"] for export in found):
        return None
    for run, export in zip(runs, found, strict=True):
        problem = _find_int8_problem(export, splits)
        if problem:
            return ExportProblem(f"seed {run.seed} has no network in int8: {problem}")
    return found


def _find_int8_problem(
    export: RunExport, splits: tuple[Predictions, Predictions]
) -> str | None:
    """Return why the int8 network of a run is not used; None where it is."""
    record = export.record["networks"].get(INT8, {})
    if "failure" in record or INT8 not in export.logits:
        return str(record.get("failure", f"it was exported without: {EXPORT_AGAIN}"))
    if val_logits_name(INT8) not in export.logits:
        return f"an earlier version exported it, without validation images: {EXPORT_AGAIN}"
    val, test = splits
    counts = len(export.logits[val_logits_name(INT8)]), len(export.logits[INT8])
    is_same = np.array_equal(export.logits["label"], test.labels)
    if counts != (len(val.labels), len(test.labels)) or not is_same:
        return f"it was exported with other images: {EXPORT_AGAIN}"
    return None


def _add_int8(
    exports: Exports, cell: Cell, px: int, found: Sequence[RunExport], confidence: float
) -> PrecisionLoss:
    """Add the int8 networks of a cell to the predictions; returns what they lose to fp32."""
    fp32, int8, val_int8 = (
        np.stack([export.logits[name] for export in found])
        for name in ("fp32", INT8, val_logits_name(INT8))
    )
    for split, logits in ((exports.val, val_int8), (exports.test, int8)):
        correct = logits.argmax(axis=2) == split[cell].labels
        split[cell] = split[cell].with_mode(INT8, px, correct)
    loss = measure_loss(exports.test[cell].labels, fp32, int8, confidence)
    exports.losses[cell, px] = loss
    return loss


def _describe(loss: PrecisionLoss, margin: float) -> dict[str, Any]:
    return {
        "n_seeds": loss.seeds,
        "n": loss.images,
        "agreement": loss.agreement,
        "lost": asdict(loss.lost),
        "keeps_accuracy": loss.is_certified(margin),
    }
