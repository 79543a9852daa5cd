"""Common random numbers: what happens to a picture in an epoch, the same at every resolution."""

from dataclasses import dataclass

import numpy as np

from resomap.sections import Augmentation

ORDER, CHANGES = 0, 1


@dataclass(frozen=True)
class Draws:
    """One epoch: the `order` (N,) of the pictures, and for each picture whether it is `flipped` (N,)."""

    order: np.ndarray
    flipped: np.ndarray


def draw_epoch(seed: int, epoch: int, count: int, augmentation: Augmentation) -> Draws:
    """Draw order and changes of `count` pictures from (seed, epoch) alone: no resolution, worker or history enters."""
    order = np.random.default_rng([seed, epoch, ORDER]).permutation(count)
    flipped = np.random.default_rng([seed, epoch, CHANGES]).random(count) < augmentation.horizontal_flip
    return Draws(order, flipped)
