"""What answers follow when a picture is changed by hand: no map is asked, so this can judge what maps say.

An exchange lays the object of one picture on the rest of another of a different class (Xiao et al. 2021 mix rests so). A network that
reads the object answers as the object's class.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from resomap.explain.grids import overlap, smoother
from resomap.workflow.layout import table_columns

INTERVENTION_COLUMNS = table_columns("run_interventions")
RIM = 0.02
"""How far around its mask an object is taken out, in picture widths: soft edges tell of it."""
FAINT = 1e-6


def usable(masks: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which pictures, of uint8 masks (n, H, W), have an object as well as a rest: bool (n,); none where all these are of one class."""
    covered = masks.reshape(len(masks), -1)
    parted: np.ndarray = (covered.max(axis=1) > 0) & (covered.min(axis=1) < 255)
    return parted if len(np.unique(labels[parted])) > 1 else np.zeros_like(parted)


def partners(labels: np.ndarray, pairs: Sequence[Sequence[int]] | None) -> np.ndarray:
    """A picture of another class for each picture of labels (n,), two classes or more: its place, int64 (n,).

    The k-th of a class meets the k-th of its pair's other class, or of the next class there is where it has none; a class that runs short
    starts again.
    """
    paired = {own: other for pair in pairs or () for own, other in (pair, pair[::-1])}
    classes = np.unique(labels)
    places = np.empty(len(labels), np.int64)
    for own, following in zip(classes.tolist(), np.roll(classes, -1).tolist(), strict=True):
        other = paired.get(own, following)
        mine, theirs = (
            np.flatnonzero(labels == name)
            for name in (own, other if other in classes else following)
        )
        places[mine] = np.resize(theirs, len(mine))
    return places


def exchange(images: np.ndarray, masks: np.ndarray, partner: np.ndarray) -> np.ndarray:
    """Lay the object of each of uint8 images (n, r, r, 3) on the rest of its partner's, whose own object is filled: uint8 of the same shape.

    Masks, uint8 (n, H, W) of any size, say which share of a pixel the object covers (times 255); `partner` (n,) are places of pictures.
    """
    return np.stack(
        [_laid(images, masks, object_, rest) for object_, rest in enumerate(partner.tolist())]
    )


def answers(logits: np.ndarray, labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of two classes (n,) each, `labels` or `others`, logits (n, C) prefer."""
    pictures = np.arange(len(logits))
    return np.where(logits[pictures, labels] > logits[pictures, others], labels, others)


def follow(logits: np.ndarray, labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """What an answer follows (n,): "object" where it is the object's label rather than the other class, else "rest"."""
    return np.where(answers(logits, labels, others) == labels, "object", "rest")


def intervention_rows(
    kind: str,
    index: np.ndarray,
    other: np.ndarray,
    labels: np.ndarray,
    others: np.ndarray,
    groups: Sequence[str] | None,
    logits: tuple[np.ndarray, np.ndarray],
) -> list[dict[str, Any]]:
    """Rows of COLUMNS, one a picture: the places of it and its partner in the split, both labels, and `logits` before and after.

    `groups` names the group of every class. Answers are compared between the two classes alone.
    """
    before, after = (answers(values, labels, others) for values in logits)
    columns = (index, other, labels, others, before, after, follow(logits[1], labels, others))
    rows = [
        dict(zip(INTERVENTION_COLUMNS, (kind, *row[:4], None, *row[4:]), strict=True))
        for row in zip(*map(np.ndarray.tolist, columns), strict=True)
    ]
    return rows if groups is None else [row | {"group": groups[row["label"]]} for row in rows]


def _laid(images: np.ndarray, masks: np.ndarray, object_: int, rest: int) -> np.ndarray:
    covered = _coverage(masks[object_], images.shape[1])
    ground = _filled(images[rest], _coverage(masks[rest], images.shape[1]))
    laid: np.ndarray = np.rint(ground + covered * (images[object_] - ground)).astype(np.uint8)
    return laid


def _coverage(mask: np.ndarray, side: int) -> np.ndarray:
    """The share of each of side x side pixels that the object covers (side, side, 1); a mask may be smaller than the picture."""
    rows, columns = (overlap(length, side) for length in mask.shape)
    coverage: np.ndarray = rows @ (mask / 255) @ columns.T
    return coverage[..., None]


def _filled(image: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """The picture (r, r, 3), its object and the rim around it filled from what lies outside: a normalised convolution (Knutsson 1993).

    Where no surrounding reaches, it is the mean colour outside, which counts FAINT everywhere.
    """
    from scipy.ndimage import maximum_filter

    rim = 1 + 2 * math.ceil(RIM * len(image))
    outside = 1 - maximum_filter(covered, size=(rim, rim, 1))
    if not outside.any():
        outside = 1 - covered
    weights = smoother(len(image))
    known = np.concatenate([image * outside, outside], axis=2)
    spread = (weights @ known.transpose(2, 0, 1) @ weights.T).transpose(
        1, 2, 0
    ) + FAINT * known.mean(axis=(0, 1))
    filled: np.ndarray = known[..., :3] + (1 - outside) * spread[..., :3] / spread[..., 3:]
    return filled
