"""The networks in int8 as one more mode of the predictions of a sweep, from the exports of its runs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from resomap.analysis.accuracies import Split
from resomap.analysis.decision.candidates import RUNTIMES, RefusedWay
from resomap.analysis.deploy_tables import RunExport, read_export
from resomap.analysis.precision_loss import PrecisionLoss, measure_loss
from resomap.analysis.predictions import Cell, Predictions, Run
from resomap.config.deploy import OPENVINO, RuntimeName
from resomap.config.report import Report
from resomap.workflow.predictions import INT8, runtime_logits_name, val_logits_name
from resomap.workflow.sweep_results import has_current_inputs, run_wildcards

DEPLOYABLE = "deployable"
EXPORT_AGAIN = "run `snakemake deploy` again"


@dataclass(frozen=True)
class Exports:
    """The predictions of a sweep with the mode int8, and what its exports are worth.

    `refused` are the runtimes in which a cell does not answer as it should, `losses` those of
    int8, and `records` what to say of each cell.
    """

    val: dict[Cell, Predictions]
    test: dict[Cell, Predictions]
    refused: set[RefusedWay] = field(default_factory=set)
    losses: dict[tuple[Cell, int], PrecisionLoss] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)

    def refuse(self, cell: Cell, px: int, runtime: RuntimeName, *, in_fp32: bool) -> None:
        """Refuse int8, and perhaps fp32, of a cell in a runtime."""
        for is_int8 in (False, True) if in_fp32 else (True,):
            self.refused.add(RefusedWay(cell, px, runtime, is_int8))


class ExportProblem(NamedTuple):
    """Why the exports of a cell cannot be used, and whether one of them answers wrongly."""

    text: str
    is_wrong: bool = False


def read_exports(
    results: Path,
    runs: Mapping[Cell, Sequence[Run]],
    val: Split,
    test: Split,
    rules: Report,
) -> Exports:
    """Read the exports of all finished `runs`, whose predictions are `val` and `test`.

    A cell has the mode int8 where every finished run is exported so, proven, and exported from
    its present weights.
    """
    exports = Exports(dict(val), dict(test))
    for cell, predictions in test.items():
        finished = [run for run in runs[cell] if run.seed in predictions.seeds]
        for px in _exported_sizes(results, finished):
            problems = _add_cell(exports, cell, px, _read_runs(results, finished, px), rules)
            key = {**cell._asdict(), "eval_resolution": px}
            exports.records.extend({**key, "problem": text} for text in problems)
    return exports


def _add_cell(
    exports: Exports,
    cell: Cell,
    px: int,
    found: list[RunExport] | ExportProblem,
    rules: Report,
) -> list[str]:
    """Add what the exports of a cell are good for; returns what is wrong with them."""
    if isinstance(found, ExportProblem):
        for runtime in RUNTIMES if found.is_wrong else ():
            exports.refuse(cell, px, runtime, in_fp32=True)
        return [found.text]
    problem = None
    if any(INT8 in export.record["job"]["precisions"] for export in found):
        problem = _find_int8_problem(found, exports.val[cell], exports.test[cell])
        if problem is None:
            _add_int8(exports, cell, px, found, rules)
    in_openvino = _refuse_openvino(exports, cell, px, found, rules)
    return [text for text in (problem, in_openvino) if text]


def _exported_sizes(results: Path, runs: Sequence[Run]) -> list[int]:
    """Return the test resolutions for which any of the runs is exported."""
    sizes = set()
    for run in runs:
        folder = _record_path(results, run, 0).parents[1]
        sizes |= {int(path.parent.name[2:]) for path in folder.glob("at*/export.json")}
    return sorted(sizes)


def _record_path(results: Path, run: Run, px: int) -> Path:
    return results.joinpath("deploy", *run.folder.parts[-4:], f"at{px}", "export.json")


def _read_runs(results: Path, runs: Sequence[Run], px: int) -> list[RunExport] | ExportProblem:
    """Return the exports of all runs of a cell, each proven and current, or why not."""
    found, problems = list[RunExport](), list[ExportProblem]()
    for run in runs:
        path = _record_path(results, run, px)
        wildcards = {**run_wildcards(run.folder), "eval_resolution": px}
        if not (path.exists() and path.with_name("logits.npz").exists()):
            text = f"seed {run.seed} is not exported: {EXPORT_AGAIN}"
            problems.append(ExportProblem(text))
        elif not has_current_inputs(results, "export", **wildcards):
            text = f"seed {run.seed} was exported from other weights or images: {EXPORT_AGAIN}"
            problems.append(ExportProblem(text))
        else:
            found.append(read_export(path))
            if found[-1].record["status"] != DEPLOYABLE:
                text = (
                    f"the export of seed {run.seed} does not answer as the trained network does"
                )
                problems.append(ExportProblem(text, is_wrong=True))
    # What is wrong weighs more than what is missing: its runtimes are refused.
    problems.sort(key=lambda problem: not problem.is_wrong)
    return problems[0] if problems else found


def _find_int8_problem(
    exports: Sequence[RunExport], val: Predictions, test: Predictions
) -> str | None:
    """Return why the int8 networks of a cell are not used; None where they are."""
    for seed, export in zip(test.seeds, exports, strict=True):
        problem = _why_unusable(export, val, test)
        if problem:
            return f"seed {seed} has no network in int8: {problem}"
    return None


def _why_unusable(export: RunExport, val: Predictions, test: Predictions) -> str | None:
    record = export.record["networks"].get(INT8, {})
    if "failure" in record or INT8 not in export.logits:
        return str(record.get("failure", f"it was exported without: {EXPORT_AGAIN}"))
    if val_logits_name(INT8) not in export.logits:
        return f"an earlier version exported it, without validation images: {EXPORT_AGAIN}"
    counts = len(export.logits[val_logits_name(INT8)]), len(export.logits[INT8])
    is_same = np.array_equal(export.logits["label"], test.labels)
    if counts != (len(val.labels), len(test.labels)) or not is_same:
        return f"it was exported with other images: {EXPORT_AGAIN}"
    return None


def _refuse_openvino(
    exports: Exports, cell: Cell, px: int, found: Sequence[RunExport], rules: Report
) -> str | None:
    """Refuse OpenVINO where it does not answer as PyTorch does; returns what is wrong there.

    The accuracy in int8 is that in ONNX Runtime. OpenVINO rounds otherwise, so there int8 counts
    only where it is shown to lose less than the margin to that.
    """
    proofs = [export.record.get("runtimes", {}).get(OPENVINO) for export in found]
    failures = [proof["failures"] for proof in proofs if proof]
    for name, unused in (("fp32", "OpenVINO"), (INT8, "OpenVINO in int8")):
        reasons = [each[name] for each in failures if each.get(name)]
        if reasons:
            exports.refuse(cell, px, OPENVINO, in_fp32=name == "fp32")
            return f"not used in {unused}: {reasons[0].splitlines()[0]}"
    if (cell, px) not in exports.losses:
        return None
    there = runtime_logits_name(OPENVINO, INT8)
    if not all(there in export.logits for export in found):
        exports.refuse(cell, px, OPENVINO, in_fp32=False)
        return None
    here, lowered = (np.stack([one.logits[name] for one in found]) for name in (INT8, there))
    loss = measure_loss(exports.test[cell].labels, here, lowered, rules.confidence)
    if loss.is_certified(rules.margin):
        return None
    exports.refuse(cell, px, OPENVINO, in_fp32=False)
    return "not used in OpenVINO in int8: it may be less accurate there"


def _add_int8(
    exports: Exports, cell: Cell, px: int, found: Sequence[RunExport], rules: Report
) -> None:
    """Add the int8 networks of a cell to the predictions, and what they lose to fp32."""
    fp32, int8, val_int8 = (
        np.stack([export.logits[name] for export in found])
        for name in ("fp32", INT8, val_logits_name(INT8))
    )
    for split, logits in ((exports.val, val_int8), (exports.test, int8)):
        correct = logits.argmax(axis=2) == split[cell].labels
        split[cell] = split[cell].with_mode(INT8, px, correct)
    loss = measure_loss(exports.test[cell].labels, fp32, int8, rules.confidence)
    exports.losses[cell, px] = loss
    exports.records.append(
        {
            **cell._asdict(),
            "eval_resolution": px,
            "problem": None,
            "n_seeds": loss.seeds,
            "n": loss.images,
            "agreement": loss.agreement,
            "lost": asdict(loss.lost),
            "keeps_accuracy": loss.is_certified(rules.margin),
        }
    )
