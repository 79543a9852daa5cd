"""The mains, one after the other, on a handful of pictures: what a rule declares is what its main writes."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from resomap.config.data import Provision
from resomap.config.load import build_config, merge
from resomap.config.schema import Runtime
from resomap.entry import (
    evaluate,
    explain,
    prepare_data,
    profile,
    resize_data,
    summarise,
    train,
)
from resomap.models.registry import build_model
from resomap.system.files import read_arrays, read_json, write_json
from resomap.training import build
from resomap.training import run as training_run
from resomap.training.build import build_trainer
from resomap.training.checkpoint import load_weights
from resomap.workflow import jobs
from resomap.workflow.job_params import build_job
from tests.tiny_training import LimitedMemory

SMALL = {
    "sweep": {"models": ["tiny_cnn"], "resolutions": [16, 24], "seeds": [0]},
    "data": {
        "native_resolution": 32,
        "reef": {"train": 32, "val": 16, "test": 24, "frequencies": [4.0, 6.0, 10.0]},
    },
    "training": {"epochs": 2},
    "explainability": {
        "images": 8,
        "ig_steps": 4,
        "faithfulness": {"images": 4, "bandwidths": [6, 24]},
        "sanity": {"images": 4},
    },
    "system": {
        "device": "cpu",
        "profiling": {
            "batch_size": 2,
            "warmup_seconds": 0.001,
            "rounds": 5,
            "round_seconds": 0.001,
        },
    },
}
RUN = {"family": "custom", "model": "tiny_cnn", "resolution": "24", "seed": "0"}

Asked = Callable[..., Any]


@pytest.fixture(scope="module")
def asked(defaults) -> Asked:
    def job(
        kind: type[jobs.Job], change: dict[str, Any] | None = None, **wildcards: str
    ) -> jobs.Job:
        return build_job(
            build_config(merge(merge(defaults, SMALL), change or {})),
            kind,
            **{**RUN, **wildcards},
        )

    return job


@pytest.fixture(scope="module")
def data(tmp_path_factory, asked) -> Path:
    manifest = tmp_path_factory.mktemp("data") / "manifest.json"
    prepare_data.main(
        asked(jobs.PrepareData),
        manifest,
        Provision(download=False, resolutions=(16, 24)),
        threads=1,
    )
    for resolution in ("16", "24"):
        resize_data.main(asked(jobs.ResizeData, resolution=resolution), manifest, threads=1)
    return manifest


RUNTIME = Runtime(
    gpus=1,
    num_workers=0,
    pin_memory=False,
    cudnn_benchmark=False,
    save_every_seconds=30.0,
    save_every_steps=None,
    tensorboard=False,
)


def train_into(
    folder: Path, data: Path, asked: Asked, change: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Train into `folder`, with its state beside it; the metrics."""
    files = (
        folder / name
        for name in ("best.safetensors", "metrics.json", "history.csv", "timing.json")
    )
    train.main(
        asked(jobs.Train, change),
        data,
        *files,
        folder.with_name(f"{folder.name}.state"),
        RUNTIME,
        threads=1,
    )
    return read_json(folder / "metrics.json")


def whole_run(
    folder: Path, data: Path, asked: Asked, change: dict[str, Any] | None = None
) -> Path:
    """Train, evaluate and explain into `folder`."""
    weights = folder / "best.safetensors"
    train_into(folder, data, asked, change)
    outputs = (
        folder / "evaluation.csv",
        folder / "predictions.npz",
        folder / "val_predictions.npz",
    )
    evaluate.main(asked(jobs.Evaluate, change), data, weights, *outputs, threads=1)
    maps = tuple(
        folder / f"{method}.npz" for method in asked(jobs.Explain).explainability.methods
    )
    tables = (
        folder / f"{name}.csv"
        for name in ("localisation", "faithfulness", "sanity", "interventions")
    )
    explain.main(asked(jobs.Explain, change), data, weights, *tables, maps, threads=1)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data, asked) -> Path:
    return whole_run(tmp_path_factory.mktemp("finished"), data, asked)


