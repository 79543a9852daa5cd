import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from resomap.cli import app
from resomap.config.start import Start
from resomap.deploy.measurements import read_measurements
from resomap.shipping.facts import describe_start
from resomap.system.files import file_sha256, write_json
from resomap.workflow.lifecycle import read_run_config
from resomap.workflow.receipts import _sha256
from tests.exported_sweep import write_exported_sweep
from tests.optional_packages import require_packages
from tests.small_sweep import CLASSES, MODEL, SIDE

require_packages("onnx", "onnxruntime", "onnxscript")

CELL = f"{MODEL}@{SIDE}"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    write_exported_sweep(folder)
    return folder


def run_ship(directory, *arguments):
    return CliRunner().invoke(app, ["ship", CELL, "--directory", str(directory), *arguments])


def test_bundle_of_a_run_answers_and_has_a_card(directory, tmp_path):
    result = run_ship(directory, "--output", str(tmp_path / "out"), "--seed", "1")
    assert result.exit_code == 0, result.output
    assert f"{MODEL} at {SIDE} px, seed 1" in result.output
    program = [sys.executable, str(tmp_path / "out" / "predict.py"), "--check"]
    assert subprocess.run(program, check=False, capture_output=True).returncode == 0
    card = (tmp_path / "out" / "card.md").read_text()
    run = directory / f"results/runs/custom/{MODEL}/r{SIDE}/seed1"
    with np.load(run / "predictions.npz") as stored:
        accuracy = (stored[f"logits_r{SIDE}"].argmax(axis=1) == stored["label"]).mean()
    assert f"Accuracy {accuracy:.3f}" in card
    assert "90 test images" in card
    assert "Not examined" in card
    assert (tmp_path / "out" / "labels.txt").read_text() == "\n".join(sorted(CLASSES))


def test_network_of_another_run_is_refused(directory, tmp_path):
    other = directory / f"results/deploy/custom/{MODEL}/r{SIDE}/seed1/at{SIDE}/fp32.onnx"
    options = ["--output", str(tmp_path / "out"), "--model", str(other), "--seed", "0"]
    result = run_ship(directory, *options)
    assert result.exit_code == 1
    assert "is not the network of" in result.stderr
    assert "logits differ" in result.stderr
    assert not (tmp_path / "out").exists()
    (tmp_path / "text.onnx").write_text("no network")
    result = run_ship(directory, "--model", str(tmp_path / "text.onnx"))
    assert result.exit_code == 1
    assert "the runtime refuses it" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "7"], ["--seed 7", "finished are those of 0, 1"]),
        (["--model", "none.onnx"], ["none.onnx is missing"]),
        (["--model", "a.onnx", "--precision", "int8"], ["--model", "leave out --model"]),
        (["--cascade", "--precision", "int8"], ["--cascade", "leave out --model"]),
        (["--cascade"], ["cascades.csv is missing", "snakemake tables"]),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(directory, tmp_path, arguments, words):
    result = run_ship(directory, "--output", str(tmp_path / "out"), *arguments)
    assert result.exit_code == 1
    assert all(word in result.stderr for word in words)
    assert len(result.stderr.strip().splitlines()) == 1


