"""What is stored of predictions: logits by resolution and mode, tables of images and of exports."""

import re
from collections.abc import Collection
from typing import Literal

from resomap.config.deploy import ONNX_RUNTIME, RuntimeName
from resomap.config.evaluation import EvaluationMode
from resomap.workflow.columns import (
    CELL,
    INDEX,
    INTERVAL,
    LATENCY_P50,
    LATENCY_P90,
    MODEL,
    SEEDS,
    Column,
    with_interval,
)

MODES: tuple[EvaluationMode, ...] = ("raw", "bn", "finetune")
RAW: EvaluationMode = "raw"
PredictionMode = Literal["raw", "bn", "finetune", "int8"]
"""What a network predicts as: int8 is the exported one, quantised as trained."""
INT8: Literal["int8"] = "int8"
PREDICTION_MODES: tuple[PredictionMode, ...] = (*MODES, INT8)
CONFUSION = (
    *CELL,
    Column("class", "", "name of the class"),
    Column("predicted", "", "name of the predicted class"),
    SEEDS,
    Column("n", "count", "test images of the class, in all runs"),
    Column("count", "count", "those predicted so, in all runs; a pair without any has no row"),
)
DEMAND = (
    *MODEL,
    Column("class", "", "name of the class; blank for all images"),
    Column("demand", "px", "resolution from which an image is right; blank for those never"),
    *(SEEDS, Column("n", "count", "test images")),
    *with_interval(Column("share", "0-1", "share of the images with this demand")),
    INTERVAL,
)
CASCADES = (
    Column("kind", "", "cascade, or ensemble: the mean of all resolutions of a model"),
    Column("stages", "", "its cells, as `tiny_cnn@24 > tiny_cnn@96`"),
    Column("thresholds", "0-1", "probability from which each stage but the last answers"),
    SEEDS,
    Column("n_val", "count", "validation images, which set the thresholds"),
    Column("n", "count", "test images"),
    *with_interval(Column("escalated", "0-1", "share of the images that pass the first stage")),
    *with_interval(Column("predicted_accuracy", "0-1", "expected on other images")),
    *with_interval(Column("accuracy", "0-1", "mean test accuracy over the seeds")),
    *with_interval(Column("predicted_cost_ms", "ms", "expected on other images")),
    *with_interval(Column("cost_ms", "ms", "mean latency of a test image, summed over stages")),
    Column("last", "", "the cell that it is compared with: the last, or the most accurate"),
    Column("last_cost_ms", "ms", "median latency of that cell"),
    *with_interval(Column("saved", "0-1", "share of that latency which is saved")),
    *with_interval(Column("difference", "0-1", "test accuracy less that of `last`")),
    Column("single", "", "most accurate single cell, on validation, that costs no more"),
    *with_interval(Column("gain", "0-1", "test accuracy less that of `single`")),
    Column("verdict", "", "saves, gains, nothing or open"),
)
CLASS_ACCURACY = (
    *CELL,
    Column("class", "", "name of the class"),
    *(SEEDS, Column("n", "count", "test images of the class")),
    *with_interval(Column("accuracy", "0-1", "share of them predicted correctly")),
    INTERVAL,
)
HARD_IMAGES = (
    *MODEL,
    INDEX,
    Column("class", "", "name of the class"),
    SEEDS,
    Column("demand", "px", "resolution from which it is right, in the seed that needs least"),
    Column("demand_highest", "px", "the same in the seed that needs most"),
)
CANDIDATES = (
    *CELL,
    Column("eval_resolution", "px", "resolution at which it predicts"),
    Column("mode", "", "what it was adapted by: raw (nothing), bn, finetune or int8"),
    Column("variant", "", "the way of running it; blank for the first of the profile"),
    SEEDS,
    Column("n_val", "count", "validation images"),
    *with_interval(Column("val_accuracy", "0-1", "mean validation accuracy over the seeds")),
    Column("n", "count", "test images"),
    *with_interval(Column("accuracy", "0-1", "mean test accuracy over the seeds")),
    *(INTERVAL, LATENCY_P50, LATENCY_P90),
    Column("latency_valid", "bool", "the latency is a valid measurement"),
    Column("peak_memory_mib", "MiB", "peak memory at batch size 1"),
    Column("model_size_mib", "MiB", "parameters and buffers; the file of an export"),
    Column("energy_j_per_image", "J", "energy per image at batch size 1"),
    Column("macs", "count", "multiply-accumulate operations per image"),
    Column("verdict", "", "chosen, best, within, open, worse, excluded, slower or another"),
    *with_interval(Column("difference", "0-1", "validation accuracy less that of the best")),
    Column("at_most", "0-1", "largest loss to any other that the images leave possible"),
    Column("reason", "", "why it is excluded, or has no cost"),
)
PREDICTION_TABLES = {
    "confusion": (CONFUSION, "confusion matrix of every cell at its training resolution"),
    "demand": (DEMAND, "smallest resolution from which an image is right and stays right"),
    "class_accuracy": (CLASS_ACCURACY, "accuracy of every class in every cell, as trained"),
    "hard_images": (HARD_IMAGES, "test images that need the most pixels, 200 of each model"),
    "cascades": (CASCADES, "cells that answer one after the other, or together"),
    "candidates": (CANDIDATES, "everything that can be chosen, with its verdict"),
}
"""Columns and contents of these tables, as in `layout.TABLES`."""


def logits_name(resolution: int, mode: EvaluationMode = RAW) -> str:
    """Return the name of the logits (N, C) at `resolution`: `logits_r96`, `logits_bn_r96`."""
    # Without the mode where there is one only, as notebooks of users read these names.
    prefix = "logits" if mode == RAW else f"logits_{mode}"
    return f"{prefix}_r{resolution}"


def runtime_logits_name(runtime: RuntimeName, precision: str) -> str:
    """Return the name of an export's test logits: `int8` in ONNX Runtime, else `openvino_int8`."""
    return precision if runtime == ONNX_RUNTIME else f"{runtime}_{precision}"


def stored_logits(names: Collection[str]) -> list[tuple[EvaluationMode, int]]:
    """Return mode and resolution of the logits among the names of an archive, in order."""
    found = []
    for mode in MODES:
        pattern = re.compile(logits_name(0, mode).removesuffix("0") + r"(\d+)")
        resolutions = [match[1] for match in map(pattern.fullmatch, names) if match]
        found += [(mode, resolution) for resolution in sorted(map(int, resolutions))]
    return found


def val_logits_name(precision: str) -> str:
    """Return the name of the validation logits (N, C) of an exported network: `val_int8`."""
    return f"val_{precision}"
