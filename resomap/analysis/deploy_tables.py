"""Rows of deploy.csv: exported networks against PyTorch, by cell, runtime and precision."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from resomap.analysis.precision_loss import measure_loss
from resomap.analysis.profiles import Row
from resomap.config.deploy import ONNX_RUNTIME, RuntimeName
from resomap.workflow.checked_files import read_arrays, read_json
from resomap.workflow.predictions import runtime_logits_name

MIB = 2**20
UNFINISHED = ("diverged", "infeasible")


class Way(NamedTuple):
    """How exported networks run."""

    runtime: RuntimeName
    precision: str


class RunExport(NamedTuple):
    """The record of one exported run, and its logits."""

    record: dict[str, Any]
    logits: dict[str, np.ndarray]


def read_export(path: Path) -> RunExport:
    """Read the record `path` of an exported run, and the logits beside it."""
    return RunExport(read_json(path), read_arrays(path.with_name("logits.npz")))


def deploy_rows(records: Sequence[Path], margin: float, confidence: float) -> Iterator[Row]:
    """Yield a row per cell, test resolution, runtime and precision, over its seeds.

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
        job = exports[0].record["job"]
        for runtime, precision in product(job["runtimes"], job["precisions"]):
            way = Way(runtime, precision)
            yield {**cell, **way._asdict(), **_row(exports, way, margin, confidence)}


def _row(exports: Sequence[RunExport], way: Way, margin: float, confidence: float) -> Row:
    finished = [each for each in exports if each.record["status"] not in UNFINISHED]
    proven = [each for each in finished if _is_deployable(each, way)]
    parities = [parity for each in finished if (parity := _parity(each, way.runtime))]
    row: Row = {"deployable": len(proven), "n_seeds": len(finished)}
    failures = filter(None, (_failure(each, way) for each in finished))
    row["failure"] = "; ".join(dict.fromkeys(failures))
    if parities:
        differences = [each["largest_difference"] for each in parities]
        row["flips"] = sum(each["flips"] for each in parities)
        # None stands for NaN, which is no small difference.
        row["largest_difference"] = None if None in differences else max(differences)
        row["n"] = parities[0]["images"]
    if not proven:
        return row | {"certified": False}
    labels = proven[0].logits["label"]
    reference, lowered = (
        np.stack([each.logits[runtime_logits_name(way.runtime, name)] for each in proven])
        for name in ("fp32", way.precision)
    )
    row["accuracy"] = float((lowered.argmax(axis=2) == labels).mean())
    row |= _describe_files([each.record["networks"][way.precision] for each in proven])
    certified = len(proven) == len(finished)
    if way.precision != "fp32":
        loss = measure_loss(labels, reference, lowered, confidence)
        row |= loss.columns()
        certified = certified and loss.is_certified(margin)
    return row | {"certified": certified, "n_seeds": len(finished)}


def _is_deployable(export: RunExport, way: Way) -> bool:
    # Without a proof, or where it cannot be quantised, a network has no logits of that name.
    return not _failure(export, way) and runtime_logits_name(*way) in export.logits


def _parity(export: RunExport, runtime: RuntimeName) -> dict[str, Any] | None:
    """Return the comparison of the run's fp32 with PyTorch; None where it was not possible."""
    record = export.record
    found = record if runtime == ONNX_RUNTIME else record["runtimes"].get(runtime, {})
    parity: dict[str, Any] | None = found.get("parity")
    return parity


def _failure(export: RunExport, way: Way) -> str:
    """Return the first line of why a network of the run is not deployable; blank where it is."""
    record = export.record
    failures = [record["reason"], record["networks"].get(way.precision, {}).get("failure")]
    if way.runtime != ONNX_RUNTIME:
        in_runtime = record["runtimes"].get(way.runtime, {}).get("failures", {})
        failures += [in_runtime.get("fp32"), in_runtime.get(way.precision)]
    text = next((each for each in failures if each), "")
    return text.partition("\n")[0]


def _describe_files(networks: Sequence[dict[str, Any]]) -> Row:
    row: Row = {"file_mib": float(np.mean([each["bytes"] for each in networks])) / MIB}
    quantised = [each["quantisation"] for each in networks if "quantisation" in each]
    if quantised:
        row["granularity"] = " ".join(each["granularity"] for each in quantised)
        row["calibration_images"] = quantised[0]["calibration_images"]
    return row
