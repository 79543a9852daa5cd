"""Accuracy of every class in every cell, against counts of the predictions."""

import numpy as np
import pytest

from resomap.analysis.per_image.class_accuracy import class_accuracy_rows
from resomap.analysis.predictions import Cell, Predictions

MANIFEST = {"classes": ["cat", "dog", "empty"]}
LABELS = np.arange(40) % 2


def predictions(px: int, seeds: int) -> Predictions:
    right = np.random.default_rng(px).random((seeds, len(LABELS))) < 0.8
    cell = Cell("custom", "net", px)
    missing = np.full(right.shape, np.nan)
    return Predictions(cell, tuple(range(seeds)), LABELS, {px: right}, missing)


def test_accuracy_of_a_class_is_the_share_of_its_images():
    cells = {each.cell: each for each in (predictions(24, 2), predictions(48, 2))}
    rows = list(class_accuracy_rows(cells, MANIFEST, 0.95))
    assert len(rows) == 4
    for row in rows:
        correct = cells[Cell("custom", "net", row["resolution"])].correct_as_trained
        label = MANIFEST["classes"].index(row["class"])
        assert row["accuracy"] == pytest.approx(correct[:, label == LABELS].mean())
        assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]
        assert (row["n"], row["n_seeds"]) == (20, 2)


def test_class_without_test_images_has_no_row():
    cells = {each.cell: each for each in (predictions(24, 1),)}
    rows = class_accuracy_rows(cells, MANIFEST, 0.95)
    assert [row["class"] for row in rows] == ["cat", "dog"]
