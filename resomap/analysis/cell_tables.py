"""Rows of cells.csv, groups.csv, matrix.csv and knees.csv: means over runs with intervals."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from resomap.analysis.accuracies import Accuracies, Split, pooled_intervals
from resomap.analysis.decision.contrasts import contrast_cells
from resomap.analysis.decision.latencies import Latency
from resomap.analysis.knee import find_knee
from resomap.analysis.predictions import Cell, Predictions, group_names, in_group
from resomap.analysis.profiles import Row
from resomap.workflow.predictions import RAW


def cell_rows(
    cells: Sequence[Cell],
    n_runs: int,
    test: Split,
    val: Split,
    accuracies: Accuracies,
    latencies: Mapping[Cell, Latency],
) -> Iterator[Row]:
    """Yield a row of cells.csv for every cell, failed ones included.

    `n_runs` counts the runs of a cell in the sweep, `n_seeds` those that finished.
    """
    for cell in cells:
        row: Row = {**cell._asdict(), "n_runs": n_runs, "n_seeds": 0}
        if cell in test:
            as_trained = (cell, RAW, cell.resolution)
            row |= {
                "n_seeds": len(test[cell].seeds),
                "n_test": len(test[cell].labels),
                "n_val": len(val[cell].labels),
                **accuracies.test[as_trained].columns("accuracy"),
                "interval": accuracies.test[as_trained].method,
                "majority_accuracy": test[cell].majority_accuracy,
                **accuracies.val[as_trained].columns("val_accuracy"),
            }
        if cell in latencies:
            latency = latencies[cell]
            row |= {
                "latency_ms_p50": latency.p50,
                "latency_ms_p90": latency.p90,
                "latency_valid": latency.valid,
            }
        yield row


def group_rows(test: Split, manifest: dict[str, Any], confidence: float) -> Iterator[Row]:
    """Yield a row of groups.csv per cell and group: accuracy inside pairs on test images."""
    correct = {}
    for cell, predictions in test.items():
        for group, values in _correct_by_group(predictions, manifest).items():
            correct[cell, group] = values
    frequencies = manifest["frequencies"] or {}
    for (cell, group), interval in pooled_intervals(correct, confidence).items():
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


def matrix_rows(test: Split, accuracies: Accuracies) -> Iterator[Row]:
    """Yield a row of matrix.csv per mode, cell and test resolution."""
    for (cell, mode, px), interval in accuracies.test.items():
        num_seeds, num_images = test[cell].by_mode()[mode, px].shape
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
    cells = sorted(correct, key=lambda cell: cell.resolution)
    if not cells:
        return
    contrasts = contrast_cells(
        [correct[cell] for cell in cells], [val[cell].seeds for cell in cells]
    )
    # In the order of the sweep, not of the resolutions.
    for family, model in dict.fromkeys(cell[:2] for cell in correct):
        own = [index for index, cell in enumerate(cells) if cell[:2] == (family, model)]
        resolutions = [cells[index].resolution for index in own]
        yield {
            "family": family,
            "model": model,
            "group": group,
            "margin": margin,
            "n_val": contrasts.images,
            **find_knee(contrasts.subset(own), resolutions, margin, confidence)._asdict(),
        }
