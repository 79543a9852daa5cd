"""A small finished results/ tree in the layout of the workflow, drawn from a staircase instead of trained: milliseconds a run."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from resomap import metrics
from resomap.analysis.tables import write_tables
from resomap.config.schema import Architecture, Report
from resomap.report.text.choice import describe_choice
from resomap.system import files
from tests.synthetic_evidence import (
    EvidenceSample,
    subsample,
    write_agreement,
    write_explanations,
)

CLASSES = [
    "torpedo",
    "starfish",
    "disc-bars",
    "disc-stripes",
    "angel-bars",
    "angel-stripes",
    "ray-bars",
    "ray-stripes",
]
GROUPS = dict(
    zip(CLASSES, np.repeat(["outline", "broad", "medium", "fine"], 2).tolist(), strict=True)
)
FREQUENCIES = {"broad": 10.0, "medium": 20.0, "fine": 40.0}
REPORT = Report(margin=0.02, confidence=0.95, max_latency_ms=None, min_accuracy=None)
SKILL = {"tiny_cnn": 1.6, "simple_cnn": 2.4}


@dataclass(frozen=True)
class Sweep:
    """What the tree holds; without `grouped` the pictures are files of a folder, of many sizes; `statuses` names runs (model, resolution, seed) that did not end well, `waiting` those whose files are missing; `failed_methods` names methods that fail the gate of sanity."""

    models: tuple[str, ...] = ("tiny_cnn", "simple_cnn")
    resolutions: tuple[int, ...] = (24, 48, 96)
    seeds: tuple[int, ...] = (0, 1)
    val: int = 160
    test: int = 400
    explained: int = 16
    native: int = 96
    grouped: bool = True
    mask: bool = True
    aspect: str = "squash"
    drawn: tuple[str, ...] = ()
    bad: tuple[tuple[str, str], ...] = ()
    copies: tuple[dict[str, Any], ...] = ()
    notes: dict[str, int] = field(default_factory=dict)
    profiled: bool = True
    valid: bool = True
    failed_methods: tuple[str, ...] = ()
    variants: tuple[str, ...] = ("eager", "training_step")
    energy: bool = False
    statuses: dict[tuple[str, int, int], str] = field(default_factory=dict)
    waiting: tuple[tuple[str, int, int], ...] = ()

    @property
    def architectures(self) -> tuple[Architecture, ...]:
        """The networks as the configuration names them."""
        return tuple(
            Architecture(name=name, family="custom", builder=name, min_resolution=8)
            for name in self.models
        )


def write_results(folder: Path, sweep: Sweep) -> dict[str, Any]:
    """Write data, runs and profiles under `folder`; returns the manifest."""
    manifest = _write_data(folder / "data", sweep)
    for model in sweep.models:
        for resolution in sweep.resolutions:
            for seed in sweep.seeds:
                if (model, resolution, seed) not in sweep.waiting:
                    _write_run(folder, sweep, manifest, model, resolution, seed)
        if sweep.profiled:
            _write_profile(folder / "profiles" / "custom" / f"{model}.json", sweep, model)
        if sweep.explained:
            write_agreement(
                folder / "agreement" / "custom" / f"{model}.csv",
                model,
                sweep.resolutions,
                sweep.seeds,
            )
    return manifest


def aggregate(folder: Path, sweep: Sweep) -> dict[str, Any]:
    """Write a results/ tree and its tables; returns the manifest."""
    manifest = write_results(folder, sweep)
    write_tables_of(folder, sweep, manifest)
    return manifest


def write_tables_of(folder: Path, sweep: Sweep, manifest: dict[str, Any]) -> None:
    """Write the tables of a results/ tree, as the rule `aggregate_tables` does."""
    choice = write_tables(
        manifest,
        folder / "runs",
        folder / "profiles",
        folder / "agreement",
        folder / "tables",
        models=sweep.architectures,
        resolutions=sweep.resolutions,
        seeds=sweep.seeds,
        report=REPORT,
    )
    files.write_json(folder / "tables" / "choice.json", describe_choice(choice))


def labels(count: int) -> np.ndarray:
    """Labels of a split, the classes in turn."""
    return np.arange(count) % len(CLASSES)


def _write_data(folder: Path, sweep: Sweep) -> dict[str, Any]:
    """In native.npy the test pictures stand in reverse, so that who forgets rows_test.npy is found out; train and val are left out."""
    images, masks = _draw(sweep.test, sweep.native)
    files.write_array(folder / "native.npy", images[::-1])
    files.write_array(folder / "rows_test.npy", np.arange(sweep.test)[::-1])
    files.write_array(folder / "labels_test.npy", labels(sweep.test))
    files.write_array(folder / "masks_test.npy", masks if sweep.mask else masks[:0])
    for resolution in sweep.resolutions:
        files.write_array(folder / f"r{resolution}" / "test.npy", subsample(images, resolution))
    _write_facts(folder, sweep, images)
    across, conflicting = (
        sum(row[kind] != row[f"copy_{kind}"] for row in sweep.copies)
        for kind in ("split", "label")
    )
    manifest = {
        "dataset": "reef" if sweep.grouped else "folder",
        "native_resolution": sweep.native,
        "filter": "bilinear",
        "aspect": sweep.aspect,
        "classes": CLASSES,
        "groups": GROUPS if sweep.grouped else None,
        "pairs": [[0, 1], [2, 3], [4, 5], [6, 7]] if sweep.grouped else None,
        "frequencies": FREQUENCIES if sweep.grouped else None,
        "mask": sweep.mask,
        "drawn": list(sweep.drawn),
        "bad": len(sweep.bad),
        "notes": sweep.notes,
        "duplicates": {
            "copies": len(sweep.copies),
            "across_splits": across,
            "conflicting": conflicting,
        },
        "splits": {
            name: {
                "count": count,
                "sha256": "0" * 64,
                "per_class": np.bincount(labels(count), minlength=8).tolist(),
            }
            for name, count in _counts(sweep).items()
        },
        "mean": [0.4, 0.4, 0.4],
        "std": [0.2, 0.2, 0.2],
    }
    files.write_json(folder / "manifest.json", manifest)
    return manifest


PICTURES = (
    "split",
    "index",
    "label",
    "group",
    "source",
    "row",
    "width",
    "height",
    "note",
    "pixels",
)
COPIES = ("source", "split", "label", "copy_of", "copy_split", "copy_label")


def _counts(sweep: Sweep) -> dict[str, int]:
    return {"train": 1600, "val": sweep.val, "test": sweep.test}


def _write_facts(folder: Path, sweep: Sweep, images: np.ndarray) -> None:
    """The tables beside the manifest, a spectrum in which each class has more fine detail than the one before, and a contact sheet."""
    rows = [(split, index) for split, count in _counts(sweep).items() for index in range(count)]
    pictures = [
        {
            "split": split, "index": index, "label": index % len(CLASSES), "source": f"{split}/{index}.jpg", "row": row, "pixels": f"{row:016x}",
            "width": sweep.native if sweep.grouped else 40 + row % 100, "height": sweep.native if sweep.grouped else 40 + row % 70,
        }
        for row, (split, index) in enumerate(rows)
    ]  # fmt: skip
    files.write_rows(
        folder / "pictures.csv",
        [{"group": None, "note": None} | picture for picture in pictures],
        PICTURES,
    )
    files.write_rows(
        folder / "bad_pictures.csv",
        [{"source": source, "reason": reason} for source, reason in sweep.bad],
        ("source", "reason"),
    )
    files.write_rows(folder / "duplicates.csv", sweep.copies, COPIES)
    share = (
        np.linspace(0, 1, sweep.native // 2 + 1)
        ** np.linspace(0.05, 0.4, len(CLASSES))[:, None]
    )
    files.write_array(folder / "spectrum.npy", np.vstack([share.mean(axis=0), share]))
    shown = np.argsort(labels(min(sweep.test, 3 * len(CLASSES))), kind="stable")
    files.write_arrays(
        folder / "contact_sheet.npz",
        images=subsample(images[shown], 96),
        label=labels(sweep.test)[shown],
    )


@cache
def _draw(count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Striped discs on a plain ground, and their masks."""
    rng = np.random.default_rng(0)
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    images, masks = (
        np.empty((count, side, side, 3), np.uint8),
        np.empty((count, side, side), np.uint8),
    )
    for index, label in enumerate(labels(count)):
        centre_x, centre_y = rng.uniform(0.3, 0.7, 2)
        mask = np.clip((0.2 - np.hypot(x - centre_x, y - centre_y)) * side + 0.5, 0, 1)
        stripes = np.cos(
            2 * np.pi * (10, 10, 20, 40)[label // 2] * (x if label % 2 == 0 else y)
        )
        ground = rng.uniform(0.15, 0.35, 3) + 0.1 * y[..., None]
        body = rng.uniform(0.5, 0.7, 3) + 0.2 * stripes[..., None]
        images[index] = 255 * (ground * (1 - mask[..., None]) + body * mask[..., None])
        masks[index] = 255 * mask
    return images, masks


def _write_run(
    folder: Path, sweep: Sweep, manifest: dict[str, Any], model: str, resolution: int, seed: int
) -> None:
    run = folder / "runs" / "custom" / model / f"r{resolution}" / f"seed{seed}"
    status = sweep.statuses.get((model, resolution, seed), "ok")
    environment = {
        "device": "cpu",
        "precision": "fp32",
        "python": "3.11.9",
        "torch": "2.11.0",
        "numpy": "2.4.0",
    }
    files.write_json(
        run / "metrics.json",
        {
            "job": {"code": "c0de"},
            "status": status,
            "reason": None if status == "ok" else f"it {status}",
            "scores": {"epoch": 7, "val_accuracy": 0.5},
            "environment": environment,
        },
    )
    history = [
        {
            "epoch": epoch,
            "train_loss": 2 / (epoch + 1),
            "val_loss": 2 / (epoch + 1),
            "val_accuracy": 0.5,
        }
        for epoch in range(8)
    ]
    files.write_rows(
        run / "history.csv", history, ("epoch", "train_loss", "val_loss", "val_accuracy")
    )
    files.write_json(
        run / "timing.json",
        {
            "train_seconds": resolution / 8,
            "train_images_per_second": 9e4 / resolution,
            "peak_memory_mib": 310.0,
        },
    )
    for split, name in (("test", "predictions"), ("val", "val_predictions")):
        count = getattr(sweep, split) if status == "ok" else 0
        label = labels(count)
        logits = {
            f"logits_r{px}": _logits(label, model, resolution, px, seed, split)
            for px in sweep.resolutions
        }
        files.write_arrays(run / f"{name}.npz", label=label, index=np.arange(count), **logits)
        if split == "test":
            rows = [
                {
                    "eval_resolution": int(k[8:]),
                    "mode": "raw",
                    "n": count,
                    **metrics.compute_scores(v, label),
                }
                for k, v in logits.items()
            ]
            files.write_rows(
                run / "evaluation.csv",
                rows,
                ("eval_resolution", "mode", "n", *metrics.SCORE_NAMES),
            )
    if sweep.explained:
        write_explanations(
            run / "explanations",
            _shown(sweep, manifest, model, resolution, seed),
            sweep.failed_methods,
        )


def _shown(
    sweep: Sweep, manifest: dict[str, Any], model: str, resolution: int, seed: int
) -> EvidenceSample:
    """The first test pictures, none of them where the run did not end well."""
    ended = sweep.statuses.get((model, resolution, seed), "ok") == "ok"
    label = labels(sweep.test)[: sweep.explained if ended else 0]
    logits = _logits(labels(sweep.test), model, resolution, resolution, seed, "test")[
        : len(label)
    ]
    return EvidenceSample(
        label=label,
        group=[GROUPS[CLASSES[number]] for number in label] if sweep.grouped else None,
        right=metrics.pair_accuracy(logits, label, manifest["pairs"])
        if manifest["pairs"]
        else logits.argmax(axis=1) == label,
        survival=_survival(label, resolution),
        masks=_draw(sweep.test, sweep.native)[1][: len(label)] / 255 if sweep.mask else None,
        resolution=resolution,
        seed=seed,
    )


def _survival(label: np.ndarray, resolution: int) -> np.ndarray:
    """How much of each picture's cue the resolution holds: 0 below 1.3 F, 1 above 2.2 F."""
    frequency = np.array([0.0, 10.0, 20.0, 40.0])[label // 2]
    return np.clip((resolution / np.maximum(frequency, 1) - 1.3) / 0.9, 0, 1)


def _logits(
    label: np.ndarray, model: str, trained: int, px: int, seed: int, split: str
) -> np.ndarray:
    """The pair is always told; inside it the cue counts by what survives; difficulty belongs to the picture, luck to the run."""
    pictures = np.random.default_rng([len(label), split == "test"])
    difficulty = pictures.normal(0, 0.6, len(label))
    run = np.random.default_rng([seed, trained, px, len(model)])
    strange = abs(np.log2(px / trained))
    skill = SKILL.get(model, 2.0) + run.normal(0, 0.1) - 1.2 * strange
    cue = skill * _survival(label, min(px, trained)) * np.where(label < 2, 0.45, 1.0)
    logits = (
        run.normal(0, 0.5, (len(label), len(CLASSES)))
        - 3.0
        + strange * run.normal(0, 1.5, (len(label), len(CLASSES)))
    )
    rows = np.arange(len(label))
    noise = run.normal(0, 0.4, len(label))
    has_cue = cue > 0
    logits[rows, label] = 2 + np.where(has_cue, (cue + difficulty + noise) / 2, noise)
    logits[rows, label ^ 1] = 2 - np.where(has_cue, (cue + difficulty + noise) / 2, noise)
    return logits.astype(np.float32)


def _write_profile(path: Path, sweep: Sweep, model: str) -> None:
    cells = [
        _measurement(sweep, model, variant, px, batch)
        for px in sweep.resolutions
        for variant in sweep.variants
        for batch in ((32,) if variant == "training_step" else (1, 32))
    ]
    forward = {
        cell["resolution"]: cell["latency_ms_p50"]
        for cell in cells
        if (cell["variant"], cell["batch_size"]) == (sweep.variants[0], 1)
    }
    stages = [
        {
            "resolution": px, "decode_ms": 0.9, "resize_ms": 0.05 + px / 2000, "copy_ms": 0.01, "forward_ms": forward[px], "n": 400,
            "valid": sweep.valid, "decoded_from": f"JPEG of {sweep.native} px",
        }
        for px in sweep.resolutions
    ]  # fmt: skip
    conditions = {"load_average": {"before": 0.1, "after": 0.9}, "gpu": None}
    reference = {"latency_ms_p50": 1.0}
    files.write_json(
        path,
        {
            "job": {},
            "environment": {"device": "cpu"},
            "reference": reference,
            "cells": cells,
            "stages": stages,
            "conditions": conditions,
        },
    )


def _measurement(sweep: Sweep, model: str, variant: str, px: int, batch: int) -> dict[str, Any]:
    """A record of `cells` as a profile has it: seven rounds, 1 % apart, of a law that flattens where pictures are small."""
    size, trains = (
        {"tiny_cnn": 1.0, "simple_cnn": 2.2}.get(model, 3.0),
        variant == "training_step",
    )
    latency = (
        size
        * batch**0.8
        * (0.3 + (px / 64) ** 2)
        * {"eager": 1.0, "compiled": 0.8, "training_step": 3.1}[variant]
    )
    rounds = latency * np.exp(np.random.default_rng([px, batch]).normal(0, 0.01, 7))
    rate, watts = 1e3 * batch / latency, 20.0 if sweep.energy else None
    return {
        "resolution": px, "batch_size": batch, "variant": variant, "precision": "fp32", "memory_format": "channels_last", "threads": 1,
        "device": "cpu", "status": "ok", "n": 400, "rounds": 7, "valid": sweep.valid, "why_invalid": None if sweep.valid else "crowded",
        "latency_ms_p50": latency, "latency_ms_p90": 1.15 * latency, "latency_ms_p99": 2.0, "latency_ms_low": 0.99 * latency,
        "latency_ms_high": 1.01 * latency, "latency_ms_rounds": rounds.tolist(), "relative_error": 0.01, "cpu_share": 0.99,
        "latency_ms_p50_cold": None, "ratio_to_reference": latency, "ratio_rounds": rounds.tolist(),
        "inference_images_per_second": None if trains else rate, "training_images_per_second": rate if trains else None,
        "macs": int(4e6 * size * (px / 64) ** 2), "flops": int(8e6 * size * (px / 64) ** 2),
        "num_parameters": int(62e3 * size), "model_size_mib": 0.25 * size, "activations_mib": 0.02 * batch * (px / 8) ** 2,
        "peak_memory_mib": size + 0.005 * batch * (px / 8) ** 2 * (3 if trains else 1), "peak_reserved_mib": None,
        "energy_j_per_image": watts and watts / rate, "energy_j_per_image_above_idle": watts and (watts - 5) / rate,
        "power_w": watts, "idle_power_w": watts and 5.0,
    }  # fmt: skip