def test_card_names_alarms_that_fire(directory, tmp_path):
    tables = directory / "results" / "tables"
    columns = ("family", "model", "resolution", "group", "accuracy", "share", "state")
    rows = [
        ("custom", MODEL, str(SIDE), "broad", "0.9", "0.31", "fires"),
        ("custom", MODEL, str(SIDE), "fine", "0.9", "0.8", "silent"),
        ("custom", MODEL, "99", "other", "0.9", "0.1", "fires"),
    ]
    with (tables / "alarms.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])
    result = run_ship(directory, "--output", str(tmp_path / "out"))
    (tables / "alarms.csv").unlink()
    assert result.exit_code == 0, result.output
    card = (tmp_path / "out" / "card.md").read_text()
    assert "- broad: 31 % of the evidence lies on the object, at an accuracy of 0.90" in card
    assert "- fine: 80" not in card
    assert "other" not in card.split("## Evidence")[1].split("##")[0]
    digests = json.loads((tmp_path / "out" / "bundle.json").read_text())
    assert {*digests, "bundle.json"} == {each.name for each in (tmp_path / "out").iterdir()}


def test_card_does_not_call_unknown_evidence_good(directory, tmp_path):
    table = directory / "results" / "tables" / "alarms.csv"
    with table.open("w", newline="") as stream:
        columns = ("family", "model", "resolution", "group", "accuracy", "share", "state")
        row = ("custom", MODEL, str(SIDE), "broad", "0.5", "", "unknown")
        csv.writer(stream).writerows([columns, row])
    result = run_ship(directory, "--output", str(tmp_path / "out"))
    table.unlink()
    assert result.exit_code == 0, result.output
    card = (tmp_path / "out" / "card.md").read_text()
    assert "No alarm" not in card
    assert "Not examined" in card


@pytest.mark.parametrize("inner", ["", "out"])
def test_folder_that_is_a_file_is_refused_in_one_line(directory, tmp_path, inner):
    (tmp_path / "taken").write_text("mine")
    output = tmp_path / "taken" / inner
    result = run_ship(directory, "--output", str(output))
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {output}: ")
    assert len(result.stderr.strip().splitlines()) == 1
    assert (tmp_path / "taken").read_text() == "mine"


def exported(directory, seed=0):
    return directory / f"results/deploy/custom/{MODEL}/r{SIDE}/seed{seed}/at{SIDE}"


def row_of_int8(directory):
    with (directory / "results/tables/deploy.csv").open(newline="") as stream:
        return next(row for row in csv.DictReader(stream) if row["precision"] == "int8")


@pytest.fixture
def damaged(directory, tmp_path):
    """Return a copy of the sweep that a test may change."""
    shutil.copytree(directory / "results", tmp_path / "copy" / "results")
    return tmp_path / "copy"


def test_int8_bundle_answers_as_exported_and_states_its_loss(directory, tmp_path):
    folder = tmp_path / "out"
    result = run_ship(directory, "--output", str(folder), "--precision", "int8")
    assert result.exit_code == 0, result.output
    with np.load(exported(directory) / "logits.npz") as arrays:
        recorded, labels = arrays["int8"], arrays["label"]
        trained = arrays["torch"]
    with np.load(folder / "golden.npz") as golden:
        assert (golden["max_error"], len(golden["logits"])) == (0.02, 8)
        rows = [(recorded == own).all(axis=1).nonzero()[0] for own in golden["logits"]]
        # Quantised logits of several images may be equal.
        places = [int(found[0]) for found in rows]
        assert not np.array_equal(golden["logits"], trained[places])
    accuracy = (recorded.argmax(axis=1) == labels).mean()
    card, row = (folder / "card.md").read_text(), row_of_int8(directory)
    assert card.startswith(f"# {MODEL} at {SIDE} px, int8\n")
    assert f"Accuracy {accuracy:.3f}" in card
    low, high = (100 * float(row[f"accuracy_lost_{end}"]) for end in ("low", "high"))
    ends = f"{low:.1f} to {high:.1f}".replace("-", "\N{MINUS SIGN}")
    assert ends in card
    assert "2 seeds and 90 test images" in card
    assert row["certified"] == "False"
    assert "**int8 is not certified" in card
    assert "warning: " in result.stderr
    assert "int8 is not certified" in result.stderr
    assert run_ship(directory, "--output", str(tmp_path / "fp32")).stderr == ""


def test_certified_int8_is_called_so(damaged, tmp_path):
    table = damaged / "results/tables/deploy.csv"
    table.write_text(table.read_text().replace("False", "True"))
    options = ["--output", str(tmp_path / "out"), "--precision", "int8"]
    result = run_ship(damaged, *options)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "**int8 is certified" in (tmp_path / "out" / "card.md").read_text()


def test_loss_of_int8_is_that_in_the_runtime_of_the_bundle(damaged, tmp_path):
    table = damaged / "results/tables/deploy.csv"
    head, *rows = table.read_text().splitlines()
    row = row_of_int8(damaged)
    other = {**row, "runtime": "openvino", "accuracy_lost": "0.5", "accuracy_lost_high": "0.6"}
    table.write_text("\n".join([head, ",".join(other.values()), *rows]) + "\n")
    options = ["--output", str(tmp_path / "out"), "--precision", "int8"]
    assert run_ship(damaged, *options).exit_code == 0
    high = 100 * float(row["accuracy_lost_high"])
    card = (tmp_path / "out" / "card.md").read_text()
    assert f"to {high:.1f})".replace("-", "\N{MINUS SIGN}") in card
    assert "60.0" not in card
    table.write_text("\n".join([head, ",".join(other.values())]) + "\n")
    result = run_ship(damaged, *options)
    assert result.exit_code == 1
    assert "onnxruntime in system.deploy.runtimes" in result.stderr


def write_receipt(results, name, inputs, *paths):
    outputs = {
        str(path.relative_to(results)): [path.stat().st_size, file_sha256(path)]
        for path in paths
    }
    body = {"job": ["0" * 64, "0" * 64], "inputs": inputs, "outputs": outputs}
    write_json(results / "receipts" / name, {**body, "sha256": _sha256(body)})


@pytest.mark.parametrize("command", [("ship", CELL, "--precision", "int8"), ("measure-pack",)])
def test_export_of_earlier_images_or_weights_is_refused(damaged, tmp_path, command):
    results, folder = damaged / "results", exported(damaged)
    manifest = results / "data/manifest.json"
    prepared = [each for each in manifest.parent.iterdir() if each.is_file()]
    write_receipt(results, "data/prepare.json", {}, *prepared)
    receipt = f"export/custom/{MODEL}/r{SIDE}/seed0/at{SIDE}.json"
    options = ["--directory", str(damaged), "--output", str(tmp_path / "out")]
    for digest, code in ((file_sha256(manifest), 0), ("1" * 64, 1)):
        write_receipt(results, receipt, {"data/manifest.json": digest}, *folder.iterdir())
        result = CliRunner().invoke(app, [*command, *options])
        assert result.exit_code == code, result.output
    assert "exported from other weights or images" in result.stderr
    assert "run `snakemake deploy` again" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_logits_of_no_images_are_not_those_of_the_sweep(damaged):
    path = exported(damaged) / "logits.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    for labels in (arrays["label"][:0], arrays["label"][:-1], 1 + arrays["label"]):
        np.savez(path, **{**arrays, "label": labels})
        result = run_ship(damaged, "--precision", "int8")
        assert result.exit_code == 1
        assert "no int8 logits of these test images" in result.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"eval_resolution": 48}, f"{CELL}, given images of 48 px"),
        ({"mode": "finetune"}, f"{CELL}, given images of {SIDE} px (finetune)"),
    ],
)
def test_choice_that_is_no_network_as_trained_is_not_replaced_by_one(damaged, change, words):
    choice = {"family": "custom", "model": MODEL, "resolution": SIDE}
    choice |= {"mode": "raw", "eval_resolution": SIDE, **change}
    (damaged / "results/tables/choice.json").write_text(json.dumps({"choice": choice}))
    for command in ("ship", "parity"):
        result = CliRunner().invoke(app, [command, "--directory", str(damaged)])
        assert result.exit_code == 1
        assert words in result.stderr
        assert f"name a cell, such as {CELL}" in result.stderr


