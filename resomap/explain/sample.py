"""Which test pictures are explained."""

import numpy as np


def stratified(labels: np.ndarray, count: int) -> np.ndarray:
    """Indices of `count` pictures, in index order: the first of every class, then the second of every class, and so on.

    They depend on the labels (N,) alone, so every model, resolution and seed explains the same pictures, and a smaller count is contained
    in a larger one. A class that runs out leaves its turns to the others; fewer than `count` pictures are all taken.
    """
    by_class = np.argsort(labels, kind="stable")
    classes = labels[by_class]
    turn = np.arange(len(labels)) - np.searchsorted(classes, classes)
    return np.sort(by_class[np.lexsort((classes, turn))[:count]])
