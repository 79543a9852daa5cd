"""Every entry point on a few images, one after the other."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from resomap.config.data import PrepareOptions
from resomap.config.load import build_config, merge
from resomap.config.schema import Runtime
from resomap.entry import (
    evaluate,
    explain,
    measure_steps,
    prepare_data,
    profile,
    resize_data,
    summarise,
    train,
)
from resomap.errors import DeviceError
from resomap.models.registry import build_model
from resomap.system.files import read_arrays, read_json, write_json
from resomap.training import build
from resomap.training import run as training_run
from resomap.training.build import build_trainer
from resomap.training.checkpoint import load_weights, save_weights
from resomap.workflow import jobs
from resomap.workflow.job_params import build_job
from tests.tiny_training import LimitedMemory

SMALL_SWEEP = {
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
WILDCARDS = {"family": "custom", "model": "tiny_cnn", "resolution": "24", "seed": "0"}
RUNTIME = Runtime(
    gpus=1,
    num_workers=0,
    pin_memory=False,
    cudnn_benchmark=False,
    deterministic=False,
    execution="eager",
    save_every_seconds=30.0,
    save_every_steps=None,
    tensorboard=False,
)
EXPLANATION_TABLES = ("localisation", "faithfulness", "sanity", "interventions")
OVERFLOW = {"training": {"optimizer": {"learning_rate": 1e38}}}
RETRY = {"training": {"on_divergence": "retry"}}

JobBuilder = Callable[..., Any]


@pytest.fixture(scope="module")
def build_small_job(defaults) -> JobBuilder:
    """The function that builds a job of the small sweep, optionally with a changed configuration."""

    def build_with(
        kind: type[jobs.Job], change: dict[str, Any] | None = None, **wildcards: str
    ) -> jobs.Job:
        config = build_config(merge(merge(defaults, SMALL_SWEEP), change or {}))
        return build_job(config, kind, **{**WILDCARDS, **wildcards})

    return build_with


@pytest.fixture(scope="module")
def data(tmp_path_factory, build_small_job) -> Path:
    manifest = tmp_path_factory.mktemp("data") / "manifest.json"
    options = PrepareOptions(download=False, resolutions=(16, 24))
    prepare_data.main(build_small_job(jobs.PrepareData), manifest, options, threads=1)
    for resolution in ("16", "24"):
        job = build_small_job(jobs.ResizeData, resolution=resolution)
        resize_data.main(job, manifest, threads=1)
    return manifest


@pytest.fixture
def train_into(data, build_small_job) -> Callable[..., dict[str, Any]]:
    """The function that trains into a folder and returns its metrics."""

    def train_job(folder: Path, change: dict[str, Any] | None = None, data: Path = data) -> Any:
        return run_training(folder, data, build_small_job(jobs.Train, change))

    return train_job


def run_training(folder: Path, data: Path, job: jobs.Train) -> dict[str, Any]:
    names = ("best.safetensors", "metrics.json", "history.csv", "timing.json")
    state = folder.with_name(f"{folder.name}.state")
    train.main(job, data, *(folder / name for name in names), state, RUNTIME, threads=1)
    return read_json(folder / "metrics.json")


def run_all(
    folder: Path, data: Path, build_small_job: JobBuilder, change: dict[str, Any] | None = None
) -> Path:
    """Train, evaluate and explain one run into `folder`."""
    run_training(folder, data, build_small_job(jobs.Train, change))
    weights = folder / "best.safetensors"
    names = ("evaluation.csv", "predictions.npz", "val_predictions.npz")
    job = build_small_job(jobs.Evaluate, change)
    evaluate.main(job, data, weights, *(folder / name for name in names), threads=1)
    job = build_small_job(jobs.Explain, change)
    tables = (folder / f"{name}.csv" for name in EXPLANATION_TABLES)
    maps = tuple(folder / f"{method}.npz" for method in job.explainability.methods)
    explain.main(job, data, weights, *tables, maps, threads=1)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data, build_small_job) -> Path:
    return run_all(tmp_path_factory.mktemp("finished"), data, build_small_job)


@pytest.fixture(scope="module")
def diverged(tmp_path_factory, data, build_small_job) -> Path:
    return run_all(tmp_path_factory.mktemp("diverged"), data, build_small_job, OVERFLOW)


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_train_writes_job_scores_and_environment(finished, build_small_job):
    metrics = read_json(finished / "metrics.json")
    assert metrics["job"] == build_small_job(jobs.Train).model_dump(mode="json")
    assert metrics["status"] == "ok"
    scores = {"val_loss", "val_accuracy", "val_precision", "val_recall", "val_f1"}
    assert set(metrics["scores"]) == {"epoch", *scores}
    assert metrics["environment"]["device"] == "cpu"
    assert metrics["environment"]["precision"] == "fp32"
    assert metrics["environment"]["execution"] == "eager"
    facts = [metrics[name] for name in ("has_batch_norm", "start_sha256", "micro_batch")]
    assert facts == [True, [], None]
    steps, images = metrics["optimizer_steps"], metrics["images_seen"]
    assert steps == 2 * -(-images // 2 // metrics["job"]["training"]["batch_size"])
    timing = read_json(finished / "timing.json")
    memory = {"peak_memory_mib", "process_memory_mib"}
    assert set(timing) == {"train_seconds", "train_images_per_second", "epochs", *memory}
    assert timing["process_memory_mib"] is None  # a CPU has no NVML
    assert [row["epoch"] for row in read_rows(finished / "history.csv")] == ["0", "1"]


def test_evaluate_writes_every_resolution_and_mode(finished):
    rows = [
        (row["eval_resolution"], row["mode"], row["n"])
        for row in read_rows(finished / "evaluation.csv")
    ]
    assert rows == [(px, mode, "24") for mode in ("raw", "bn") for px in ("16", "24")]
    for name, count in (("predictions", 24), ("val_predictions", 16)):
        arrays = read_arrays(finished / f"{name}.npz")
        logits = {f"logits_{mode}r{px}" for mode in ("", "bn_") for px in (16, 24)}
        assert set(arrays) == {"label", "index", *logits}
        assert {len(array) for array in arrays.values()} == {count}


def test_explain_writes_every_method(finished):
    for method in ("gradcam", "integrated_gradients", "saliency"):
        assert len(read_arrays(finished / f"{method}.npz")["attribution"]) == 8
    assert len(read_rows(finished / "localisation.csv")) == (3 + 3) * 8
    # Grad-CAM's map has 12 cells per side, so the bandwidth 24 is skipped for it.
    assert len(read_rows(finished / "faithfulness.csv")) == 4 * ((3 + 2) + 4)
    assert len(read_rows(finished / "sanity.csv")) == 5 * (3 + 1)
    assert len(read_rows(finished / "interventions.csv")) == 8


def test_saved_weights_are_the_scored_ones(finished):
    arrays = read_arrays(finished / "val_predictions.npz")
    logits, labels = torch.from_numpy(arrays["logits_r24"]), torch.from_numpy(arrays["label"])
    loss = torch.nn.functional.cross_entropy(logits, labels).item()
    scores = read_json(finished / "metrics.json")["scores"]
    assert scores["val_loss"] == pytest.approx(loss, rel=1e-5)


def test_same_job_writes_same_bytes(finished, tmp_path, data, build_small_job):
    again = run_all(tmp_path, data, build_small_job)
    for path in finished.iterdir():
        if path.name not in ("metrics.json", "timing.json"):
            assert path.read_bytes() == (again / path.name).read_bytes(), path.name
    scores = [read_json(folder / "metrics.json")["scores"] for folder in (again, finished)]
    assert scores[0] == scores[1]


def test_diverged_run_writes_every_file_without_numbers(diverged, finished):
    written = [
        sorted(path.name for path in folder.iterdir()) for folder in (diverged, finished)
    ]
    assert written[0] == written[1]
    assert read_json(diverged / "metrics.json")["status"] == "diverged"
    weights, metadata = load_weights(diverged / "best.safetensors")
    assert (weights, metadata["status"]) == ({}, "diverged")
    for name in ("predictions", "val_predictions", "gradcam"):
        arrays = read_arrays(diverged / f"{name}.npz").values()
        assert [len(array) for array in arrays if array.ndim and len(array)] == []
    evaluation = read_rows(diverged / "evaluation.csv")
    assert [(row["n"], row["accuracy"]) for row in evaluation] == [("0", "")] * 4
    for name in EXPLANATION_TABLES:
        assert read_rows(diverged / f"{name}.csv") == []


def test_profile_writes_every_cell_and_stage(tmp_path, data, build_small_job):
    job = build_small_job(jobs.Profile)
    profile.main(job, data, tmp_path / "tiny_cnn.json")
    record = read_json(tmp_path / "tiny_cnn.json")
    assert record["job"] == job.model_dump(mode="json")
    cells = [
        (cell["resolution"], cell["batch_size"], cell["variant"], cell["device"])
        for cell in record["cells"]
    ]
    variants = ((1, "eager"), (2, "eager"), (2, "training_step"))
    assert cells == [(side, *variant, "cpu") for side in (16, 24) for variant in variants]
    assert [stage["resolution"] for stage in record["stages"]] == [16, 24]
    for stage in record["stages"]:
        assert stage["decoded_from"] == "JPEG of 32 x 32 px, quality 90"
        assert all(stage[f"{name}_ms"] > 0 for name in ("decode", "resize", "copy", "forward"))


def limit_memory(max_images: int) -> Callable[..., Any]:
    """Return a `build_model` whose networks run out of memory above `max_images` at once."""
    return lambda *arguments, **named: LimitedMemory(
        build_model(*arguments, **named), max_images
    )


def test_train_short_of_memory_reports_micro_batch(monkeypatch, tmp_path, train_into):
    monkeypatch.setattr(build, "build_model", limit_memory(10))
    metrics = train_into(tmp_path / "run")
    assert (metrics["status"], metrics["micro_batch"]) == ("ok", 8)


def test_infeasible_run_reports_device_memory(monkeypatch, tmp_path, train_into):
    monkeypatch.setattr(build, "build_model", limit_memory(1))
    metrics = train_into(tmp_path / "run")
    assert (metrics["status"], metrics["scores"]) == ("infeasible", {})
    assert "2 images" in metrics["reason"]
    assert metrics["device_memory_mib"] > 100
    assert load_weights(tmp_path / "run" / "best.safetensors")[1]["status"] == "infeasible"


def test_diverged_run_is_retried_at_half_learning_rate(
    monkeypatch, tmp_path, train_into, build_small_job
):
    full_rate = build_small_job(jobs.Train).training.optimizer.learning_rate

    def build_with_nan(recipe: Any, *others: Any) -> Any:
        trainer = build_trainer(recipe, *others)
        if recipe.optimizer.learning_rate == full_rate:
            torch.nn.init.constant_(trainer.model.head.bias, torch.nan)
        return trainer

    monkeypatch.setattr(training_run, "build_trainer", build_with_nan)
    stopped = train_into(tmp_path / "stopped")
    assert (stopped["status"], stopped["steps"]) == ("diverged", 1)
    assert (stopped["learning_rate"], stopped["retried_because"]) == (full_rate, None)
    retried = train_into(tmp_path / "retried", RETRY)
    assert (retried["status"], retried["learning_rate"]) == ("ok", full_rate / 2)
    assert retried["retried_because"] == stopped["reason"]


def test_run_that_diverges_twice_is_diverged(tmp_path, train_into):
    metrics = train_into(tmp_path / "run", merge(RETRY, OVERFLOW))
    assert (metrics["status"], metrics["learning_rate"]) == ("diverged", 5e37)


def test_killed_second_attempt_does_not_repeat_first(monkeypatch, tmp_path, train_into):
    built: list[float] = []
    steps: list[float] = []

    def build_second_time_killed(recipe: Any, *others: Any) -> Any:
        trainer = build_trainer(recipe, *others)
        if len(built) == 1:
            raise KeyboardInterrupt
        rate = recipe.optimizer.learning_rate
        built.append(rate)
        step = trainer._step
        trainer._step = lambda *arguments: (steps.append(rate), step(*arguments))[1]
        return trainer

    monkeypatch.setattr(training_run, "build_trainer", build_second_time_killed)
    with pytest.raises(KeyboardInterrupt):
        train_into(tmp_path / "run", merge(RETRY, OVERFLOW))
    num_first_steps = len(steps)
    assert num_first_steps > 0
    # From here on, no attempt is killed.
    built[:] = [0.0, 0.0]
    train_into(tmp_path / "run", merge(RETRY, OVERFLOW))
    assert set(steps[num_first_steps:]) == {5e37}


def test_finished_results_are_published_without_training(
    monkeypatch, tmp_path, train_into, capfd
):
    folder = tmp_path / "run"
    train_into(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for path in folder.iterdir():
        path.unlink()
    capfd.readouterr()
    monkeypatch.setattr(training_run, "build_trainer", None)
    train_into(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert "epoch 2/2" in capfd.readouterr().err


@pytest.mark.parametrize(
    "change",
    [{"training": {"label_smoothing": 0.1}}, {"data": {"reef": {"seed": 5}}}],
    ids=["recipe", "data"],
)
def test_finished_results_of_other_job_are_not_published(tmp_path, train_into, change):
    folder = tmp_path / "run"
    first = train_into(folder)
    assert train_into(folder, change)["job"] != first["job"]


def test_other_images_under_same_job_are_trained_on(tmp_path, data, train_into):
    copied = tmp_path / "data" / "manifest.json"
    shutil.copytree(data.parent, copied.parent)
    fingerprint = tmp_path / "run.state" / "done" / "fingerprint.txt"
    train_into(tmp_path / "run", data=copied)
    before = fingerprint.read_text()
    write_json(copied, {**read_json(copied), "mean": [0.1, 0.2, 0.3]})
    train_into(tmp_path / "run", data=copied)
    assert fingerprint.read_text() != before


def test_normalisation_of_weights_is_used_by_every_stage(
    tmp_path, data, finished, build_small_job
):
    mean, std = [0.2, 0.4, 0.6], [0.5, 0.4, 0.3]
    start = {
        "file": str(finished / "best.safetensors"),
        "normalisation": {"mean": mean, "std": std},
    }
    training = {"start": start, "save_top_k": 1}
    change = {"training": training, "explainability": {"target": "label"}}
    folder = run_all(tmp_path / "run", data, build_small_job, change)
    metrics, (state, metadata) = (
        read_json(folder / "metrics.json"),
        load_weights(folder / "best.safetensors"),
    )
    recorded = {"mean": mean, "std": std, "source": "training.start.normalisation"}
    assert metrics["normalisation"] == metadata["normalisation"] == recorded
    assert metrics["initial_weights"]["loaded"] == len(state)
    (epoch,) = folder.glob("r24_epoch*.safetensors")
    assert load_weights(epoch)[1]["normalisation"] == recorded
    model = build_model(build_small_job(jobs.Train).architecture, num_classes=8).eval()
    model.load_state_dict(state)
    pixels = torch.from_numpy(np.load(data.parent / "r24" / "test.npy")).float() / 255
    images = ((pixels - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = model(images)
    evaluated = torch.from_numpy(read_arrays(folder / "predictions.npz")["logits_r24"])
    assert torch.allclose(evaluated, logits, atol=1e-4)
    explained = read_arrays(folder / "saliency.npz")
    first = images[explained["index"][:1]].requires_grad_()
    model(first)[0, explained["target"][0]].backward()
    gradient = first.grad.sum(1)[0].numpy()
    assert np.corrcoef(gradient.ravel(), explained["attribution"][0].ravel())[0, 1] > 0.999


def test_no_stage_of_a_run_reads_the_statistics_of_the_store(tmp_path, data, build_small_job):
    other = shutil.copytree(data.parent, tmp_path / "other") / data.name
    write_json(other, {**read_json(other), "mean": [0.9, 0.1, 0.3], "std": [0.1, 0.9, 0.2]})
    normalisation = {"mean": [0.2, 0.4, 0.6], "std": [0.5, 0.4, 0.3]}
    change = {
        "training": {"start": {"normalisation": normalisation}, "epochs": 1},
        "evaluation": {"modes": ["raw", "bn", "finetune"]},
    }
    folders = [tmp_path / "run", tmp_path / "run_of_other"]
    for folder, manifest in zip(folders, (data, other), strict=True):
        run_all(folder, manifest, build_small_job, change)
    names = {path.name for path in folders[0].iterdir()} - {"metrics.json", "timing.json"}
    assert {"best.safetensors", "history.csv", "evaluation.csv", "faithfulness.csv"} < names
    changed = [
        name
        for name in sorted(names)
        if (folders[0] / name).read_bytes() != (folders[1] / name).read_bytes()
    ]
    assert changed == []
    modes = {row["mode"] for row in read_rows(folders[0] / "evaluation.csv")}
    assert modes == {"raw", "bn", "finetune"}


def test_weights_without_recorded_normalisation_use_that_of_images(
    tmp_path, data, finished, build_small_job
):
    state, metadata = load_weights(finished / "best.safetensors")
    own = {name: read_json(data)[name] for name in ("mean", "std")}
    assert metadata["normalisation"] == {**own, "source": "images"}
    older = tmp_path / "older.safetensors"
    save_weights(older, state, {"status": "ok"})
    names = ("evaluation.csv", "predictions.npz", "val_predictions.npz")
    evaluate.main(
        build_small_job(jobs.Evaluate),
        data,
        older,
        *(tmp_path / name for name in names),
        threads=1,
    )
    assert (tmp_path / names[0]).read_bytes() == (finished / names[0]).read_bytes()


def test_profile_without_stored_images_has_no_stages(tmp_path, data, build_small_job):
    (tmp_path / "data").mkdir()
    for name in ("manifest.json", "pictures.csv", "rows_test.npy"):
        (tmp_path / "data" / name).write_bytes((data.parent / name).read_bytes())
    manifest = tmp_path / "data" / "manifest.json"
    profile.main(build_small_job(jobs.Profile), manifest, tmp_path / "tiny_cnn.json")
    assert read_json(tmp_path / "tiny_cnn.json")["stages"] == []


def test_summarise_writes_every_cell(tmp_path, data, build_small_job):
    paths = tuple(tmp_path / f"{number}" / "summary.txt" for number in range(2))
    summarise.main(build_small_job(jobs.Summarise), data, paths)
    records = [read_json(path.with_suffix(".json")) for path in paths]
    cells = [(record["model"], record["resolution"]) for record in records]
    assert cells == [("tiny_cnn", 16), ("tiny_cnn", 24)]
    assert all("Conv2d" in path.read_text(encoding="utf-8") for path in paths)


def test_measured_step_without_deterministic_kernel_names_the_key(monkeypatch, tmp_path):
    def fail(*_: Any) -> None:
        raise RuntimeError("pool_backward does not have a deterministic implementation")

    monkeypatch.setattr(measure_steps, "measure_cells", lambda *_: map(fail, [1]))
    job = SimpleNamespace(
        architecture=None,
        training=None,
        resolutions=(16,),
        native_side=None,
        classes=3,
        device="cpu",
        runtime=RUNTIME,
    )
    with pytest.raises(DeviceError, match=r"system\.training\.deterministic: true"):
        measure_steps.main(job, (tmp_path / "cell.json",), 1)
