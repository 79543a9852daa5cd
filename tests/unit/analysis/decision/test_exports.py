"""Exports of a sweep: when int8 becomes a mode of its predictions, and what it loses."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resomap.analysis.decision.exports import Exports, read_exports
from resomap.analysis.decision.inputs import read_splits, read_sweep
from resomap.analysis.deploy_tables import deploy_rows
from resomap.analysis.predictions import Cell, cell_runs
from resomap.system.files import file_sha256, read_arrays, read_json, write_arrays, write_json
from resomap.workflow.lifecycle import read_run_config
from resomap.workflow.receipts import _sha256
from tests.planted_exports import plant_accuracies, plant_int8, plant_logits
from tests.recorded_sweeps import RecordedDirectory, small_sweep
from tests.synthetic import report_rules

CELL, SEEDS = Cell("custom", "tiny_cnn", 24), (0, 1)
FP32 = {("tiny_cnn", 24): 0.9, ("tiny_cnn", 48): 0.95}
EXPORT = "deploy/custom/tiny_cnn/r24/seed1/at24"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = RecordedDirectory(tmp_path, small_sweep(modes=("raw",))).write() / "results"
    plant_accuracies(folder, FP32, SEEDS)
    plant_int8(folder, {("tiny_cnn", 24): 0.85}, SEEDS, {("tiny_cnn", 24): 0.88})
    return folder


def read(results: Path, margin: float = 0.02) -> Exports:
    config = read_run_config(results.parent)
    manifest, cells, seeds, runs = read_sweep(results, config)
    val, test = read_splits(cells, seeds, runs, manifest)
    by_cell = {cell: cell_runs(cell, seeds, runs) for cell in cells}
    rules = report_rules(margin=margin)
    return read_exports(results, by_cell, val, test, rules)


def test_int8_is_a_mode_with_its_own_accuracy_on_each_split(results: Path) -> None:
    exports = read(results)
    for split, accuracy, fp32 in ((exports.val, 0.88, 0.9), (exports.test, 0.85, 0.9)):
        by_mode = split[CELL].by_mode()
        assert by_mode["int8", 24].mean() == pytest.approx(accuracy, abs=0.001)
        assert by_mode["raw", 24].mean() == pytest.approx(fp32, abs=0.001)
        assert ("int8", 48) not in split[CELL._replace(resolution=48)].by_mode()


def test_record_tells_the_loss_as_the_table_does(results: Path) -> None:
    (record,) = read(results).records
    paths = [
        results / f"deploy/custom/tiny_cnn/r24/seed{seed}/at24/export.json" for seed in SEEDS
    ]
    _, row = deploy_rows(paths, 0.02, 0.95)
    assert record["lost"]["mean"] == row["accuracy_lost"] == pytest.approx(0.05)
    assert record["lost"]["low"] == row["accuracy_lost_low"] > 0.02
    assert record["lost"]["high"] == row["accuracy_lost_high"]
    assert record["keeps_accuracy"] is row["certified"] is False
    assert read(results, margin=0.1).records[0]["keeps_accuracy"] is True


def damage_record(**changes: Any) -> Callable[[Path], None]:
    def change(results: Path) -> None:
        path = results / EXPORT / "export.json"
        write_json(path, read_json(path) | changes)

    return change


def damage_logits(name: str, values: np.ndarray | None) -> Callable[[Path], None]:
    def change(results: Path) -> None:
        path = results / EXPORT / "logits.npz"
        arrays = {**read_arrays(path), name: values}
        write_arrays(path, **{key: each for key, each in arrays.items() if each is not None})

    return change


def delete_export(results: Path) -> None:
    (results / EXPORT / "export.json").unlink()


NO_INT8 = {"fp32": {}, "int8": {"failure": "it cannot be quantised: ValueError: planted"}}


@pytest.mark.parametrize(
    ("change", "problem", "fails"),
    [
        (delete_export, "seed 1 is not exported: run `snakemake deploy` again", False),
        (damage_record(status="not deployable"), "seed 1 does not answer as the trained", True),
        (damage_record(networks=NO_INT8), "it cannot be quantised: ValueError: planted", False),
        (damage_logits("int8", None), "seed 1 has no network in int8: it was exported", False),
        (damage_logits("val_int8", None), "without validation images", False),
        (damage_logits("val_int8", np.zeros((7, 8))), "with other images", False),
        (damage_logits("label", np.zeros(4000, int)), "with other images", False),
    ],
    ids=["missing", "wrong", "failed", "no int8", "no val", "other val", "other labels"],
)
def test_unusable_export_is_named_and_adds_no_mode(
    results: Path, change: Callable[[Path], None], problem: str, fails: bool
) -> None:
    change(results)
    exports = read(results)
    assert ("int8", 24) not in exports.val[CELL].by_mode()
    assert problem in exports.records[0]["problem"]
    refused = {(CELL, 24, *way) for way in product(("onnxruntime", "openvino"), (False, True))}
    assert exports.refused == (refused if fails else set())
    assert exports.losses == {}


def test_wrong_export_is_refused_beside_one_that_is_missing(results: Path) -> None:
    damage_record(status="not deployable")(results)
    (results / EXPORT.replace("seed1", "seed0") / "export.json").unlink()
    exports = read(results)
    assert "seed 1 does not answer as the trained" in exports.records[0]["problem"]
    assert (CELL, 24, "onnxruntime", False) in exports.refused


def write_receipt(
    results: Path, name: str, inputs: dict[str, str], outputs: dict[str, Any]
) -> None:
    body = {"job": ["0" * 64, "0" * 64], "inputs": inputs, "outputs": outputs}
    write_json(results / "receipts" / name, {**body, "sha256": _sha256(body)})


@pytest.mark.parametrize("is_current", [True, False])
def test_export_of_earlier_weights_is_stale(results: Path, is_current: bool) -> None:
    run, weights = "custom/tiny_cnn/r24/seed1", "1" * 64
    checkpoint = f"checkpoints/{run}/best.safetensors"
    outputs = {}
    for name in ("export.json", "logits.npz"):
        path = results / EXPORT / name
        outputs[f"{EXPORT}/{name}"] = [path.stat().st_size, file_sha256(path)]
    now = weights if is_current else "2" * 64
    write_receipt(results, f"export/{run}/at24.json", {checkpoint: weights}, outputs)
    written = {checkpoint: [1, now]}
    config = read_run_config(results.parent)
    manifest, cells, seeds, runs = read_sweep(results, config)
    # The training itself is current: its receipt is not compared with a recipe here.
    val, test = read_splits(cells, seeds, runs, manifest)
    by_cell = {cell: cell_runs(cell, seeds, runs) for cell in cells}
    write_receipt(results, f"train/{run}.json", {}, written)
    exports = read_exports(results, by_cell, val, test, report_rules())
    assert (("int8", 24) in exports.val[CELL].by_mode()) is is_current
    problem = exports.records[0]["problem"]
    assert (problem is None) is is_current
    if not is_current:
        assert "seed 1 was exported from other weights" in problem


def test_sweep_without_int8_has_nothing_to_say(results: Path) -> None:
    for seed in SEEDS:
        path = results / f"deploy/custom/tiny_cnn/r24/seed{seed}/at24/export.json"
        record = read_json(path)
        record["job"]["precisions"] = ["fp32"]
        write_json(path, record)
    assert read(results).records == []


def prove_in_openvino(results: Path, int8: float | None, failures: dict[str, str]) -> None:
    """Add the proof in OpenVINO of both seeds, where int8 has this accuracy on test images."""
    for seed in SEEDS:
        path = results / f"deploy/custom/tiny_cnn/r24/seed{seed}/at24/export.json"
        record = read_json(path)
        record["runtimes"] = {"openvino": {"failures": failures if seed else {}}}
        write_json(path, record)
        arrays = read_arrays(path.with_name("logits.npz"))
        if int8 is not None:
            arrays["openvino_int8"] = plant_logits(4000, int8, seed)
        write_arrays(path.with_name("logits.npz"), **arrays)


@pytest.mark.parametrize(
    ("int8", "failures", "refused", "problem"),
    [
        (0.85, {}, (), None),
        (0.849, {}, (), None),
        (0.80, {}, (True,), "not used in OpenVINO in int8: it may be less accurate there"),
        (None, {"int8": "it cannot\nrun"}, (True,), "not used in OpenVINO in int8: it cannot"),
        (None, {"fp32": "it differs"}, (False, True), "not used in OpenVINO: it differs"),
    ],
    ids=["equal", "within the margin", "less accurate", "int8 fails", "fp32 fails"],
)
def test_openvino_is_refused_where_it_does_not_answer_as_proven(
    results: Path,
    int8: float | None,
    failures: dict[str, str],
    refused: tuple[bool, ...],
    problem: str | None,
) -> None:
    prove_in_openvino(results, int8, failures)
    exports = read(results)
    assert exports.refused == {(CELL, 24, "openvino", is_int8) for is_int8 in refused}
    assert [one["problem"] for one in exports.records] == [None, problem][: 1 + bool(problem)]
    # In ONNX Runtime the network in int8 stays a candidate.
    assert ("int8", 24) in exports.val[CELL].by_mode()


def test_int8_in_openvino_needs_a_proof_there(results: Path) -> None:
    exports = read(results)
    assert exports.refused == {(CELL, 24, "openvino", True)}
    assert [one["problem"] for one in exports.records] == [None]
