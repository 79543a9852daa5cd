import json

import numpy as np
import pytest
from torch import nn
from typer.testing import CliRunner

from resomap.analysis.predictions import Cell
from resomap.cli import app
from resomap.commands.parity import TOO_MANY_FLIPS
from resomap.errors import ConfigError
from resomap.shipping.runs import as_predictor, find_cell, open_run
from resomap.workflow.lifecycle import read_run_config
from tests.small_sweep import MODEL, NATIVE, SEEDS, SIDE, write_sweep


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    write_sweep(folder)
    return folder


def run_parity(directory, *arguments):
    return CliRunner().invoke(app, ["parity", "--directory", str(directory), *arguments])


def test_networks_answer_as_the_sweep_recorded(directory):
    config = read_run_config(directory)
    cell = Cell("custom", MODEL, SIDE)
    source = open_run(directory / "results", config, cell, SIDE)
    assert source.preprocessing.sides == (NATIVE, SIDE)
    batch = source.preprocessing.normalise(source.preprocessing.resize(np.array(source.images)))
    for seed, network in zip(SEEDS, source.networks, strict=True):
        folder = directory / "results/runs/custom" / MODEL / f"r{SIDE}/seed{seed}"
        with np.load(folder / "predictions.npz") as stored:
            expected = stored[f"logits_r{SIDE}"]
            assert np.array_equal(source.labels, stored["label"])
        np.testing.assert_allclose(network(batch), expected, atol=1e-3)
        assert np.array_equal(network(batch).argmax(axis=1), expected.argmax(axis=1))


def test_table_names_what_changes_answers(directory):
    result = run_parity(directory, f"{MODEL}@{SIDE}", "--resolution", str(SIDE))
    assert result.exit_code == 0, result.output
    rows = {line.split("  ")[0]: line for line in result.output.splitlines()}
    assert "0 %" in rows["as trained"]
    assert "no antialias" in rows["torch bilinear"]
    assert "2 seeds" in result.output
    assert "loses" in result.output


def test_json_holds_a_row_of_each_preprocessing_and_size(directory):
    result = run_parity(
        *(directory, f"{MODEL}@{SIDE}", "--json", "--images", "20"),
        *("--resolution", "16", "--resolution", str(SIDE)),
    )
    assert result.exit_code == 0, result.output
    rows = json.loads(result.output)
    assert {row["resolution"] for row in rows} == {16, SIDE}
    assert len(rows) == 2 * 30
    own = [row for row in rows if row["name"] == "as trained"]
    assert [(row["flips"], row["lost"], row["images"]) for row in own] == [(0, 0, 20)] * 2
    by_name = {row["name"]: row for row in rows if row["resolution"] == SIDE}
    assert by_name["normalisation none (0 to 255)"]["flips"] > 0.2
    assert by_name["torch bilinear"]["flips"] >= by_name["torch bilinear antialias"]["flips"]


def test_sample_holds_images_of_all_classes(directory):
    source = open_run(
        directory / "results", read_run_config(directory), Cell("custom", MODEL, SIDE), SIDE
    )
    sample = source.sample(20)
    assert len(sample.images) == len(sample.labels) == 20
    assert set(sample.labels) == {0, 1, 2}
    rows = [
        (np.array(source.images) == image).all(axis=(1, 2, 3))
        for image in np.array(sample.images)
    ]
    positions = [int(row.nonzero()[0][0]) for row in rows]
    assert np.array_equal(source.labels[positions], sample.labels)
    assert len(source.sample(10**6).images) == len(source.images)


def test_exit_code_tells_that_too_many_answers_change(directory):
    arguments = (directory, f"{MODEL}@{SIDE}", "--images", "30")
    name = "normalisation none (0 to 255)"
    result = run_parity(*arguments, "--max-flips", "0.05", "--path", name)
    assert result.exit_code == TOO_MANY_FLIPS
    assert f"{SIDE} px: {name} changes" in result.stderr
    assert run_parity(*arguments, "--max-flips", "1", "--path", name).exit_code == 0
    assert run_parity(*arguments, "--max-flips", "1").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tiny_cnn@25"], ["tiny_cnn@25", "did you mean tiny_cnn@24?"]),
        ([], ["choice.json", "name a cell", "tiny_cnn@24"]),
        (["tiny_cnn@24", "--path", "OpenCV liner"], ["--path", "OpenCV linear"]),
    ],
)
def test_wrong_names_are_refused_in_one_line(directory, arguments, words):
    result = run_parity(directory, *arguments)
    assert result.exit_code == 1
    assert all(word in result.stderr for word in words), result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_named_preprocessing_that_cannot_run_here_is_no_success(directory, monkeypatch):
    monkeypatch.setattr(
        "resomap.deploy.preprocessing_parity.missing_libraries",
        lambda needs: [name for name in needs if name == "cv2"],
    )
    arguments = (directory, f"{MODEL}@{SIDE}", "--images", "10", "--path", "OpenCV area")
    result = run_parity(*arguments)
    assert result.exit_code == 1
    assert "--path: OpenCV area was not measured: cv2 not installed" in result.stderr


def test_size_that_a_network_cannot_take_is_refused():
    network = nn.Sequential(nn.Conv2d(3, 2, 11), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    predict = as_predictor(network.eval(), "wide", 16)
    assert predict(np.zeros((200, 3, 16, 16), np.float32)).shape == (200, 2)
    with pytest.raises(ConfigError, match="--resolution 8: wide cannot take such images"):
        as_predictor(network.eval(), "wide", 8)


def test_directory_without_sweep_or_store_is_refused(tmp_path, directory):
    result = run_parity(tmp_path, "tiny_cnn@24")
    assert result.exit_code == 1
    assert "run_config.yaml" in result.stderr
    native = directory / "results/data/native.npy"
    native.rename(native.with_suffix(".aside"))
    try:
        result = run_parity(directory, "tiny_cnn@24")
    finally:
        native.with_suffix(".aside").rename(native)
    assert result.exit_code == 1
    assert "native.npy is missing" in result.stderr


def test_cell_is_the_chosen_one_by_default(directory):
    tables = directory / "results" / "tables"
    tables.mkdir()
    try:
        choice = {"family": "custom", "model": MODEL, "resolution": SIDE}
        choice |= {"eval_resolution": SIDE, "mode": "raw"}
        (tables / "choice.json").write_text(json.dumps({"choice": choice}))
        config = read_run_config(directory)
        assert find_cell(None, directory / "results", config) == Cell("custom", MODEL, SIDE)
    finally:
        (tables / "choice.json").unlink()
        tables.rmdir()
