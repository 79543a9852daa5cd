"""Planted exports of a sweep, and measurements of them as `measure.py` writes them on a device."""

import hashlib
import json
from pathlib import Path
from statistics import median
from typing import Any

from resomap.deploy.measurements import record_digest
from resomap.deploy.pack import sweep_identity

Cell = tuple[str, str, int]
"""Family, model and resolution of images."""
ROUNDS = (0.98, 0.99, 1.0, 1.01, 1.02)


def plant_export(results: Path, cell: Cell, precisions: tuple[str, ...], seed: int = 0) -> None:
    """Write export.json of a deployable run, tested at its training resolution."""
    family, model, side = cell
    networks = {
        each: {"bytes": 2**20, "sha256": digest(cell, each, seed)} for each in precisions
    }
    folder = results / f"deploy/{family}/{model}/r{side}/seed{seed}/at{side}"
    folder.mkdir(parents=True, exist_ok=True)
    record = {"status": "deployable", "networks": networks}
    (folder / "export.json").write_text(json.dumps(record))


def plant_sweep(results: Path, cells: tuple[Cell, ...], precisions: tuple[str, ...]) -> None:
    """Write the exports of a sweep, and what identifies it."""
    (results / "data").mkdir(parents=True, exist_ok=True)
    manifest = {"classes": ["a", "b"], "native_resolution": 64, "splits": {"test": {"n": 9}}}
    (results / "data/manifest.json").write_text(json.dumps(manifest))
    (results / "run_config.yaml").write_text("experiment: {name: planted}\n")
    for cell in cells:
        plant_export(results, cell, precisions)


def digest(cell: Cell, precision: str, seed: int) -> str:
    """Return the sha256 of a planted network."""
    return hashlib.sha256(f"{cell} {precision} {seed}".encode()).hexdigest()


def planted_network(
    cell: Cell, precision: str, latency_ms: float, seed: int = 0
) -> dict[str, Any]:
    """Return the record of one measured network, with five rounds around its latency."""
    family, model, side = cell
    rounds = [latency_ms * each for each in ROUNDS]
    return {
        "family": family,
        "model": model,
        "train_resolution": side,
        "resolution": side,
        "seed": seed,
        "precision": precision,
        "sha256": digest(cell, precision, seed),
        "bytes": 2**20,
        "status": "ok",
        "why": None,
        "peak_memory_mib": 50.0,
        "timing": {
            "valid": True,
            "why_invalid": None,
            "n": 50,
            "tried": len(rounds),
            "latency_ms_p50": median(rounds),
            "latency_ms_p90": latency_ms * 1.1,
            "latency_ms_rounds": rounds,
            "ratio_to_reference": median(rounds) / 2,
            "ratio_rounds": [each / 2 for each in rounds],
        },
    }


def planted_measurement(results: Path, networks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the record of a device, without its digest."""
    return {
        "kind": "resomap measurement",
        "schema": 2,
        "complete": True,
        "sweep": sweep_identity(results).model_dump(),
        "device": {"processor": "planted"},
        "runtime": "onnxruntime",
        "threads": 1,
        "settings": {},
        "networks": networks,
    }


def write_measurement(path: Path, record: dict[str, Any]) -> Path:
    """Write a record with its digest, whatever digest it had."""
    values = {name: value for name, value in record.items() if name != "sha256"}
    path.write_text(json.dumps({**values, "sha256": record_digest(values)}))
    return path
