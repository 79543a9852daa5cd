"""Planted accuracies of a recorded sweep, and exports of its runs in fp32 and int8."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from resomap.system.files import read_arrays, read_json, write_arrays, write_json
from resomap.workflow.predictions import logits_name, val_logits_name
from tests.device_files import digest

CLASSES = 8
COUNTS = {"val": 2000, "test": 4000}
PlantedCell = tuple[str, int]
"""Model and resolution, of family custom."""


def plant_logits(count: int, accuracy: float, seed: int) -> np.ndarray:
    """Return logits that are right for the first images, but for one image of each seed."""
    labels = np.arange(count) % CLASSES
    right = np.arange(count) < round(accuracy * count)
    right[seed] ^= True
    answers = np.where(right, labels, (labels + 1) % CLASSES)
    return np.eye(CLASSES, dtype=np.float32)[answers]


def plant_accuracies(
    results: Path, accuracies: Mapping[PlantedCell, float], seeds: Iterable[int]
) -> None:
    """Overwrite the predictions of a recorded sweep; networks fail away from their size."""
    manifest = read_json(results / "data/manifest.json")
    for split, count in COUNTS.items():
        manifest["splits"][split]["count"] = count
    write_json(results / "data/manifest.json", manifest)
    sizes = sorted({px for _, px in accuracies})
    for (model, px), accuracy in accuracies.items():
        for seed in seeds:
            folder = results / f"runs/custom/{model}/r{px}/seed{seed}"
            for split, name in (("val", "val_predictions.npz"), ("test", "predictions.npz")):
                count = COUNTS[split]
                logits = {
                    logits_name(size): plant_logits(
                        count, accuracy if size == px else 0.1, seed
                    )
                    for size in sizes
                }
                write_arrays(folder / name, label=np.arange(count) % CLASSES, **logits)


def plant_int8(
    results: Path,
    accuracies: Mapping[PlantedCell, float],
    seeds: Iterable[int],
    val: Mapping[PlantedCell, float] | None = None,
) -> None:
    """Write the export of each run, with these accuracies in int8; `val` are others there."""
    for cell, accuracy in accuracies.items():
        for seed in seeds:
            plant_run_export(results, cell, seed, accuracy, (val or accuracies)[cell])


def plant_run_export(
    results: Path, cell: PlantedCell, seed: int, test: float, val: float, **changes: Any
) -> Path:
    """Write export.json and logits.npz of one run; `changes` are those of the record."""
    model, px = cell
    run = f"custom/{model}/r{px}/seed{seed}"
    stored = read_arrays(results / f"runs/{run}/predictions.npz")
    networks: dict[str, dict[str, Any]] = {
        each: {"bytes": 2**20, "sha256": digest(("custom", model, px), each, seed)}
        for each in ("fp32", "int8")
    }
    networks["int8"]["quantisation"] = {"granularity": "per_tensor", "calibration_images": 256}
    architecture = {"family": "custom", "name": model}
    job = {"architecture": architecture, "resolution": px, "eval_resolution": px, "seed": seed}
    job["runtimes"] = ["onnxruntime"]
    parity = {"images": len(stored["label"]), "flips": 0, "largest_difference": 1e-6}
    record = {
        "status": "deployable",
        "reason": None,
        "runtimes": {},
        "job": {**job, "precisions": ["fp32", "int8"]},
        "parity": parity,
        "networks": networks,
    }
    path = results / f"deploy/{run}/at{px}/export.json"
    write_json(path, record | changes)
    write_arrays(
        path.with_name("logits.npz"),
        label=stored["label"],
        fp32=stored[logits_name(px)],
        int8=plant_logits(COUNTS["test"], test, seed),
        **{val_logits_name("int8"): plant_logits(COUNTS["val"], val, seed)},
    )
    return path
