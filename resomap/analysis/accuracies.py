"""The accuracy of every network with its interval, at every resolution and in every mode.

Tables, the choice and the page take a number from here, so that it has one interval.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from resomap.analysis.predictions import Cell, Predictions
from resomap.analysis.statistics import (
    Interval,
    compute_spread,
    interval_of_spread,
    pool_spreads,
)
from resomap.workflow.predictions import PREDICTION_MODES, RAW, PredictionMode

Split = Mapping[Cell, Predictions]
Evaluated = tuple[Cell, PredictionMode, int]
"""A cell, how it was adapted, and the resolution at which it predicts, px."""
Key = TypeVar("Key")


@dataclass(frozen=True)
class Accuracies:
    """The accuracies of all networks of a sweep on validation and on test images."""

    val: Mapping[Evaluated, Interval]
    test: Mapping[Evaluated, Interval]


def compute_accuracies(val: Split, test: Split, confidence: float) -> Accuracies:
    """Compute the intervals of both splits."""
    return Accuracies(accuracy_intervals(val, confidence), accuracy_intervals(test, confidence))


def accuracy_intervals(split: Split, confidence: float) -> dict[Evaluated, Interval]:
    """Compute the accuracy of every cell in every mode, at every resolution, mode by mode."""
    intervals: dict[Evaluated, Interval] = {}
    for mode in PREDICTION_MODES:
        correct: dict[Evaluated, np.ndarray] = {}
        for cell, predictions in split.items():
            for (own_mode, px), values in sorted(predictions.by_mode().items()):
                if own_mode == mode:
                    correct[cell, mode, px] = values
        # A pool for each mode: seeds of adapted networks may vary less, or more.
        intervals |= pooled_intervals(correct, confidence)
    as_trained = {}
    for cell, predictions in split.items():
        as_trained[cell, RAW, cell.resolution] = predictions.correct_as_trained
    # Networks away from their own size may vary far more: they must not widen those as trained.
    return intervals | pooled_intervals(as_trained, confidence)


def pooled_intervals(
    correct: Mapping[Key, np.ndarray], confidence: float
) -> dict[Key, Interval]:
    """Compute the interval of each correctness (seeds, images), with a pooled seed variance."""
    spreads = {key: compute_spread(values) for key, values in correct.items()}
    pool = pool_spreads(list(spreads.values()))
    return {
        key: interval_of_spread(spread, confidence, pool) for key, spread in spreads.items()
    }
