"""Findings about the baseline of every accuracy: always predicting the majority class."""

from typing import Any

import pandas as pd

from resomap.analysis.findings.finding import Estimate, Finding


def majority_baseline(cells: pd.DataFrame) -> Finding:
    """Find what the majority class scores on test images, and how many cells beat it.

    The state is `beaten` when the interval of a cell lies above it, else `not beaten`;
    `unknown` without a finished run.
    """
    evidence = "tables/cells.csv"
    finished = cells[cells["n_seeds"] > 0]
    if finished.empty:
        return Finding("majority baseline", "unknown", evidence)
    above = int(beats_majority(finished).sum())
    # All cells are tested on the same images.
    row = finished.iloc[0]
    numbers = {
        "majority": Estimate(float(row["majority_accuracy"]), n=int(row["n_test"])),
        "cells_above": Estimate(above, n=len(finished)),
    }
    state = "beaten" if above else "not beaten"
    return Finding("majority baseline", state, evidence, numbers=numbers)


def beats_majority(cells: Any) -> Any:
    """Return whether the interval of each cell, or of one row, lies above the majority class."""
    return cells["accuracy_low"] > cells["majority_accuracy"]
