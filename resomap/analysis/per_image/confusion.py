"""Rows of confusion.csv: which classes the networks of a cell take for which."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from resomap.analysis.predictions import Cell, RunFolders, finished_runs
from resomap.analysis.profiles import Row
from resomap.analysis.run_tables import read_own_logits
from resomap.metrics import confusion_matrix


def confusion_rows(
    cells: Sequence[Cell], seeds: Sequence[int], runs: RunFolders, manifest: dict[str, Any]
) -> Iterator[Row]:
    """Yield a row per cell and pair of classes that occurs, on test images of all runs."""
    classes = manifest["classes"]
    for cell in cells:
        finished = finished_runs([cell], seeds, runs)
        total = np.zeros((len(classes), len(classes)), np.int64)
        for run in finished:
            logits, labels = read_own_logits(run)
            total += confusion_matrix(logits.argmax(axis=1), labels, len(classes))
        images = total.sum(axis=1)
        # Of many classes most pairs never occur, so a row for each would fill the disk.
        for label, predicted in np.argwhere(total):
            yield {
                **cell._asdict(),
                "class": classes[label],
                "predicted": classes[predicted],
                "n_seeds": len(finished),
                "n": int(images[label]),
                "count": int(total[label, predicted]),
            }
