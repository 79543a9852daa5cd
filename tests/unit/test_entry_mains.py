"""The mains, one after the other, on a handful of pictures: what a rule declares is what its main writes."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from resomap import jobs
from resomap.config import build_config, merge
from resomap.entry import evaluate, explain, prepare_data, profile, resize_data, train
from resomap.files import read_arrays, read_json
from resomap.sections import Runtime
from resomap.training.checkpoint import load_weights
from resomap.workflow import build_job

SMALL = {
    "sweep": {"models": ["tiny_cnn"], "resolutions": [16, 24], "seeds": [0]},
    "data": {
        "native_resolution": 32,
        "reef": {"train": 32, "val": 16, "test": 24, "frequencies": [4.0, 6.0, 10.0]},
    },
    "training": {"epochs": 2},
    "explainability": {"pictures": 8, "ig_steps": 4},
    "system": {"device": "cpu", "profiling": {"batch_size": 2, "warmup_seconds": 0.001, "rounds": 5, "round_seconds": 0.001}},
}
RUN = {"family": "custom", "model": "tiny_cnn", "resolution": "24", "seed": "0"}

Asked = Callable[..., Any]


@pytest.fixture(scope="module")
def asked(defaults) -> Asked:
    def job(kind: type[jobs.Job], change: dict[str, Any] | None = None, **wildcards: str) -> jobs.Job:
        return build_job(build_config(merge(merge(defaults, SMALL), change or {})), kind, **{**RUN, **wildcards})

    return job


@pytest.fixture(scope="module")
def data(tmp_path_factory, asked) -> Path:
    manifest = tmp_path_factory.mktemp("data") / "manifest.json"
    prepare_data.main(asked(jobs.PrepareData), manifest)
    for resolution in ("16", "24"):
        resize_data.main(asked(jobs.ResizeData, resolution=resolution), manifest)
    return manifest


RUNTIME = Runtime(gpus=1, num_workers=0, pin_memory=False, cudnn_benchmark=False, tensorboard=False)


def whole_run(folder: Path, data: Path, asked: Asked, change: dict[str, Any] | None = None) -> Path:
    """Train, evaluate and explain into `folder`."""
    weights = folder / "best.safetensors"
    train.main(
        asked(jobs.Train, change),
        data,
        weights,
        folder / "metrics.json",
        folder / "history.csv",
        folder / "timing.json",
        RUNTIME,
        threads=1,
    )
    outputs = (folder / "evaluation.csv", folder / "predictions.npz", folder / "val_predictions.npz")
    evaluate.main(asked(jobs.Evaluate, change), data, weights, *outputs, threads=1)
    maps = tuple(folder / f"{method}.npz" for method in asked(jobs.Explain).explainability.methods)
    explain.main(asked(jobs.Explain, change), data, weights, folder / "localisation.csv", maps, threads=1)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data, asked) -> Path:
    return whole_run(tmp_path_factory.mktemp("finished"), data, asked)


@pytest.fixture(scope="module")
def diverged(tmp_path_factory, data, asked) -> Path:
    return whole_run(tmp_path_factory.mktemp("diverged"), data, asked, {"training": {"optimizer": {"lr": 1e38}}})


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_run_says_what_it_was_and_how_well_it_did(finished, asked):
    metrics = read_json(finished / "metrics.json")
    assert metrics["job"] == asked(jobs.Train).model_dump(mode="json")
    assert metrics["status"] == "ok"
    assert set(metrics["scores"]) == {"epoch", "val_loss", "val_accuracy", "val_precision", "val_recall", "val_f1"}
    assert metrics["environment"]["device"] == "cpu"
    assert metrics["environment"]["precision"] == "fp32"
    assert set(read_json(finished / "timing.json")) == {"train_seconds", "train_images_per_second", "peak_memory_mib", "epochs"}
    assert [row["epoch"] for row in rows(finished / "history.csv")] == ["0", "1"]


def test_a_run_is_scored_at_every_resolution(finished):
    assert [(row["eval_resolution"], row["mode"], row["n"]) for row in rows(finished / "evaluation.csv")] == [
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
    assert len(rows(finished / "localisation.csv")) == 3 * 8


def test_the_weights_kept_are_those_that_were_scored(finished):
    logits = torch.from_numpy(read_arrays(finished / "val_predictions.npz")["logits_r24"])
    labels = torch.from_numpy(read_arrays(finished / "val_predictions.npz")["label"])
    loss = torch.nn.functional.cross_entropy(logits, labels).item()
    assert read_json(finished / "metrics.json")["scores"]["val_loss"] == pytest.approx(loss, rel=1e-5)


def test_the_same_job_writes_the_same_bytes(finished, tmp_path, data, asked):
    again = whole_run(tmp_path, data, asked)
    changing = {"metrics.json", "timing.json"}
    differing = {path.name for path in finished.iterdir() if path.read_bytes() != (again / path.name).read_bytes()}
    assert differing <= changing
    assert read_json(again / "metrics.json")["scores"] == read_json(finished / "metrics.json")["scores"]


def test_a_run_that_diverged_writes_every_file_and_no_number(diverged, finished):
    assert {path.name for path in diverged.iterdir()} == {path.name for path in finished.iterdir()}
    assert read_json(diverged / "metrics.json")["status"] == "diverged"
    weights, about = load_weights(diverged / "best.safetensors")
    assert (weights, about["status"]) == ({}, "diverged")
    for name in ("predictions", "val_predictions", "gradcam"):
        assert all(len(array) == 0 for array in read_arrays(diverged / f"{name}.npz").values() if array.ndim)
    assert [(row["n"], row["accuracy"]) for row in rows(diverged / "evaluation.csv")] == [("0", ""), ("0", "")]
    assert rows(diverged / "localisation.csv") == []


def test_a_profile_has_a_record_a_resolution_and_batch_size(tmp_path, data, asked):
    profile.main(asked(jobs.Profile), data, tmp_path / "tiny_cnn.json")
    measured = read_json(tmp_path / "tiny_cnn.json")
    assert sorted((cell["resolution"], cell["batch_size"]) for cell in measured["cells"]) == [(16, 1), (16, 2), (24, 1), (24, 2)]
    assert {cell["device"] for cell in measured["cells"]} == {"cpu"}
    assert measured["job"] == asked(jobs.Profile).model_dump(mode="json")