@pytest.fixture(scope="module")
def diverged(tmp_path_factory, data, asked) -> Path:
    return whole_run(
        tmp_path_factory.mktemp("diverged"),
        data,
        asked,
        {"training": {"optimizer": {"learning_rate": 1e38}}},
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_run_says_what_it_was_and_how_well_it_did(finished, asked):
    metrics = read_json(finished / "metrics.json")
    assert metrics["job"] == asked(jobs.Train).model_dump(mode="json")
    assert metrics["status"] == "ok"
    assert set(metrics["scores"]) == {
        "epoch",
        "val_loss",
        "val_accuracy",
        "val_precision",
        "val_recall",
        "val_f1",
    }
    assert metrics["environment"]["device"] == "cpu"
    assert metrics["environment"]["precision"] == "fp32"
    assert set(read_json(finished / "timing.json")) == {
        "train_seconds",
        "train_images_per_second",
        "peak_memory_mib",
        "epochs",
    }
    assert [row["epoch"] for row in rows(finished / "history.csv")] == ["0", "1"]


def test_a_run_is_scored_at_every_resolution(finished):
    assert [
        (row["eval_resolution"], row["mode"], row["n"])
        for row in rows(finished / "evaluation.csv")
    ] == [
        ("16", "raw", "24"),
        ("24", "raw", "24"),
    ]
    for name, count in (("predictions", 24), ("val_predictions", 16)):
        arrays = read_arrays(finished / f"{name}.npz")
        assert set(arrays) == {"label", "index", "logits_r16", "logits_r24"}
        assert {len(array) for array in arrays.values()} == {count}


def test_a_run_is_explained_by_every_method(finished):
    for method in ("gradcam", "integrated_gradients", "saliency"):
        assert len(read_arrays(finished / f"{method}.npz")["attribution"]) == 8
    assert len(rows(finished / "localisation.csv")) == (3 + 3) * 8
    assert len(rows(finished / "faithfulness.csv")) == 4 * (
        (3 + 2) + 4
    )  # Grad-CAM's map has 12 cells a side, the finer bandwidth 24
    assert len(rows(finished / "sanity.csv")) == 5 * (3 + 1)
    assert len(rows(finished / "interventions.csv")) == 8


def test_the_weights_kept_are_those_that_were_scored(finished):
    logits = torch.from_numpy(read_arrays(finished / "val_predictions.npz")["logits_r24"])
    labels = torch.from_numpy(read_arrays(finished / "val_predictions.npz")["label"])
    loss = torch.nn.functional.cross_entropy(logits, labels).item()
    assert read_json(finished / "metrics.json")["scores"]["val_loss"] == pytest.approx(
        loss, rel=1e-5
    )


def test_the_same_job_writes_the_same_bytes(finished, tmp_path, data, asked):
    again = whole_run(tmp_path, data, asked)
    changing = {"metrics.json", "timing.json"}
    differing = {
        path.name
        for path in finished.iterdir()
        if path.read_bytes() != (again / path.name).read_bytes()
    }
    assert differing <= changing
    assert (
        read_json(again / "metrics.json")["scores"]
        == read_json(finished / "metrics.json")["scores"]
    )


def test_a_run_that_diverged_writes_every_file_and_no_number(diverged, finished):
    assert {path.name for path in diverged.iterdir()} == {
        path.name for path in finished.iterdir()
    }
    assert read_json(diverged / "metrics.json")["status"] == "diverged"
    weights, about = load_weights(diverged / "best.safetensors")
    assert (weights, about["status"]) == ({}, "diverged")
    for name in ("predictions", "val_predictions", "gradcam"):
        assert all(
            len(array) == 0
            for array in read_arrays(diverged / f"{name}.npz").values()
            if array.ndim
        )
    assert [(row["n"], row["accuracy"]) for row in rows(diverged / "evaluation.csv")] == [
        ("0", ""),
        ("0", ""),
    ]
    assert all(
        rows(diverged / f"{name}.csv") == []
        for name in ("localisation", "faithfulness", "sanity", "interventions")
    )


def test_a_profile_has_a_record_a_resolution_and_batch_size(tmp_path, data, asked):
    profile.main(asked(jobs.Profile), data, tmp_path / "tiny_cnn.json")
    measured = read_json(tmp_path / "tiny_cnn.json")
    told = [
        (cell["resolution"], cell["batch_size"], cell["variant"]) for cell in measured["cells"]
    ]
    assert told == [
        (side, *rest)
        for side in (16, 24)
        for rest in ((1, "eager"), (2, "eager"), (2, "training_step"))
    ]
    assert [(stage["resolution"], stage["decoded_from"]) for stage in measured["stages"]] == [
        (side, "JPEG of 32 x 32 px, quality 90") for side in (16, 24)
    ]
    assert all(
        stage[f"{name}_ms"] > 0
        for stage in measured["stages"]
        for name in ("decode", "resize", "copy", "forward")
    )
    assert {cell["device"] for cell in measured["cells"]} == {"cpu"}
    assert measured["job"] == asked(jobs.Profile).model_dump(mode="json")


def network_for(most: int) -> Callable[..., Any]:
    """What builds networks that find memory for so many pictures at most."""
    return lambda *arguments, **named: LimitedMemory(build_model(*arguments, **named), most)


def test_a_run_that_was_short_of_memory_says_what_its_batch_became(
    monkeypatch, tmp_path, data, asked
):
    monkeypatch.setattr(build, "build_model", network_for(10))
    metrics = train_into(tmp_path / "run", data, asked)
    assert (metrics["status"], metrics["micro_batch"]) == ("ok", 8)


def test_a_run_that_does_not_fit_is_infeasible_and_carries_the_memory_of_its_device(
    monkeypatch, tmp_path, data, asked
):
    monkeypatch.setattr(build, "build_model", network_for(1))
    metrics = train_into(tmp_path / "run", data, asked)
    assert (metrics["status"], metrics["reason"], metrics["scores"]) == (
        "infeasible",
        "not even 2 images at once fit into memory",
        {},
    )
    assert metrics["device_memory_mib"] > 100
    assert load_weights(tmp_path / "run" / "best.safetensors")[1]["status"] == "infeasible"


RETRY = {"training": {"on_divergence": "retry"}}


def test_a_run_that_diverges_is_trained_once_more_at_half_the_rate_where_the_recipe_says_so(
    monkeypatch, tmp_path, data, asked
):
    whole = asked(jobs.Train).training.optimizer.learning_rate

    def planted(recipe: Any, *others: Any) -> Any:
        trainer = build_trainer(recipe, *others)
        if recipe.optimizer.learning_rate == whole:
            torch.nn.init.constant_(trainer.model.head.bias, torch.nan)
        return trainer

    monkeypatch.setattr(training_run, "build_trainer", planted)
    stopped = train_into(tmp_path / "stopped", data, asked)
    assert (
        stopped["status"],
        stopped["steps"],
        stopped["learning_rate"],
        stopped["retried_because"],
    ) == ("diverged", 1, whole, None)
    retried = train_into(tmp_path / "retried", data, asked, RETRY)
    assert (retried["status"], retried["learning_rate"], retried["retried_because"]) == (
        "ok",
        whole / 2,
        stopped["reason"],
    )


def test_a_run_that_diverges_twice_has_diverged(tmp_path, data, asked):
    metrics = train_into(
        tmp_path / "run",
        data,
        asked,
        {"training": {"on_divergence": "retry", "optimizer": {"learning_rate": 1e38}}},
    )
    assert (metrics["status"], metrics["learning_rate"]) == ("diverged", 5e37)


def test_a_second_attempt_that_is_killed_does_not_go_through_the_first_again(
    monkeypatch, tmp_path, data, asked
):
    built = list[float]()

    def counted(recipe: Any, *others: Any) -> Any:
        trainer = build_trainer(recipe, *others)
        if len(built) == 1:
            raise KeyboardInterrupt
        built.append(recipe.optimizer.learning_rate)
        step = trainer._step
        trainer._step = lambda *arguments: (
            steps.append(recipe.optimizer.learning_rate),
            step(*arguments),
        )
        return trainer

    steps, change = (
        list[float](),
        {"training": {"on_divergence": "retry", "optimizer": {"learning_rate": 1e38}}},
    )
    monkeypatch.setattr(training_run, "build_trainer", counted)
    with pytest.raises(KeyboardInterrupt):
        train_into(tmp_path / "run", data, asked, change)
    first, built[:] = len(steps), [0.0, 0.0]
    assert first > 0
    train_into(tmp_path / "run", data, asked, change)
    assert set(steps[first:]) == {5e37}


def test_what_another_process_finished_is_published_and_not_trained(
    monkeypatch, tmp_path, data, asked, capfd
):
    folder = tmp_path / "run"
    train_into(folder, data, asked)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for path in folder.iterdir():
        path.unlink()
    capfd.readouterr()
    monkeypatch.setattr(training_run, "build_trainer", None)
    train_into(folder, data, asked)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert "epoch 2/2" in capfd.readouterr().err


@pytest.mark.parametrize(
    "change",
    [{"training": {"label_smoothing": 0.1}}, {"data": {"reef": {"seed": 5}}}],
    ids=["recipe", "data"],
)
def test_what_was_finished_for_another_job_is_trained_again(tmp_path, data, asked, change):
    folder = tmp_path / "run"
    first = train_into(folder, data, asked)
    assert train_into(folder, data, asked, change)["job"] != first["job"]


def test_other_pictures_under_the_same_job_are_trained_on(tmp_path, data, asked):
    copied = tmp_path / "data" / "manifest.json"
    shutil.copytree(data.parent, copied.parent)
    train_into(tmp_path / "run", copied, asked)
    told = (tmp_path / "run.state" / "done" / "fingerprint.txt").read_text()
    write_json(copied, {**read_json(copied), "mean": [0.1, 0.2, 0.3]})
    train_into(tmp_path / "run", copied, asked)
    assert (tmp_path / "run.state" / "done" / "fingerprint.txt").read_text() != told


def test_a_profile_without_stored_pictures_tells_no_stages(tmp_path, data, asked):
    (tmp_path / "data").mkdir()
    for name in ("manifest.json", "pictures.csv", "rows_test.npy"):
        (tmp_path / "data" / name).write_bytes((data.parent / name).read_bytes())
    profile.main(
        asked(jobs.Profile), tmp_path / "data" / "manifest.json", tmp_path / "tiny_cnn.json"
    )
    assert read_json(tmp_path / "tiny_cnn.json")["stages"] == []


def test_every_network_is_written_down_at_every_resolution(tmp_path, data, asked):
    paths = tuple(tmp_path / f"{number}" / "summary.txt" for number in range(2))
    summarise.main(asked(jobs.Summarise), data, paths)
    told = [read_json(path.with_suffix(".json")) for path in paths]
    assert [(record["model"], record["resolution"]) for record in told] == [
        ("tiny_cnn", 16),
        ("tiny_cnn", 24),
    ]
    assert all("Conv2d" in path.read_text(encoding="utf-8") for path in paths)
