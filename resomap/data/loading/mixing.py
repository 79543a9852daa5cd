"""Mixup and CutMix: batches whose images are mixed in pairs, with soft targets.

Each image is paired with the one before it in its batch, whose order is random (torchvision's
pairing). Which of both, and the shares, are drawn for a batch from (seed, epoch) alone.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

MIXUP, CUTMIX, CENTRE, CHOICE = range(4)


@dataclass(frozen=True)
class Mixing:
    """Alphas of mixup and CutMix, None for one that is off, and the number of classes."""

    mixup: float | None
    cutmix: float | None
    num_classes: int


class BatchMix(NamedTuple):
    """How a batch is mixed: the share of an image itself in what it becomes.

    `box` has the left, top, right and bottom of what comes from the other image, in fractions
    of the side; without it the images are averaged.
    """

    share: float
    box: tuple[float, float, float, float] | None = None


def draw_mixes(key: list[int], count: int, mixing: Mixing) -> list[BatchMix]:
    """Draw how each of `count` batches is mixed, from the numbers `key` alone."""

    # One stream for each kind, so that a batch does not depend on the number of batches.
    def stream(kind: int) -> np.random.Generator:
        return np.random.default_rng([*key, kind])

    mixes = list[list[BatchMix]]()
    if mixing.mixup:
        shares = stream(MIXUP).beta(mixing.mixup, mixing.mixup, count)
        mixes.append([BatchMix(share) for share in shares.tolist()])
    if mixing.cutmix:
        shares = stream(CUTMIX).beta(mixing.cutmix, mixing.cutmix, count).tolist()
        centres = stream(CENTRE).random((count, 2)).tolist()
        mixes.append([_cut(*pair) for pair in zip(shares, centres, strict=True)])
    chosen = stream(CHOICE).integers(len(mixes), size=count).tolist()
    return [mixes[kind][number] for number, kind in enumerate(chosen)]


def _cut(share: float, centre: list[float]) -> BatchMix:
    """Return the box of the area 1 - `share` around `centre`, clipped at the edges."""
    half = math.sqrt(1 - share) / 2
    left, top = (max(0.0, value - half) for value in centre)
    right, bottom = (min(1.0, value + half) for value in centre)
    # Of the area, not of the pixels: targets are the same at every resolution.
    return BatchMix(1 - (right - left) * (bottom - top), (left, top, right, bottom))


def mix_images(images: Tensor, others: Tensor, mix: BatchMix) -> Tensor:
    """Return images (B, C, r, r), each mixed with the one at its place in `others`."""
    if mix.box is None:
        return torch.lerp(others, images, mix.share)
    side = images.shape[-1]
    # The pixels whose centres are in the box.
    left, top, right, bottom = (math.ceil(edge * side - 0.5) for edge in mix.box)
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
    return mixed


def mix_labels(labels: Tensor, others: Tensor, mix: BatchMix, num_classes: int) -> Tensor:
    """Return the shares (B, classes) of the classes in mixed images."""
    # Not functional.one_hot, for which the CPU waits to check the labels.
    classes = torch.arange(num_classes, device=labels.device)
    own, other = ((each[:, None] == classes).float() for each in (labels, others))
    return own * mix.share + other * (1 - mix.share)
