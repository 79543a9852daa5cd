"""Random draws of an epoch: the order of the images, and the augmentation of each.

These are common random numbers. All is drawn for the whole epoch from (seed, epoch) alone, each
kind from its own stream and in fractions of the side, so that an image gets the same crop at
every resolution, batch size and number of workers.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from resomap.config.augmentation import Augmentation, ColorJitter, GaussianBlur, RandomErasing
from resomap.data.loading.policies import draw_rand_augment, draw_trivial_augment

# Numbers of the streams: one augmentation more or less leaves the draws of the others alone.
ORDER, FLIP, CROP, ROTATION, COLOR, BLUR, ERASING, RANDAUGMENT, TRIVIAL, MIXING = range(10)
CROP_TRIES = 10


@dataclass(frozen=True)
class EpochDraws:
    """The draws for one epoch of N images; None for an augmentation that is off.

    order     (N,) the image at each position
    slot      (N,) the row of the following arrays for each position; every row is used once
    flipped   (N,) whether it is flipped
    box       (N, 4) left, top, width, height of the crop, in fractions of the side
    angle     (N,) rotation in degrees, counter-clockwise
    color     (N, 4) factors of brightness, contrast and saturation, and the shift of hue
    sigma     (N,) sigma of the blur in fractions of the side, 0 for none
    erased    (N, 4) left, top, width, height of the erased box, width 0 for none
    operation (N, K) operations of RandAugment and TrivialAugment, one after another
    strength  (N, K) strength of each, in its own unit
    """

    order: np.ndarray
    slot: np.ndarray
    flipped: np.ndarray
    box: np.ndarray | None = None
    angle: np.ndarray | None = None
    color: np.ndarray | None = None
    sigma: np.ndarray | None = None
    erased: np.ndarray | None = None
    operation: np.ndarray | None = None
    strength: np.ndarray | None = None


def draw_epoch(
    seed: int,
    epoch: int,
    count: int,
    augmentation: Augmentation,
    balanced_labels: np.ndarray | None = None,
) -> EpochDraws:
    """Draw order and augmentations of `count` images from (seed, epoch) alone.

    With `balanced_labels` (N,) every class appears equally often; without, every image once.
    """

    def stream(kind: int) -> np.random.Generator:
        return np.random.default_rng([seed, epoch, kind])

    if balanced_labels is None:
        order = stream(ORDER).permutation(count)
    else:
        order = draw_balanced(stream(ORDER), balanced_labels)
    draws: dict[str, Any] = {}
    if augmentation.random_resized_crop:
        crop = augmentation.random_resized_crop
        draws["box"] = draw_boxes(stream(CROP), count, crop.scale, crop.ratio)
    if augmentation.rotation_degrees:
        most = augmentation.rotation_degrees
        draws["angle"] = stream(ROTATION).uniform(-most, most, count)
    if augmentation.color_jitter:
        draws["color"] = _draw_colors(stream(COLOR), count, augmentation.color_jitter)
    if augmentation.blur:
        draws["sigma"] = _draw_sigmas(stream(BLUR), count, augmentation.blur)
    if augmentation.erasing:
        draws["erased"] = _draw_erased(stream(ERASING), count, augmentation.erasing)
    policies = list[tuple[np.ndarray, np.ndarray]]()
    if augmentation.rand_augment:
        options = augmentation.rand_augment
        policies.append(draw_rand_augment(stream(RANDAUGMENT), count, options))
    if augmentation.trivial_augment:
        policies.append(draw_trivial_augment(stream(TRIVIAL), count))
    if policies:
        draws["operation"], draws["strength"] = map(np.hstack, zip(*policies, strict=True))
    flipped = stream(FLIP).random(count) < augmentation.horizontal_flip
    return EpochDraws(order, _assign_slots(order), flipped, **draws)


def draw_balanced(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """Return N images in random order, where the counts of the classes differ by at most one.

    Which classes get one more is drawn. An image is repeated only after all of its class have
    appeared; of a class with more images than its share, a random part appears.
    """
    sizes = np.unique(labels, return_counts=True)[1]
    members = np.split(np.argsort(labels, kind="stable"), np.cumsum(sizes)[:-1])
    quotient, rest = divmod(len(labels), len(members))
    shares = quotient + (rng.permutation(len(members)) < rest)
    # np.resize repeats a permutation from its start: no image returns before all have appeared.
    drawn = [
        np.resize(rng.permutation(images), share)
        for images, share in zip(members, shares, strict=True)
    ]
    return rng.permutation(np.concatenate(drawn))


def _assign_slots(order: np.ndarray) -> np.ndarray:
    """Return a row of the draws for each position.

    An image uses its own row where it first appears, and for repeats the rows of images that do
    not appear: there are as many of them.
    """
    positions, first = np.arange(len(order)), np.full_like(order, -1)
    # Where an index repeats, numpy keeps the last value: reversed, that is the first position.
    first[order[::-1]] = positions[::-1]
    slot = order.copy()
    slot[first[order] != positions] = np.flatnonzero(first < 0)
    return slot


def draw_boxes(
    rng: np.random.Generator, count: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> np.ndarray:
    """Return boxes (N, 4) in the unit square, distributed as torchvision's RandomResizedCrop.

    The area is uniform in `scale`, the logarithm of the aspect ratio uniform in `ratio`. The
    first of ten tries that fits is taken, else the largest box of the nearest ratio, centred.
    """
    # All tries are drawn at once, so that the number of draws does not depend on the outcome.
    area = rng.uniform(*scale, (count, CROP_TRIES))
    shape = np.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1]), (count, CROP_TRIES)))
    position = rng.random((count, 2))
    sizes = np.stack([np.sqrt(area * shape), np.sqrt(area / shape)], axis=-1)
    fits = (sizes <= 1).all(axis=-1)
    size = np.take_along_axis(sizes, fits.argmax(axis=1)[:, None, None], axis=1)[:, 0]
    nearest = min(max(1.0, ratio[0]), ratio[1])
    largest = np.array([min(1.0, nearest), min(1.0, 1 / nearest)])
    any_fits = fits.max(axis=1, keepdims=True)
    size = np.where(any_fits, size, largest)
    return np.concatenate([(1 - size) * np.where(any_fits, position, 0.5), size], axis=1)


def _draw_colors(rng: np.random.Generator, count: int, jitter: ColorJitter) -> np.ndarray:
    neutral = np.array([1.0, 1.0, 1.0, 0.0])
    most = np.array([jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue])
    return neutral + most * rng.uniform(-1, 1, (count, 4))


def _draw_sigmas(rng: np.random.Generator, count: int, blur: GaussianBlur) -> np.ndarray:
    chosen, sigmas = rng.random(count) < blur.probability, rng.uniform(*blur.sigma, count)
    return np.where(chosen, sigmas, 0.0)


def _draw_erased(rng: np.random.Generator, count: int, erasing: RandomErasing) -> np.ndarray:
    chosen = rng.random((count, 1)) < erasing.probability
    return np.where(chosen, draw_boxes(rng, count, erasing.scale, erasing.ratio), 0.0)
