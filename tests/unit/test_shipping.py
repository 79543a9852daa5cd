import csv
import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from resomap.cli import app
from resomap.models.registry import build_model
from resomap.training.checkpoint import load_weights
from tests.small_sweep import CLASSES, MODEL, SEEDS, SIDE, write_sweep

CELL = f"{MODEL}@{SIDE}"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    for name in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("sweep")
    config = write_sweep(folder)
    for seed in SEEDS:
        run = f"custom/{MODEL}/r{SIDE}/seed{seed}"
        state, _ = load_weights(folder / "results/checkpoints" / run / "best.safetensors")
        architecture = next(model for model in config.models if model.name == MODEL)
        network = build_model(architecture, len(CLASSES), SIDE)
        network.load_state_dict(state)
        target = folder / "results/deploy" / run / f"at{SIDE}"
        target.mkdir(parents=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network.eval(),
                (torch.zeros(2, 3, SIDE, SIDE),),
                target / "fp32.onnx",
                dynamo=True,
                external_data=False,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
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
    ],
)
def test_wrong_arguments_are_refused_in_one_line(directory, tmp_path, arguments, words):
    result = run_ship(directory, "--output", str(tmp_path / "out"), *arguments)
    assert result.exit_code == 1
    assert all(word in result.stderr for word in words)
    assert len(result.stderr.strip().splitlines()) == 1


def test_card_names_alarms_that_fire(directory, tmp_path):
    tables = directory / "results" / "tables"
    tables.mkdir()
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
    tables.rmdir()
    assert result.exit_code == 0, result.output
    card = (tmp_path / "out" / "card.md").read_text()
    assert "- broad: 31 % of the evidence lies on the object, at an accuracy of 0.90" in card
    assert "- fine: 80" not in card
    assert "other" not in card.split("## Evidence")[1].split("##")[0]
    digests = json.loads((tmp_path / "out" / "bundle.json").read_text())
    assert set(digests) >= {"model.onnx", "predict.py", "measure.py", "card.md"}
