"""Interventions: how predictions change when objects or stickers are exchanged.

No attribution map is involved, so interventions can validate what maps suggest. In an exchange
the object of one image is pasted onto the background of an image of another class (cf. Xiao et
al. 2021). A network that relies on the object still predicts the object's class.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from resomap.explain.grids import blur_weights, overlap
from resomap.workflow.layout import table_columns

INTERVENTION_COLUMNS = table_columns("run_interventions")
# Margin around a mask that is removed with the object, in image widths: anti-aliased edges
# would still show its outline.
MARGIN = 0.02
MEAN_COLOUR_WEIGHT = 1e-6


def usable(masks: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return which uint8 masks (n, H, W) hold an object and a background: bool (n,).

    All are False where the usable images belong to a single class.
    """
    covered = masks.reshape(len(masks), -1)
    has_both: np.ndarray = (covered.max(axis=1) > 0) & (covered.min(axis=1) < 255)
    if len(np.unique(labels[has_both])) > 1:
        return has_both
    return np.zeros_like(has_both)


def partners(labels: np.ndarray, pairs: Sequence[Sequence[int]] | None) -> np.ndarray:
    """Return the position of a partner of another class for each of labels (n,): int64 (n,).

    Needs at least two classes. The k-th image of a class is matched with the k-th image of its
    pair partner, or of the next class where it has none; a shorter class is repeated.
    """
    partner_class = {}
    for first, second in pairs or ():
        partner_class[first], partner_class[second] = second, first
    classes = np.unique(labels)
    positions = np.empty(len(labels), np.int64)
    for label, following in zip(classes.tolist(), np.roll(classes, -1).tolist(), strict=True):
        other = partner_class.get(label, following)
        if other not in classes:
            other = following
        members = np.flatnonzero(labels == label)
        positions[members] = np.resize(np.flatnonzero(labels == other), len(members))
    return positions


def exchange(images: np.ndarray, masks: np.ndarray, partner: np.ndarray) -> np.ndarray:
    """Paste the object of each of uint8 images (n, r, r, 3) onto its partner's background.

    The partner's own object is filled in first. `masks` are uint8 (n, H, W) of any size: the
    share of a pixel that the object covers, times 255. `partner` (n,) are positions in
    `images`. Returns uint8 images of the same shape.
    """
    exchanged = np.empty_like(images)
    for position, other in enumerate(partner.tolist()):
        covered = _coverage(masks[position], images.shape[1])
        background = _inpaint(images[other], _coverage(masks[other], images.shape[1]))
        blended = background + covered * (images[position] - background)
        exchanged[position] = np.rint(blended).astype(np.uint8)
    return exchanged


def preferred_class(logits: np.ndarray, labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return `labels` or `others` (n,), whichever has the larger of logits (n, C)."""
    rows = np.arange(len(logits))
    return np.where(logits[rows, labels] > logits[rows, others], labels, others)


def follow(logits: np.ndarray, labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return what each prediction follows (n,): "object" for its label, else "rest"."""
    return np.where(preferred_class(logits, labels, others) == labels, "object", "rest")


def intervention_rows(
    kind: str,
    index: np.ndarray,
    other: np.ndarray,
    labels: np.ndarray,
    others: np.ndarray,
    groups: Sequence[str] | None,
    logits: tuple[np.ndarray, np.ndarray],
) -> list[dict[str, Any]]:
    """Return one row of INTERVENTION_COLUMNS per image.

    `index` and `other` are the positions of an image and its partner in the test split,
    `labels` and `others` their classes, `logits` those before and after the intervention.
    `groups` names the group of every class. Only the two classes compete.
    """
    before, after = (preferred_class(values, labels, others) for values in logits)
    group = np.array([None] * len(labels))
    if groups is not None:
        group = np.array(groups, object)[labels]
    follows = follow(logits[1], labels, others)
    columns = (index, other, labels, others, group, before, after, follows)
    return [
        dict(zip(INTERVENTION_COLUMNS, (kind, *values), strict=True))
        for values in zip(*map(np.ndarray.tolist, columns), strict=True)
    ]


def _coverage(mask: np.ndarray, side: int) -> np.ndarray:
    """Return the share of each pixel that the object covers (side, side, 1)."""
    height, width = mask.shape
    coverage: np.ndarray = overlap(height, side) @ (mask / 255) @ overlap(width, side).T
    return coverage[..., None]


def _inpaint(image: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Fill the object of an image (r, r, 3), and a margin, from its surroundings.

    Normalised convolution (Knutsson & Westin 1993): the blurred known pixels divided by the
    blurred mask of known pixels.
    """
    from scipy.ndimage import maximum_filter

    window = 1 + 2 * math.ceil(MARGIN * len(image))
    outside = 1 - maximum_filter(covered, size=(window, window, 1))
    # An object that fills all but a margin leaves only the partly covered pixels.
    if not outside.any():
        outside = 1 - covered
    weights = blur_weights(len(image))
    known = np.concatenate([image * outside, outside], axis=2)
    blurred = (weights @ known.transpose(2, 0, 1) @ weights.T).transpose(1, 2, 0)
    # The mean colour of the surroundings has a small weight everywhere, so that it fills what
    # the blur does not reach, without a division by zero.
    spread = blurred + MEAN_COLOUR_WEIGHT * known.mean(axis=(0, 1))
    filled: np.ndarray = known[..., :3] + (1 - outside) * spread[..., :3] / spread[..., 3:]
    return filled
