"""A small results/ tree whose predictions are drawn from a staircase instead of trained."""

from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from resomap import metrics
from resomap.analysis.tables import write_tables
from resomap.config.architecture import Architecture
from resomap.config.evaluation import EvaluationMode
from resomap.config.report import Report
from resomap.report.text.choice import describe_choice
from resomap.system import files
from resomap.training.evaluation.predict import score_predictions
from resomap.workflow.layout import table_columns
from resomap.workflow.predictions import logits_name
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
PAIRS = [[0, 1], [2, 3], [4, 5], [6, 7]]
FREQUENCIES = {"broad": 10.0, "medium": 20.0, "fine": 40.0}


def report_rules(**changes: Any) -> Report:
    """Return the rules of the report: a margin of two points, and no budget."""
    budgets = ("latency_ms", "peak_memory_mib", "model_size_mib", "energy_j_per_image", "macs")
    minima = ("accuracy", "balanced_accuracy", "localisation")
    rules: dict[str, Any] = dict.fromkeys(
        [*(f"max_{name}" for name in budgets), *(f"min_{name}" for name in minima)]
    )
    rules |= {"margin": 0.02, "confidence": 0.95, "attitude": "certified", "min_recall": ()}
    others = {"alarms": "allowed", "max_failed_seeds": 0, "accept_confounds": ()}
    return Report(**rules | others | changes)


REPORT = report_rules()
ENVIRONMENT = {
    "device": "cpu",
    "precision": "fp32",
    "python": "3.11.9",
    "torch": "2.11.0",
    "numpy": "2.4.0",
}
SKILL = {"tiny_cnn": 1.6, "simple_cnn": 2.4}


@dataclass(frozen=True)
class Sweep:
    """The contents of the tree.

    Without `grouped` the images are files of a folder, of many sizes. `statuses` gives the status
    of runs (model, resolution, seed) that did not end with `ok`, `waiting` those without files.
    `failed_methods` fail the sanity check.
    """

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
    modes: tuple[EvaluationMode, ...] = ("raw",)
    without_norm: tuple[str, ...] = ()
    """Models that have no mode but raw."""

    @property
    def architectures(self) -> tuple[Architecture, ...]:
        """Networks as the configuration names them."""
        return tuple(
            Architecture(name=name, family="custom", builder=name) for name in self.models
        )

    @property
    def counts(self) -> dict[str, int]:
        """Images of each split."""
        return {"train": 1600, "val": self.val, "test": self.test}


def write_results(folder: Path, sweep: Sweep) -> dict[str, Any]:
    """Write data, runs, profiles and agreements under `folder`; returns the manifest."""
    manifest = _write_data(folder / "data", sweep)
    for model in sweep.models:
        for key in product([model], sweep.resolutions, sweep.seeds):
            if key not in sweep.waiting:
                _write_run(folder, sweep, manifest, *key)
        if sweep.profiled:
            _write_profile(folder / "profiles" / "custom" / f"{model}.json", sweep, model)
        if sweep.explained:
            path = folder / "agreement" / "custom" / f"{model}.csv"
            write_agreement(path, model, sweep.resolutions, sweep.seeds)
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
    """Return the labels of a split, the classes in turn."""
    return np.arange(count) % len(CLASSES)


def _write_data(folder: Path, sweep: Sweep) -> dict[str, Any]:
    """Write the test images, the tables beside the manifest, and the manifest."""
    images, masks = _draw_images(sweep.test, sweep.native)
    # Reversed, so that a reader that ignores rows_test.npy gets the wrong images.
    files.write_array(folder / "native.npy", images[::-1])
    files.write_array(folder / "rows_test.npy", np.arange(sweep.test)[::-1])
    files.write_array(folder / "labels_test.npy", labels(sweep.test))
    files.write_array(folder / "masks_test.npy", masks if sweep.mask else masks[:0])
    for resolution in sweep.resolutions:
        files.write_array(folder / f"r{resolution}" / "test.npy", subsample(images, resolution))
    _write_images_table(folder / "pictures.csv", sweep)
    bad = [{"source": source, "reason": reason} for source, reason in sweep.bad]
    files.write_rows(folder / "bad_pictures.csv", bad, table_columns("bad_images"))
    files.write_rows(folder / "duplicates.csv", sweep.copies, table_columns("duplicates"))
    _write_spectrum(folder / "spectrum.npy", sweep)
    _write_contact_sheet(folder / "contact_sheet.npz", sweep, images)
    manifest = _manifest(sweep)
    files.write_json(folder / "manifest.json", manifest)
    return manifest


