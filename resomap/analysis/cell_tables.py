"""Rows of cells.csv, groups.csv, matrix.csv and knees.csv: means over runs with intervals."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from resomap.analysis.comparison import Latency
from resomap.analysis.knee import differences_to_best, find_knee
from resomap.analysis.predictions import Cell, Predictions, group_names, in_group
from resomap.analysis.profiles import Row, single_image_rows
from resomap.analysis.statistics import Interval, accuracy_interval, pool_seed_variance
from resomap.config.evaluation import EvaluationMode
from resomap.workflow.predictions import MODES

Split = Mapping[Cell, Predictions]
Key = TypeVar("Key")


def cell_rows(
    cells: Sequence[Cell],
    n_runs: int,
    test: Split,
    val: Split,
    latencies: Mapping[Cell, Latency],
    confidence: float,
) -> Iterator[Row]:
    """Yield a row of cells.csv for every cell, failed ones included.

    `n_runs` counts the runs of a cell in the sweep, `n_seeds` those that finished.
    """
    on_test, on_val = _accuracies(test, confidence), _accuracies(val, confidence)
    for cell in cells:
        row: Row = {**cell._asdict(), "n_runs": n_runs, "n_seeds": 0}
        if cell in test:
            row |= {
                "n_seeds": len(test[cell].seeds),
                "n_test": len(test[cell].labels),
                "n_val": len(val[cell].labels),
                **on_test[cell].columns("accuracy"),
                "interval": on_test[cell].method,
                "majority_accuracy": test[cell].majority_accuracy,
                **on_val[cell].columns("val_accuracy"),
            }
        if cell in latencies:
            latency = latencies[cell]
            row |= {
                "latency_ms_p50": latency.p50,
                "latency_ms_p90": latency.p90,
                "latency_valid": latency.valid,
            }
        yield row


def _accuracies(split: Split, confidence: float) -> dict[Cell, Interval]:
    """Compute the accuracy of every cell at its training resolution."""
    return _intervals({cell: one.correct_as_trained for cell, one in split.items()}, confidence)


def _intervals(correct: Mapping[Key, np.ndarray], confidence: float) -> dict[Key, Interval]:
    """Compute the interval of each correctness (seeds, images), with a pooled seed variance."""
    pool = pool_seed_variance(correct.values())
    return {key: accuracy_interval(values, confidence, pool) for key, values in correct.items()}


def group_rows(test: Split, manifest: dict[str, Any], confidence: float) -> Iterator[Row]:
    """Yield a row of groups.csv per cell and group: accuracy inside pairs on test images."""
    correct = {}
    for cell, predictions in test.items():
        for group, values in _correct_by_group(predictions, manifest).items():
            correct[cell, group] = values
    frequencies = manifest["frequencies"] or {}
    for (cell, group), interval in _intervals(correct, confidence).items():
        num_seeds, num_images = correct[cell, group].shape
        yield {
            **cell._asdict(),
            "group": group,
            "frequency": frequencies.get(group),
            "n_seeds": num_seeds,
            "n": num_images,
            **interval.columns("pair_accuracy"),
            "interval": interval.method,
        }


def _correct_by_group(
    predictions: Predictions, manifest: dict[str, Any]
) -> dict[str, np.ndarray]:
    """Return correctness inside pairs (seeds, n) of every group whose classes have partners."""
    correct = {}
    for group in group_names(manifest):
        values = predictions.pair_correct[:, in_group(predictions.labels, manifest, group)]
        # NaN: a class of the group has no partner to compare it with.
        if values.size and not np.isnan(values).any():
            correct[group] = values
    return correct


def matrix_rows(test: Split, confidence: float) -> Iterator[Row]:
    """Yield a row of matrix.csv per mode, cell and test resolution."""
    for mode in MODES:
        correct = {}
        for cell, predictions in test.items():
            for (own_mode, px), values in sorted(predictions.by_mode().items()):
                if own_mode == mode:
                    correct[cell, px] = values
        # A pool for each mode: seeds of adapted networks may vary less, or more.
        yield from _matrix_of_mode(mode, correct, confidence)


def _matrix_of_mode(
    mode: EvaluationMode, correct: Mapping[tuple[Cell, int], np.ndarray], confidence: float
) -> Iterator[Row]:
    for (cell, px), interval in _intervals(correct, confidence).items():
        num_seeds, num_images = correct[cell, px].shape
        yield {
            "family": cell.family,
            "model": cell.model,
            "train_resolution": cell.resolution,
            "eval_resolution": px,
            "mode": mode,
            "n_seeds": num_seeds,
            "n": num_images,
            **interval.columns("accuracy"),
            "interval": interval.method,
        }


def knee_rows(
    val: Split, manifest: dict[str, Any], margin: float, confidence: float
) -> Iterator[Row]:
    """Yield a row of knees.csv per model, for all validation images and inside each group."""
    overall = {cell: predictions.correct_as_trained for cell, predictions in val.items()}
    yield from _knees(val, overall, "all", margin, confidence)
    by_group: dict[str, dict[Cell, np.ndarray]] = {}
    for cell, predictions in val.items():
        for group, values in _correct_by_group(predictions, manifest).items():
            by_group.setdefault(group, {})[cell] = values
    for group, correct in by_group.items():
        # All cells predict the same images, so any of them has the share of the group.
        cell, values = next(iter(correct.items()))
        share = values.shape[1] / len(val[cell].labels)
        # The loss in this group alone that moves the accuracy of the whole by `margin`.
        yield from _knees(val, correct, group, margin / share, confidence)


def _knees(
    val: Split, correct: Mapping[Cell, np.ndarray], group: str, margin: float, confidence: float
) -> Iterator[Row]:
    """Yield the knee of every model, with the seed variance pooled over models."""
    curves = {}
    for key in dict.fromkeys(cell[:2] for cell in correct):
        if curve := _curve(val, correct, key):
            curves[key] = curve
    pool = pool_seed_variance(chain.from_iterable(map(differences_to_best, curves.values())))
    for (family, model), curve in curves.items():
        yield {
            "family": family,
            "model": model,
            "group": group,
            "margin": margin,
            "n_val": next(iter(curve.values())).shape[1],
            **find_knee(curve, margin, confidence, pool)._asdict(),
        }


def _curve(
    val: Split, correct: Mapping[Cell, np.ndarray], key: tuple[str, str]
) -> dict[int, np.ndarray]:
    """Return the correctness of a model by resolution, for seeds that finished at all of them.

    Empty when there is no such seed.
    """
    cells = [cell for cell in correct if cell[:2] == key]
    # A knee compares resolutions by paired differences, so all need the same seeds.
    common = set.intersection(*(set(val[cell].seeds) for cell in cells))
    curve = {}
    for cell in cells:
        rows = [row for row, seed in enumerate(val[cell].seeds) if seed in common]
        if rows:
            curve[cell.resolution] = correct[cell][rows]
    return curve


def cell_latencies(profiles: pd.DataFrame) -> dict[Cell, Latency]:
    """Return the latency of every measured cell, from the columns of profiles.csv."""
    latencies = {}
    for row in single_image_rows(profiles).to_dict("records"):
        cell = Cell(row["family"], row["model"], row["resolution"])
        p50, p90 = row["latency_ms_p50"], row["latency_ms_p90"]
        latencies[cell] = Latency(p50, p90, bool(row["valid"]))
    return latencies
