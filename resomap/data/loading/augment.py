"""Common random numbers: what happens to a picture in an epoch, the same at every resolution.

Everything is drawn for the whole epoch from (seed, epoch) alone, each kind from a stream of its own, in fractions of the side.
"""

import math
from dataclasses import dataclass

import numpy as np

from resomap.config.training import Augmentation, ColorJitter, GaussianBlur, RandomErasing

ORDER, FLIP, CROP, ROTATION, COLOR, BLUR, ERASING = range(7)
TRIES = 10


@dataclass(frozen=True)
class Draws:
    """One epoch of N pictures; None for a change that the recipe leaves out.

    order     (N,) the picture at each position
    slot      (N,) the row of what follows that each position takes, every row once: a picture's own, but where it repeats
    flipped   (N,) whether a picture is flipped
    box       (N, 4) left, top, width, height of its crop, in fractions of the side
    angle     (N,) its rotation in degrees, counter-clockwise
    color     (N, 4) factors of brightness, contrast and saturation, and the turn of hue
    sigma     (N,) its blur in fractions of the side, 0 for none
    erased    (N, 4) left, top, width, height of the erased box, 0 wide for none
    """

    order: np.ndarray
    slot: np.ndarray
    flipped: np.ndarray
    box: np.ndarray | None = None
    angle: np.ndarray | None = None
    color: np.ndarray | None = None
    sigma: np.ndarray | None = None
    erased: np.ndarray | None = None


def draw_epoch(
    seed: int,
    epoch: int,
    count: int,
    augmentation: Augmentation,
    balanced: np.ndarray | None = None,
) -> Draws:
    """Draw order and changes of `count` pictures from (seed, epoch) alone: no resolution, worker or history enters.

    `balanced` (N,) are the classes of the pictures where each class is to come equally often; None: every picture once.
    """

    def stream(kind: int) -> np.random.Generator:
        return np.random.default_rng([seed, epoch, kind])

    crop, degrees = augmentation.random_resized_crop, augmentation.rotation_degrees
    order = (
        stream(ORDER).permutation(count)
        if balanced is None
        else draw_balanced(stream(ORDER), balanced)
    )
    return Draws(
        order=order,
        slot=_slots(order),
        flipped=stream(FLIP).random(count) < augmentation.horizontal_flip,
        box=draw_boxes(stream(CROP), count, crop.scale, crop.ratio) if crop else None,
        angle=stream(ROTATION).uniform(-degrees, degrees, count) if degrees else None,
        color=_draw_colors(stream(COLOR), count, augmentation.color_jitter)
        if augmentation.color_jitter
        else None,
        sigma=_draw_sigmas(stream(BLUR), count, augmentation.blur)
        if augmentation.blur
        else None,
        erased=_draw_erased(stream(ERASING), count, augmentation.erasing)
        if augmentation.erasing
        else None,
    )


def draw_balanced(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """Pictures (N,) in random order, each class of `labels` (N,) as often as another or once more: which, is drawn.

    A picture comes again only after all of its class have; of a class with more than its share, a random part comes.
    """
    sizes = np.unique(labels, return_counts=True)[1]
    classes = np.split(np.argsort(labels, kind="stable"), np.cumsum(sizes)[:-1])
    least, rest = divmod(len(labels), len(classes))
    shares = least + (rng.permutation(len(classes)) < rest)
    drawn = [
        np.resize(rng.permutation(pictures), share)
        for pictures, share in zip(classes, shares, strict=True)
    ]
    return rng.permutation(np.concatenate(drawn))


def _slots(order: np.ndarray) -> np.ndarray:
    """A picture's own row where it first comes; where it repeats, rows of the pictures that do not come, which are as many."""
    positions, first = np.arange(len(order)), np.full_like(order, -1)
    first[order[::-1]] = positions[
        ::-1
    ]  # where a picture repeats, the last that is written stands
    slot = order.copy()
    slot[first[order] != positions] = np.flatnonzero(first < 0)
    return slot


def draw_boxes(
    rng: np.random.Generator, count: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> np.ndarray:
    """Boxes (N, 4) inside the unit square: area even in `scale`, ratio even in its logarithm, as torchvision's RandomResizedCrop.

    The first of ten tries that fits is taken; where none does, the largest box of the nearest ratio, in the middle.
    """
    area = rng.uniform(*scale, (count, TRIES))
    shape = np.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1]), (count, TRIES)))
    place = rng.random((count, 2))
    sizes = np.stack([np.sqrt(area * shape), np.sqrt(area / shape)], axis=-1)
    fits = (sizes <= 1).all(axis=-1)
    size = np.take_along_axis(sizes, fits.argmax(axis=1)[:, None, None], axis=1)[:, 0]
    nearest = min(max(1.0, ratio[0]), ratio[1])
    largest = np.array([min(1.0, nearest), min(1.0, 1 / nearest)])
    found = fits.max(axis=1, keepdims=True)
    size = np.where(found, size, largest)
    return np.concatenate([(1 - size) * np.where(found, place, 0.5), size], axis=1)


def _draw_colors(rng: np.random.Generator, count: int, jitter: ColorJitter) -> np.ndarray:
    around = np.array([1.0, 1.0, 1.0, 0.0])
    most = np.array([jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue])
    return around + most * rng.uniform(-1, 1, (count, 4))


def _draw_sigmas(rng: np.random.Generator, count: int, blur: GaussianBlur) -> np.ndarray:
    chosen, sigmas = rng.random(count) < blur.probability, rng.uniform(*blur.sigma, count)
    return np.where(chosen, sigmas, 0.0)


def _draw_erased(rng: np.random.Generator, count: int, erasing: RandomErasing) -> np.ndarray:
    chosen = rng.random((count, 1)) < erasing.probability
    return np.where(chosen, draw_boxes(rng, count, erasing.scale, erasing.ratio), 0.0)
