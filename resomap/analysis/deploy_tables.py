"""Rows of deploy.csv: exported networks against those in PyTorch, by cell and precision."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from resomap.analysis.precision_loss import measure_loss
from resomap.analysis.profiles import Row
from resomap.workflow.checked_files import read_arrays, read_json

MIB = 2**20
UNFINISHED = ("diverged", "infeasible")


class RunExport(NamedTuple):
    """The record of one exported run, and its logits."""

    record: dict[str, Any]
    logits: dict[str, np.ndarray]


def read_export(path: Path) -> RunExport:
    """Read the record `path` of an exported run, and the logits beside it."""
    return RunExport(read_json(path), read_arrays(path.with_name("logits.npz")))


def deploy_rows(records: Sequence[Path], margin: float, confidence: float) -> Iterator[Row]:
    """Yield a row per cell, test resolution and precision, over its seeds.

    Each of `records` has the logits beside it. Accuracies are those of the deployable runs.
    """
    cells = defaultdict[tuple[Any, ...], list[RunExport]](list)
    for path in records:
        export = read_export(path)
        job = export.record["job"]
        name = job["architecture"]["family"], job["architecture"]["name"]
        cells[*name, job["resolution"], job["eval_resolution"]].append(export)
    for key, exports in sorted(cells.items()):
        cell = dict(
            zip(("family", "model", "train_resolution", "eval_resolution"), key, strict=True)
        )
        for precision in exports[0].record["job"]["precisions"]:
            yield {**cell, **_row(exports, precision, margin, confidence)}


def _row(exports: Sequence[RunExport], precision: str, margin: float, confidence: float) -> Row:
    finished = [each for each in exports if each.record["status"] not in UNFINISHED]
    deployable = [each for each in finished if each.record["status"] == "deployable"]
    # A network that cannot be quantised has no logits in that precision.
    proven = [each for each in deployable if precision in each.logits]
    compared = [each for each in finished if each.record["parity"]]
    row: Row = {"precision": precision, "deployable": len(proven), "n_seeds": len(finished)}
    if compared:
        parities = [each.record["parity"] for each in compared]
        differences = [each["largest_difference"] for each in parities]
        row["flips"] = sum(each["flips"] for each in parities)
        # None stands for NaN, which is no small difference.
        row["largest_difference"] = None if None in differences else max(differences)
        row["n"] = parities[0]["images"]
    if not proven:
        return row | {"certified": False}
    labels = proven[0].logits["label"]
    reference, lowered = (
        np.stack([each.logits[name] for each in proven]) for name in ("fp32", precision)
    )
    row["accuracy"] = float((lowered.argmax(axis=2) == labels).mean())
    row |= _describe_files([each.record["networks"][precision] for each in proven])
    certified = len(proven) == len(finished)
    if precision != "fp32":
        loss = measure_loss(labels, reference, lowered, confidence)
        row |= loss.columns()
        certified = certified and loss.is_certified(margin)
    return row | {"certified": certified, "n_seeds": len(finished)}


def _describe_files(networks: Sequence[dict[str, Any]]) -> Row:
    row: Row = {"file_mib": float(np.mean([each["bytes"] for each in networks])) / MIB}
    quantised = [each["quantisation"] for each in networks if "quantisation" in each]
    if quantised:
        row["granularity"] = " ".join(each["granularity"] for each in quantised)
        row["calibration_images"] = quantised[0]["calibration_images"]
    return row
