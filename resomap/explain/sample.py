"""Which test pictures are explained, and which of them are answered right."""

from collections.abc import Sequence

import numpy as np

from resomap.metrics import pair_accuracy


def stratified(labels: np.ndarray, count: int) -> np.ndarray:
    """Indices of `count` pictures, in index order: the first of every class, then the second of every class, and so on.

    They depend on the labels (N,) alone, so every model, resolution and seed explains the same pictures, and a smaller count is contained
    in a larger one. A class that runs out leaves its turns to the others; fewer than `count` pictures are all taken.
    """
    by_class = np.argsort(labels, kind="stable")
    classes = labels[by_class]
    turn = np.arange(len(labels)) - np.searchsorted(classes, classes)
    return np.sort(by_class[np.lexsort((classes, turn))[:count]])


def answered_right(
    logits: np.ndarray, labels: np.ndarray, pairs: Sequence[Sequence[int]] | None
) -> np.ndarray:
    """Whether each picture (N,) is answered right: inside the pair of its label's class where that is in one, else among all classes."""
    inside = pair_accuracy(logits, labels, pairs)
    right: np.ndarray = np.where(np.isnan(inside), logits.argmax(axis=1) == labels, inside == 1)
    return right
