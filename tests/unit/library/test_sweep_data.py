"""`resomap.open_sweep`: what it returns of a finished and a partial sweep, and its errors."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import resomap
from resomap.errors import ConfigError, DataError
from resomap.library.sweep_data import PREDICTION_COLUMNS, SweepData
from resomap.system.files import read_arrays, read_json
from resomap.workflow.checked_tables import read_table
from resomap.workflow.layout import TABLES, table_columns
from tests.recorded_sweeps import (
    RecordedDirectory,
    small_sweep,
    write_receipt_of_other_recipe,
)
from tests.synthetic import aggregate

SWEEP = small_sweep(
    models=("tiny_cnn",), explained=16, statuses={("tiny_cnn", 24, 1): "diverged"}
)
RUN = "runs/custom/tiny_cnn/r24/seed0"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return RecordedDirectory(tmp_path_factory.mktemp("opened"), SWEEP).write() / "results"


@pytest.fixture(scope="module")
def sweep(results: Path) -> SweepData:
    return resomap.open_sweep(results)


def test_tables_and_choice_equal_those_of_the_rule(sweep: SweepData, tmp_path: Path) -> None:
    aggregate(tmp_path, SWEEP)
    for name in TABLES:
        stored = read_table(tmp_path / "tables" / f"{name}.csv")
        pd.testing.assert_frame_equal(sweep.table(name), stored)
    assert sweep.choice == read_json(tmp_path / "tables" / "choice.json")


def test_named_tables_have_the_documented_columns(sweep: SweepData) -> None:
    for name, table in (
        ("runs", sweep.runs),
        ("cells", sweep.cells),
        ("candidates", sweep.candidates),
        ("images", sweep.images),
    ):
        assert tuple(table.columns) == table_columns(name)
        assert len(table)


def test_predictions_agree_with_logits_and_runs(sweep: SweepData) -> None:
    rows = sweep.predictions()
    assert tuple(rows.columns) == PREDICTION_COLUMNS
    assert len(rows) == 3 * SWEEP.test  # one of four runs diverged
    own = rows[(rows["resolution"] == 24) & (rows["seed"] == 0)]
    logits = sweep.logits("tiny_cnn", 24, 0)
    assert logits.shape == (SWEEP.test, len(sweep.classes))
    assert list(own["predicted"]) == [sweep.classes[k] for k in logits.argmax(axis=1)]
    assert own["probability"].between(1 / len(sweep.classes), 1).all()
    scores = sweep.runs.set_index(["resolution", "seed"])["accuracy"]
    assert own["correct"].mean() == pytest.approx(scores[24, 0])


def test_classes_of_predictions_are_those_of_the_images(sweep: SweepData) -> None:
    for split, count in (("val", SWEEP.val), ("test", SWEEP.test)):
        rows = sweep.predictions(split)
        images = sweep.images[sweep.images["split"] == split].set_index("index")
        assert len(rows) == 3 * count
        labels = images["label"][rows["index"]]
        assert list(rows["class"]) == [sweep.classes[label] for label in labels]


def test_logits_of_another_resolution_and_mode_are_those_stored(
    sweep: SweepData, results: Path
) -> None:
    stored = read_arrays(results / RUN / "val_predictions.npz")
    read = sweep.logits("tiny_cnn", 24, 0, split="val", eval_resolution=48, mode="bn")
    np.testing.assert_array_equal(read, stored["logits_bn_r48"])


def test_attributions_are_the_maps_of_the_run(sweep: SweepData, results: Path) -> None:
    stored = read_arrays(results / RUN / "explanations" / "gradcam.npz")
    read = sweep.attributions("tiny_cnn", 24, 0, "gradcam")
    np.testing.assert_array_equal(read.maps, stored["attribution"])
    assert len(read.maps) == len(read.index) == len(read.target) == SWEEP.explained


def test_pixels_are_the_stored_images(sweep: SweepData) -> None:
    pixels = sweep.pixels(24)
    assert pixels.shape == (SWEEP.test, 24, 24, 3)
    assert pixels.dtype == np.uint8
    assert not pixels.flags.writeable


def test_findings_name_claims_and_their_numbers(sweep: SweepData) -> None:
    claims, numbers = sweep.findings, sweep.finding_numbers
    assert {"Accuracy", "Cost", "Evidence", "Images"} <= set(claims["topic"])
    assert claims["claim"].str.len().min() > 0
    assert set(numbers["topic"]) <= set(claims["topic"])
    best = numbers[(numbers["kind"] == "accuracy of a model") & (numbers["number"] == "best")]
    assert best["value"].item() == pytest.approx(sweep.cells["accuracy"].max())
    assert (best["low"] < best["value"]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda sweep: sweep.table("cell"), "did you mean cells"),
        (lambda sweep: sweep.logits("tiny_cnn", 32, 0), "no run of this sweep: .*24, 48"),
        (lambda sweep: sweep.logits("tiny_cnn", 24, 1), "its status is diverged"),
        (lambda sweep: sweep.logits("tiny_cnn", 24, 0, eval_resolution=96), "no logits_r96"),
        (lambda sweep: sweep.attributions("tiny_cnn", 24, 0, "grad"), "did you mean gradcam"),
        (lambda sweep: sweep.predictions("train"), "val and test"),
        (lambda sweep: sweep.pixels(96), "r96/test.npy: not found"),
    ],
)
def test_what_a_sweep_does_not_have_is_named(sweep: SweepData, call, message) -> None:
    with pytest.raises(DataError, match=message):
        call(sweep)


def test_partial_sweep_has_what_exists(tmp_path: Path) -> None:
    partial = small_sweep(profiled=False, waiting=(("tiny_cnn", 48, 0), ("tiny_cnn", 48, 1)))
    sweep = resomap.open_sweep(RecordedDirectory(tmp_path, partial).write() / "results")
    assert list(sweep.runs["status"]) == ["ok", "ok", "waiting", "waiting"]
    assert set(sweep.predictions()["resolution"]) == {24}
    assert "Accuracy" in set(sweep.findings["topic"])


def test_sweep_without_finished_runs_has_empty_frames(tmp_path: Path) -> None:
    waiting = tuple(("tiny_cnn", px, seed) for px in (24, 48) for seed in (0, 1))
    directory = RecordedDirectory(tmp_path, small_sweep(profiled=False, waiting=waiting))
    sweep = resomap.open_sweep(directory.write() / "results")
    assert tuple(sweep.predictions().columns) == PREDICTION_COLUMNS
    assert len(sweep.predictions()) == 0
    assert len(sweep.runs) == 4
    assert sweep.choice["choice"] is None


def test_results_of_another_configuration_are_left_out(tmp_path: Path) -> None:
    results = RecordedDirectory(tmp_path, small_sweep()).write() / "results"
    write_receipt_of_other_recipe(results, "train/custom/tiny_cnn/r48/seed1.json")
    sweep = resomap.open_sweep(results)
    assert list(sweep.runs["status"]) == ["ok", "ok", "ok", "stale"]
    with pytest.raises(DataError, match="its status is stale"):
        sweep.logits("tiny_cnn", 48, 1)


def test_sweep_before_its_images_is_named(tmp_path: Path) -> None:
    results = RecordedDirectory(tmp_path, small_sweep()).write() / "results"
    (results / "data" / "manifest.json").unlink()
    sweep = resomap.open_sweep(results)
    assert sweep.config.sweep.resolutions == (24, 48)
    with pytest.raises(DataError, match="has not prepared its images yet"):
        _ = sweep.runs


def test_folder_without_a_sweep_is_named(results: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no sweep: it has no run_config\.yaml"):
        resomap.open_sweep(tmp_path)
    with pytest.raises(ConfigError, match=rf"give {results}$"):
        resomap.open_sweep(results.parent)


def test_results_of_another_version_are_refused(tmp_path: Path) -> None:
    (tmp_path / "run_config.yaml").write_text("sweep: {models: [tiny_cnn]}\n")
    with pytest.raises(ConfigError, match="was written by another version: it lacks"):
        resomap.open_sweep(tmp_path)


def test_package_imports_neither_torch_nor_pandas(results: Path) -> None:
    program = (
        "import sys, resomap\n"
        "assert not {'pandas', 'torch', 'pydantic'} & set(sys.modules)\n"
        f"resomap.open_sweep({str(results)!r}).runs\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