def _manifest(sweep: Sweep) -> dict[str, Any]:
    """Return the manifest; without groups it is that of a folder."""
    groups = {"groups": GROUPS, "pairs": PAIRS, "frequencies": FREQUENCIES}
    duplicates = {"copies": len(sweep.copies)}
    for name, kind in (("across_splits", "split"), ("conflicting", "label")):
        duplicates[name] = sum(row[kind] != row[f"copy_{kind}"] for row in sweep.copies)
    splits = {}
    for name, count in sweep.counts.items():
        per_class = np.bincount(labels(count), minlength=len(CLASSES)).tolist()
        splits[name] = {"count": count, "sha256": "0" * 64, "per_class": per_class}
    return {
        "dataset": "reef" if sweep.grouped else "folder",
        "native_resolution": sweep.native,
        "filter": "bilinear",
        "aspect": sweep.aspect,
        "classes": CLASSES,
        **(groups if sweep.grouped else dict.fromkeys(groups)),
        "mask": sweep.mask,
        "drawn": list(sweep.drawn),
        "bad": len(sweep.bad),
        "notes": sweep.notes,
        "duplicates": duplicates,
        "splits": splits,
        "mean": [0.4, 0.4, 0.4],
        "std": [0.2, 0.2, 0.2],
    }


def _write_images_table(path: Path, sweep: Sweep) -> None:
    """Write a row per image; files of a folder have many sizes."""
    rows: list[dict[str, Any]] = []
    for split, count in sweep.counts.items():
        for index in range(count):
            row = len(rows)
            size = (sweep.native, sweep.native)
            if not sweep.grouped:
                size = (40 + row % 100, 40 + row % 70)
            image = {"split": split, "index": index, "label": index % len(CLASSES), "row": row}
            image |= {"source": f"{split}/{index}.jpg", "pixels": f"{row:016x}"}
            rows.append(image | {"width": size[0], "height": size[1]})
    files.write_rows(path, rows, table_columns("images"))