def test_int8_network_of_another_run_is_refused(damaged, tmp_path):
    shutil.copyfile(exported(damaged, 1) / "int8.onnx", exported(damaged) / "int8.onnx")
    result = run_ship(damaged, "--output", str(tmp_path / "out"), "--precision", "int8")
    assert result.exit_code == 1
    assert "int8.onnx is not the network of" in result.stderr
    assert not (tmp_path / "out").exists()


def test_network_that_is_not_deployable_is_refused_with_its_reason(damaged):
    record = exported(damaged) / "export.json"
    content = json.loads(record.read_text())
    (exported(damaged) / "int8.onnx").write_bytes(b"")
    content["networks"]["int8"] = {"failure": "it cannot be quantised: no ranges"}
    record.write_text(json.dumps(content))
    result = run_ship(damaged, "--precision", "int8")
    assert result.exit_code == 1
    assert "not deployable: it cannot be quantised: no ranges" in result.stderr
    (exported(damaged) / "fp32.onnx").write_bytes(b"")
    record.write_text(json.dumps(content | {"reason": "image 3 differs\nin detail"}))
    result = run_ship(damaged)
    assert "fp32.onnx: this network is not deployable: image 3 differs" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("results/tables/deploy.csv", ["deploy.csv", "what int8 costs"]),
        (f"results/deploy/custom/{MODEL}/r{SIDE}/seed0/at{SIDE}/int8.onnx", ["is missing"]),
    ],
)
def test_missing_results_of_int8_are_named(damaged, path, words):
    (damaged / path).unlink()
    result = run_ship(damaged, "--precision", "int8")
    assert result.exit_code == 1
    assert all(word in result.stderr for word in [*words, "snakemake deploy"])
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("start", "recorded", "expected"),
    [
        ("random", None, ("random", None)),
        ("weights.pth", "weights.pth", ("weights.pth", None)),
        ({"pretrained": "IMAGENET1K_V1"}, None, ("torchvision IMAGENET1K_V1", "ImageNet")),
        ("pretrained", "torchvision IMAGENET1K_V1", ("torchvision IMAGENET1K_V1", "BSD-3")),
        ("pretrained", "torchvision GONE_V9", ("torchvision GONE_V9", None)),
    ],
)
def test_licence_is_that_of_the_recorded_weights(directory, start, recorded, expected):
    config = read_run_config(directory)
    training = config.training.model_copy(update={"start": Start.model_validate(start)})
    metrics = {"initial_weights": {"origin": recorded} if recorded else None}
    origin, licence = describe_start(
        config.model_copy(update={"training": training}), "resnet18", metrics
    )
    assert origin == expected[0]
    assert (licence is None) == (expected[1] is None)
    assert (expected[1] or "") in (licence or "")


def test_shipped_bundle_is_measured_as_a_pack_of_one(directory, tmp_path):
    folder = tmp_path / "out"
    options = ("--output", str(folder), "--seed", "1", "--precision", "int8")
    assert run_ship(directory, *options).exit_code == 0
    listed = json.loads((folder / "pack.json").read_text())
    timing = {"rounds": 5, "round_seconds": 0.02, "warmup_seconds": 0.05}
    (folder / "pack.json").write_text(json.dumps({**listed, "timing": timing}))
    program = [
        sys.executable,
        str(folder / "measure.py"),
        "--output",
        str(tmp_path / "pi5.json"),
    ]
    done = subprocess.run(program, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (row,) = read_measurements([tmp_path / "pi5.json"], directory / "results")["pi5"]
    assert (row["model"], row["seed"], row["precision"]) == (MODEL, 1, "int8")
    assert row["latency_ms_p50"] > 0
