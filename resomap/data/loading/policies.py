"""Draws of RandAugment and TrivialAugment: which operations on which image, and how strong.

Operations, their order and their ranges are torchvision's. Lengths are fractions of the side, so
that an operation is the same at every resolution.
"""

from enum import IntEnum, auto

import numpy as np

from resomap.config.augmentation import RandAugment


class Operation(IntEnum):
    """What is done to an image; its strength is in the unit given here."""

    IDENTITY = 0
    SHEAR_X = auto()  # tangent of the angle
    SHEAR_Y = auto()
    TRANSLATE_X = auto()  # fraction of the side
    TRANSLATE_Y = auto()
    ROTATE = auto()  # degrees, counter-clockwise
    BRIGHTNESS = auto()  # factor - 1
    COLOR = auto()  # factor - 1 of the saturation
    CONTRAST = auto()  # factor - 1
    SHARPNESS = auto()  # factor - 1
    POSTERIZE = auto()  # bits that stay
    SOLARIZE = auto()  # share of the largest value, from which on values are inverted
    AUTO_CONTRAST = auto()
    EQUALIZE = auto()


BINS = 30  # torchvision has 31 magnitudes, from 0 to the largest
# The strongest of each: of RandAugment, and of TrivialAugmentWide. torchvision translates by 32
# pixels in the latter, at any size; here it is what they are of 224.
STRONGEST = {
    Operation.SHEAR_X: (0.3, 0.99),
    Operation.SHEAR_Y: (0.3, 0.99),
    Operation.TRANSLATE_X: (150 / 331, 32 / 224),
    Operation.TRANSLATE_Y: (150 / 331, 32 / 224),
    Operation.ROTATE: (30.0, 135.0),
    Operation.BRIGHTNESS: (0.9, 0.99),
    Operation.COLOR: (0.9, 0.99),
    Operation.CONTRAST: (0.9, 0.99),
    Operation.SHARPNESS: (0.9, 0.99),
}
FEWER_BITS = (4, 6)


def draw_rand_augment(
    rng: np.random.Generator, count: int, options: RandAugment
) -> tuple[np.ndarray, np.ndarray]:
    """Return operations and strengths (count, num_ops) of RandAugment (Cubuk et al. 2019)."""
    shape = count, options.num_ops
    operations, signs = _draw_operations(rng, shape)
    return operations, _strengths(operations, np.full(shape, options.magnitude), signs, wide=0)


def draw_trivial_augment(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return operations and strengths (count, 1) of TrivialAugmentWide (Müller, Hutter 2021)."""
    operations, signs = _draw_operations(rng, (count, 1))
    magnitudes = rng.integers(BINS + 1, size=(count, 1))
    return operations, _strengths(operations, magnitudes, signs, wide=1)


def _draw_operations(
    rng: np.random.Generator, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    return rng.integers(len(Operation), size=shape), rng.choice([-1.0, 1.0], size=shape)


def _strengths(
    operations: np.ndarray, magnitudes: np.ndarray, signs: np.ndarray, wide: int
) -> np.ndarray:
    share = magnitudes / BINS
    strengths = np.zeros(operations.shape)
    for operation, strongest in STRONGEST.items():
        strengths = np.where(
            operations == operation, signs * share * strongest[wide], strengths
        )
    bits = np.round(8 - share * FEWER_BITS[wide])
    strengths = np.where(operations == Operation.POSTERIZE, bits, strengths)
    return np.where(operations == Operation.SOLARIZE, 1 - share, strengths)
