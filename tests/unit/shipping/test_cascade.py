import csv
import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from resomap.cli import app
from resomap.deploy.bundle import changed_files
from resomap.deploy.cascades.bundle import prove_cascade
from tests.exported_sweep import (
    LATENCIES,
    SMALL_SIDE,
    write_cascades,
    write_exported_sweep,
    write_profile,
)
from tests.optional_packages import require_packages
from tests.small_sweep import CLASSES, MODEL, SIDE

require_packages("onnx", "onnxruntime", "onnxscript")

STAGES = f"{MODEL}@{SMALL_SIDE} > {MODEL}@{SIDE}"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    write_exported_sweep(folder, sides=(SMALL_SIDE, SIDE))
    write_profile(folder / "results", (SMALL_SIDE, SIDE))
    write_cascades(folder / "results")
    return folder


@pytest.fixture
def directory(sweep, tmp_path):
    """Return a copy of the sweep that a test may change."""
    shutil.copytree(sweep / "results", tmp_path / "copy" / "results")
    return tmp_path / "copy"


def run_ship(directory, *arguments):
    command = ["ship", "--cascade", "--directory", str(directory), *arguments]
    return CliRunner().invoke(app, command)


def ship(directory, folder, *arguments):
    result = run_ship(directory, STAGES, "--output", str(folder), *arguments)
    assert result.exit_code == 0, result.output
    return folder


def stored_answers(directory, side, seed=0):
    path = directory / f"results/runs/custom/{MODEL}/r{side}/seed{seed}/predictions.npz"
    with np.load(path) as arrays:
        logits, labels = arrays[f"logits_r{side}"].astype(float), arrays["label"]
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return logits.argmax(axis=1), (shares / shares.sum(axis=1, keepdims=True)).max(1), labels


def test_card_states_accuracy_share_and_verdict_as_counted_by_hand(directory, tmp_path):
    folder = ship(directory, tmp_path / "out", "--seed", "1")
    settings = json.loads((folder / "cascade.json").read_text())["stages"]
    assert [stage["network"] for stage in settings] == STAGES.split(" > ")
    assert settings[1]["threshold"] is None
    small, confidence, labels = stored_answers(directory, SMALL_SIDE, 1)
    large, *_ = stored_answers(directory, SIDE, 1)
    forwarded = confidence < settings[0]["threshold"]
    correct = np.where(forwarded, large, small) == labels
    card = (folder / "card.md").read_text()
    assert f"Accuracy {correct.mean():.3f} (95 % interval" in card
    assert f"forwards {100 * forwarded.mean():.0f} % of them (95 % interval" in card
    latency = LATENCIES[SMALL_SIDE] + forwarded.mean() * LATENCIES[SIDE]
    assert f"{latency:.3g} ms, the last network alone: 4 ms" in card
    with (directory / "results/tables/cascades.csv").open(newline="") as stream:
        row = next(row for row in csv.DictReader(stream) if row["stages"] == STAGES)
    assert ("**Not shown**" in card) == (row["verdict"] == "open")
    assert "networks of seed 1" in card
    for number, side in (("1", SMALL_SIDE), ("2", SIDE)):
        assert (folder / number / "card.md").read_text().startswith(f"# {MODEL} at {side} px")


def test_golden_images_show_both_networks_and_all_classes(directory, tmp_path):
    folder = ship(directory, tmp_path / "out")
    assert prove_cascade(folder) == []
    assert changed_files(folder) == []
    with np.load(folder / "golden.npz") as golden:
        assert set(golden["numbers"]) == {1, 2}
        assert set(golden["labels"]) == {0, 1, 2}
        assert len(golden["native"]) == 8
    assert (folder / "labels.txt").read_text().split("\n") == sorted(CLASSES)
    assert "import predict\n" in (folder / "cascade.py").read_text()
    assert "resomap" not in (folder / "cascade.py").read_text()


def test_changed_threshold_network_or_file_is_found(directory, tmp_path):
    folder = ship(directory, tmp_path / "out")
    path = folder / "cascade.json"
    content = path.read_text()
    settings = json.loads(content)
    settings["stages"][0]["threshold"] = 0.0
    path.write_text(json.dumps(settings))
    problems = prove_cascade(folder)
    assert problems
    assert all("network 1 answers" in each for each in problems)
    assert changed_files(folder) == ["cascade.json"]
    path.write_text(content)
    shutil.copyfile(folder / "1" / "preprocessing.json", folder / "2" / "preprocessing.json")
    assert "the runtime refuses it" in prove_cascade(folder)[0]
    assert "2/preprocessing.json" in changed_files(folder)


def test_cascade_with_a_wrong_network_is_not_written(directory, tmp_path):
    runs = directory / f"results/deploy/custom/{MODEL}/r{SIDE}"
    shutil.copyfile(runs / f"seed1/at{SIDE}/fp32.onnx", runs / f"seed0/at{SIDE}/fp32.onnx")
    result = run_ship(directory, STAGES, "--output", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "does not answer as the sweep: 2: network: logits differ" in result.stderr
    assert not (tmp_path / "out").exists()


def change(directory, column, value):
    path = directory / "results/tables/cascades.csv"
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        if row["kind"] == "cascade":
            row[column] = value
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_without_a_name_it_is_the_cascade_that_is_shown_to_save(directory, tmp_path):
    change(directory, "verdict", "saves")
    result = run_ship(directory, "--output", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert f"{STAGES}, seed 0" in result.output
    assert "it saves time at an accuracy" in (tmp_path / "out" / "card.md").read_text()


def test_cascades_that_are_not_there_are_refused_in_one_line(directory):
    expected = {
        (): ["no cascade is shown to save time", repr(STAGES)],
        (f"{MODEL}@9>{MODEL}@24",): ["is no cascade of", f"did you mean {STAGES}"],
        (STAGES, "--seed", "5"): ["--seed 5", "0, 1"],
    }
    for arguments, words in expected.items():
        result = run_ship(directory, *arguments)
        assert result.exit_code == 1
        assert all(word in result.stderr for word in words), result.stderr
        assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("thresholds", "0.123", ["is not what the results of the sweep give now"]),
        ("kind", "ensemble", ["the sweep has no cascade"]),
    ],
)
def test_table_of_other_results_is_refused(directory, column, value, words):
    change(directory, column, value)
    result = run_ship(directory, STAGES)
    assert result.exit_code == 1
    assert all(word in result.stderr for word in words), result.stderr
