"""Runs that have ended, made up, as training and evaluation leave them, and what MLflow shows of their copies."""

from pathlib import Path
from typing import Any

from resomap.metrics import SCORE_NAMES
from resomap.system.files import write_json, write_rows

HISTORY = ("epoch", "train_loss", "val_loss", "lr")


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
    """Write one run of tiny_cnn under the folder `runs`; returns its own folder."""
    folder, ok = runs / "custom" / "tiny_cnn" / f"r{resolution}" / f"seed{seed}", status == "ok"
    job = {
        "code": "c0de",
        "data_code": "da7a",
        "architecture": {"name": "tiny_cnn", "channels": [8, 16], "width_mult": None},
        "training": training or {"optimizer": {"learning_rate": 0.005}, "start": "random"},
        "resolution": resolution,
        "seed": seed,
    }
    scores = {"epoch": 2, "val_loss": 1.5} if ok else {}
    environment = {"device": "cpu", "torch": "2.11.0", "processes": 1}
    told = {
        "status": status,
        "steps": 7 if status == "diverged" else None,
        "scores": scores,
        "learning_rate": 0.005,
        "micro_batch": None,
    }
    write_json(folder / "metrics.json", {"job": job, **told, "environment": environment})
    history = [
        {"epoch": epoch, "train_loss": 2.0 / (epoch + 1), "val_loss": 1.5, "lr": 0.005}
        for epoch in range(epochs if ok else 0)
    ]
    write_rows(folder / "history.csv", history, HISTORY)
    write_json(
        folder / "timing.json",
        {
            "train_seconds": 8.0,
            "peak_memory_mib": None,
            "epochs": [{"epoch": 0, "epoch_seconds": 4.0}],
        },
    )
    tests = [
        {
            "eval_resolution": px,
            "mode": "raw",
            **(dict.fromkeys(SCORE_NAMES, accuracy) if ok else {}),
        }
        for px in (resolution, 2 * resolution)
    ]
    write_rows(folder / "evaluation.csv", tests, ("eval_resolution", "mode", "n", *SCORE_NAMES))
    return folder


def shown(uri: str, experiment: str) -> list[Any]:
    """The runs that MLflow shows of an experiment; none where there is no such experiment."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id])) if found else []
