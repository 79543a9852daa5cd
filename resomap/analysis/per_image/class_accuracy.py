"""Rows of class_accuracy.csv: the accuracy of every class in every cell, as trained."""

from collections.abc import Iterator, Mapping
from typing import Any

from resomap.analysis.accuracies import pooled_intervals
from resomap.analysis.predictions import Cell, Predictions
from resomap.analysis.profiles import Row


def class_accuracy_rows(
    test: Mapping[Cell, Predictions], manifest: dict[str, Any], confidence: float
) -> Iterator[Row]:
    """Yield a row per class and cell on test images; classes without any have none.

    The seed variance of a class is pooled over the cells.
    """
    for index, name in enumerate(manifest["classes"]):
        correct = {
            cell: each.correct_as_trained[:, each.labels == index]
            for cell, each in test.items()
        }
        known = {cell: values for cell, values in correct.items() if values.size}
        for cell, interval in pooled_intervals(known, confidence).items():
            yield {
                **cell._asdict(),
                "class": name,
                "n_seeds": known[cell].shape[0],
                "n": known[cell].shape[1],
                **interval.columns("accuracy"),
                "interval": interval.method,
            }
