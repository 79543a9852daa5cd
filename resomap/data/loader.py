"""Batches from a resident uint8 store: sliced, flipped and normalised on the tensor, in the memory format of the network."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from resomap.data.augment import draw_epoch
from resomap.sections import Augmentation


class Normalise:
    """uint8 NHWC pictures to float32 NCHW in channels_last layout, `(x / 255 - mean) / std`."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> None:
        self._scale = (1 / (255 * torch.tensor(std))).to(device)
        self._shift = (-torch.tensor(mean) / torch.tensor(std)).to(device)

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise a batch; the NHWC result viewed as NCHW is channels_last without a copy."""
        return torch.addcmul(self._shift, images.float(), self._scale).permute(0, 3, 1, 2)


class TrainLoader:
    """Shuffled, augmented batches of (float images (B,3,r,r), labels (B,)); `set_epoch` chooses the draws.

    A rest of one picture joins the batch before it.
    """

    def __init__(
        self, images: Tensor, labels: Tensor, normalise: Normalise, batch_size: int, seed: int, augmentation: Augmentation
    ) -> None:
        self._images, self._labels, self._normalise = images, labels, normalise
        self._batch_size, self._seed, self._augmentation, self._epoch = batch_size, seed, augmentation, 0

    def __len__(self) -> int:
        return len(self._sizes())

    def _sizes(self) -> list[int]:
        whole, rest = divmod(len(self._images), self._batch_size)
        if rest == 1 and whole:  # BatchNorm cannot learn from one picture on a map of one cell
            return [self._batch_size] * (whole - 1) + [self._batch_size + 1]
        return [self._batch_size] * whole + [rest] * (rest > 0)

    def set_epoch(self, epoch: int) -> None:
        """Use the draws of `epoch` (from 0) in the next iteration."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        draws = draw_epoch(self._seed, self._epoch, len(self._images), self._augmentation)
        device = self._images.device
        order, flipped = (torch.from_numpy(array).to(device) for array in (draws.order, draws.flipped))
        for index in order.split(self._sizes()):
            yield self._normalise(_flip(self._images[index], flipped[index])), self._labels[index]


class EvalLoader:
    """Batches in stored order, normalised."""

    def __init__(self, images: Tensor, labels: Tensor, normalise: Normalise, batch_size: int) -> None:
        self.labels = labels
        self._images, self._normalise, self._batch_size = images, normalise, batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in zip(self._images.split(self._batch_size), self.labels.split(self._batch_size), strict=True):
            yield self._normalise(images), labels


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """A memory-mapped array as a tensor of its own on `device`."""
    return torch.from_numpy(np.array(array)).to(device)


def _flip(images: Tensor, flipped: Tensor) -> Tensor:
    return torch.where(flipped[:, None, None, None], images.flip(2), images)