def _write_spectrum(path: Path, sweep: Sweep) -> None:
    """Write a spectrum in which each class has more fine detail than the one before."""
    frequencies = np.linspace(0, 1, sweep.native // 2 + 1)
    share = frequencies ** np.linspace(0.05, 0.4, len(CLASSES))[:, None]
    files.write_array(path, np.vstack([share.mean(axis=0), share]))


def _write_contact_sheet(path: Path, sweep: Sweep, images: np.ndarray) -> None:
    """Write up to three images of each class."""
    shown = np.argsort(labels(min(sweep.test, 3 * len(CLASSES))), kind="stable")
    sheet = subsample(images[shown], 96)
    files.write_arrays(path, images=sheet, label=labels(sweep.test)[shown])


@cache
def _draw_images(count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw striped discs on a plain ground, and their masks."""
    rng = np.random.default_rng(0)
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    images = np.empty((count, side, side, 3), np.uint8)
    masks = np.empty((count, side, side), np.uint8)
    for index, label in enumerate(labels(count)):
        centre_x, centre_y = rng.uniform(0.3, 0.7, 2)
        mask = np.clip((0.2 - np.hypot(x - centre_x, y - centre_y)) * side + 0.5, 0, 1)
        axis = x if label % 2 == 0 else y
        stripes = np.cos(2 * np.pi * (10, 10, 20, 40)[label // 2] * axis)
        ground = rng.uniform(0.15, 0.35, 3) + 0.1 * y[..., None]
        body = rng.uniform(0.5, 0.7, 3) + 0.2 * stripes[..., None]
        images[index] = 255 * (ground * (1 - mask[..., None]) + body * mask[..., None])
        masks[index] = 255 * mask
    return images, masks


def _write_run(
    folder: Path, sweep: Sweep, manifest: dict[str, Any], model: str, resolution: int, seed: int
) -> None:
    """Write the results of one run; a run that did not end with `ok` has no images."""
    run = folder / "runs" / "custom" / model / f"r{resolution}" / f"seed{seed}"
    status = sweep.statuses.get((model, resolution, seed), "ok")
    result = {
        "job": {"code": "c0de"},
        "status": status,
        "reason": None if status == "ok" else f"it {status}",
        "scores": {"epoch": 7, "val_accuracy": 0.5},
        "environment": ENVIRONMENT,
    }
    timing = {
        "train_seconds": resolution / 8,
        "train_images_per_second": 9e4 / resolution,
        "peak_memory_mib": 310.0,
    }
    losses = [2 / (epoch + 1) for epoch in range(8)]
    history = [
        {"epoch": epoch, "train_loss": loss, "val_loss": loss, "val_accuracy": 0.5}
        for epoch, loss in enumerate(losses)
    ]
    files.write_json(run / "metrics.json", result)
    files.write_rows(run / "history.csv", history, tuple(history[0]))
    files.write_json(run / "timing.json", timing)
    _write_predictions(run, sweep, (model, resolution, seed), finished=status == "ok")
    if sweep.explained:
        sample = _evidence_sample(sweep, manifest, model, resolution, seed)
        write_explanations(run / "explanations", sample, sweep.failed_methods)


def _write_predictions(
    run: Path, sweep: Sweep, key: tuple[str, int, int], *, finished: bool
) -> None:
    """Write the logits of both held-out splits at every resolution, and the scores on the test split."""
    splits = {}
    for split, name in (("test", "predictions"), ("val", "val_predictions")):
        count = sweep.counts[split] if finished else 0
        arrays = {"label": labels(count), "index": np.arange(count)}
        for mode, px in product(sweep.modes, sweep.resolutions):
            if mode == "raw" or key[0] not in sweep.without_norm:
                logits = _draw_logits(labels(count), key, px, split, mode)
                arrays[logits_name(px, mode)] = logits
        files.write_arrays(run / f"{name}.npz", **arrays)
        splits[split] = arrays
    rows = score_predictions(splits["test"], splits["val"], sweep.resolutions, sweep.modes)
    files.write_rows(run / "evaluation.csv", rows, table_columns("run_evaluation"))


def _evidence_sample(
    sweep: Sweep, manifest: dict[str, Any], model: str, resolution: int, seed: int
) -> EvidenceSample:
    """Return the first test images; none of a run that did not end with `ok`."""
    key = (model, resolution, seed)
    count = sweep.explained if sweep.statuses.get(key, "ok") == "ok" else 0
    label = labels(sweep.test)[:count]
    logits = _draw_logits(labels(sweep.test), key, resolution, "test")[: len(label)]
    right, group, masks = logits.argmax(axis=1) == label, None, None
    if sweep.grouped:
        right = metrics.pair_accuracy(logits, label, manifest["pairs"])
        group = [GROUPS[CLASSES[number]] for number in label]
    if sweep.mask:
        masks = _draw_images(sweep.test, sweep.native)[1][: len(label)] / 255
    survival = _cue_survival(label, resolution)
    return EvidenceSample(
        label=label,
        group=group,
        right=right,
        survival=survival,
        masks=masks,
        resolution=resolution,
        seed=seed,
    )


def _cue_survival(label: np.ndarray, resolution: int) -> np.ndarray:
    """Return how much of the cue of each image the resolution keeps: 0 below 1.3 F, 1 above 2.2 F."""
    frequency = np.array([0.0, 10.0, 20.0, 40.0])[label // 2]
    return np.clip((resolution / np.maximum(frequency, 1) - 1.3) / 0.9, 0, 1)


def _draw_logits(
    label: np.ndarray,
    key: tuple[str, int, int],
    px: int,
    split: str,
    mode: EvaluationMode = "raw",
) -> np.ndarray:
    """Draw logits that always find the pair; inside it the cue counts as far as it survives.

    Difficulty belongs to the image and is shared by all runs, luck to the run. Adapted networks
    lose little at resolutions that they were not trained at.
    """
    model, trained, seed = key
    images = np.random.default_rng([len(label), split == "test"])
    difficulty = images.normal(0, 0.6, len(label))
    run = np.random.default_rng([seed, trained, px, len(model)])
    octaves = abs(np.log2(px / trained)) * (1.0 if mode == "raw" else 0.2)
    skill = SKILL.get(model, 2.0) + run.normal(0, 0.1) - 1.2 * octaves
    cue = skill * _cue_survival(label, min(px, trained)) * np.where(label < 2, 0.45, 1.0)
    shape = (len(label), len(CLASSES))
    logits = run.normal(0, 0.5, shape) - 3.0 + octaves * run.normal(0, 1.5, shape)
    rows = np.arange(len(label))
    noise = run.normal(0, 0.4, len(label))
    advantage = np.where(cue > 0, (cue + difficulty + noise) / 2, noise)
    logits[rows, label], logits[rows, label ^ 1] = 2 + advantage, 2 - advantage
    return logits.astype(np.float32)


LATENCY_FACTORS = {
    "eager": 1.0,
    "compiled": 0.8,
    "training_step": 3.1,
    "onnxruntime": 0.3,
    "onnxruntime-int8": 0.1,
}


def _write_profile(path: Path, sweep: Sweep, model: str) -> None:
    """Write the profile of a model in every variant at batch 1 and 32."""
    cells = []
    for px, variant in product(sweep.resolutions, sweep.variants):
        for batch in (32,) if variant == "training_step" else (1, 32):
            cells.append(_measurement(sweep, model, variant, px, batch))
    forward = {
        cell["resolution"]: cell["latency_ms_p50"]
        for cell in cells
        if (cell["variant"], cell["batch_size"]) == (sweep.variants[0], 1)
    }
    stages = []
    for px in sweep.resolutions:
        times = {"decode_ms": 0.9, "resize_ms": 0.05 + px / 2000, "copy_ms": 0.01}
        stage = {"resolution": px, **times, "forward_ms": forward[px], "n": 400}
        decoded = f"JPEG of {sweep.native} px"
        stages.append(stage | {"valid": sweep.valid, "decoded_from": decoded})
    conditions = {"load_average": {"before": 0.1, "after": 0.9}, "gpu": None}
    profile = {
        "job": {},
        "environment": {"device": "cpu"},
        "reference": {"latency_ms_p50": 1.0},
        "cells": cells,
        "stages": stages,
        "conditions": conditions,
    }
    files.write_json(path, profile)


def _measurement(sweep: Sweep, model: str, variant: str, px: int, batch: int) -> dict[str, Any]:
    """Return a record of `cells`: seven rounds, 1 % apart, of a law that is flat for small images."""
    size = {"tiny_cnn": 1.0, "simple_cnn": 2.2}.get(model, 3.0)
    factor = LATENCY_FACTORS[variant]
    mode, _, precision = variant.partition("-")
    latency = size * batch**0.8 * (0.3 + (px / 64) ** 2) * factor
    rounds = latency * np.exp(np.random.default_rng([px, batch]).normal(0, 0.01, 7))
    rate = 1e3 * batch / latency
    activations = batch * (px / 8) ** 2
    record = {
        "resolution": px,
        "batch_size": batch,
        "variant": mode,
        "precision": precision or "fp32",
        "memory_format": "contiguous" if mode == "onnxruntime" else "channels_last",
        "threads": 1,
        "device": "cpu",
        "status": "ok",
        "n": 400,
        "rounds": 7,
        "valid": sweep.valid,
        "why_invalid": None if sweep.valid else "crowded",
        "latency_ms_p50": latency,
        "latency_ms_p90": 1.15 * latency,
        "latency_ms_p99": 2.0,
        "latency_ms_low": 0.99 * latency,
        "latency_ms_high": 1.01 * latency,
        "latency_ms_rounds": rounds.tolist(),
        "relative_error": 0.01,
        "cpu_share": 0.99,
        "latency_ms_p50_cold": None,
        "ratio_to_reference": latency,
        "ratio_rounds": rounds.tolist(),
        "inference_images_per_second": rate,
        "training_images_per_second": None,
        "macs": int(4e6 * size * (px / 64) ** 2),
        "flops": int(8e6 * size * (px / 64) ** 2),
        "num_parameters": int(62e3 * size),
        "model_size_mib": 0.25 * size,
        "activations_mib": 0.02 * activations,
        "peak_memory_mib": size + 0.005 * activations,
        "peak_reserved_mib": None,
        **_energy(sweep, rate),
    }
    if variant == "training_step":
        record |= {"inference_images_per_second": None, "training_images_per_second": rate}
        record["peak_memory_mib"] = size + 0.005 * activations * 3
    return record


def _energy(sweep: Sweep, rate: float) -> dict[str, float | None]:
    """Return the energy columns of a measurement at 20 W, 5 W of them idle; blank when not measured."""
    columns = ("energy_j_per_image", "energy_j_per_image_above_idle", "power_w", "idle_power_w")
    if not sweep.energy:
        return dict.fromkeys(columns)
    return dict(zip(columns, (20 / rate, 15 / rate, 20.0, 5.0), strict=True))
