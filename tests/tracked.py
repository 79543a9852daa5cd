"""Made-up finished runs, as training and evaluation leave them, and their copies in MLflow."""

from pathlib import Path
from typing import Any

from resomap.metrics import SCORE_NAMES
from resomap.system.files import write_json, write_rows

HISTORY_COLUMNS = ("epoch", "train_loss", "val_loss", "learning_rate")
EVALUATION_COLUMNS = ("eval_resolution", "mode", "n", *SCORE_NAMES)


def write_run(
    runs: Path,
    resolution: int = 24,
    seed: int = 0,
    *,
    status: str = "ok",
    epochs: int = 3,
    accuracy: float = 0.5,
    training: dict[str, Any] | None = None,
) -> Path:
    """Write one run of tiny_cnn under the folder `runs` and return its own folder."""
    folder, ok = runs / "custom" / "tiny_cnn" / f"r{resolution}" / f"seed{seed}", status == "ok"
    default_training = {"optimizer": {"learning_rate": 0.005}, "start": "random"}
    job = {
        "code": "c0de",
        "data_code": "da7a",
        "architecture": {"name": "tiny_cnn", "channels": [8, 16], "width_mult": None},
        "training": training or default_training,
        "resolution": resolution,
        "seed": seed,
    }
    metrics = {
        "job": job,
        "status": status,
        "steps": 7 if status == "diverged" else None,
        "scores": {"epoch": 2, "val_loss": 1.5} if ok else {},
        "learning_rate": 0.005,
        "micro_batch": None,
        "environment": {"device": "cpu", "torch": "2.11.0", "processes": 1},
    }
    write_json(folder / "metrics.json", metrics)
    history = [
        {"epoch": epoch, "train_loss": 2 / (epoch + 1), "val_loss": 1.5, "learning_rate": 0.005}
        for epoch in range(epochs if ok else 0)
    ]
    write_rows(folder / "history.csv", history, HISTORY_COLUMNS)
    epoch_times = [{"epoch": 0, "epoch_seconds": 4.0}]
    timing = {"train_seconds": 8.0, "peak_memory_mib": None, "epochs": epoch_times}
    write_json(folder / "timing.json", timing)
    scores = dict.fromkeys(SCORE_NAMES, accuracy) if ok else {}
    evaluation = [
        {"eval_resolution": side, "mode": "raw", **scores}
        for side in (resolution, 2 * resolution)
    ]
    write_rows(folder / "evaluation.csv", evaluation, EVALUATION_COLUMNS)
    return folder


def list_copies(uri: str, experiment: str) -> list[Any]:
    """Return MLflow's runs of an experiment; an empty list if there is no such experiment."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id])) if found else []
