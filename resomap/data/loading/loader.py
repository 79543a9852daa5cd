"""Batches from a resident uint8 store: sliced, changed and normalised on the tensor, in the memory format of the network."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resomap.config.training import Augmentation, Sampling
from resomap.data.loading.augment import Draws, draw_epoch
from resomap.data.loading.placement import Pictures, take
from resomap.data.loading.transforms import (
    LUMA,
    blur,
    color_affine,
    erase,
    resample,
    resample_bytes,
)

Batch = tuple[Tensor, Tensor]


class Normalise:
    """uint8 NHWC pictures to float32 NCHW in channels_last layout, `(x / 255 - mean) / std`, on `device`."""

    def __init__(
        self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
    ) -> None:
        self.device, self.mean_bytes = device, tuple(255 * value for value in mean)
        self._scale = (1 / (255 * torch.tensor(std))).to(device)
        self._shift = (-torch.tensor(mean) / torch.tensor(std)).to(device)

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise a batch; the NHWC result viewed as NCHW is channels_last without a copy."""
        return torch.addcmul(self._shift, images.float(), self._scale).permute(0, 3, 1, 2)

    def recolored(self, images: Tensor, color: Tensor) -> Tensor:
        """Normalise a batch whose colours change by `color` (B, 4): both are one matrix a picture."""
        pictures = images.float() / 255
        matrix, shift = color_affine(
            (pictures.mean((1, 2)) * pictures.new_tensor(LUMA)).sum(1), color
        )
        scale = 255 * self._scale
        changed = torch.baddbmm(
            (shift * scale + self._shift)[:, None],
            pictures.flatten(1, 2),
            (matrix * scale[:, None]).transpose(1, 2),
        )
        return changed.view(images.shape).permute(0, 3, 1, 2)


class TrainLoader:
    """Shuffled or balanced, augmented batches of (float images (B,3,r,r), labels (B,)) on the device of `normalise`.

    `rank` of `world` processes takes its part of every batch. A rest that does not leave each of them two pictures joins the batch before
    it. `num_workers` threads prepare batches ahead; what comes is the same for any number.
    """

    def __init__(
        self,
        images: Pictures,
        labels: Tensor,
        normalise: Normalise,
        batch_size: int,
        seed: int,
        augmentation: Augmentation,
        *,
        sampling: Sampling = "shuffled",
        rank: int = 0,
        world: int = 1,
        num_workers: int = 0,
    ) -> None:
        self._images, self._labels, self._normalise = images, labels, normalise
        self._batch_size, self._seed, self._augmentation = batch_size, seed, augmentation
        self._balanced = labels.numpy(force=True) if sampling == "balanced" else None
        self._rank, self._world, self._num_workers = rank, world, num_workers
        self._epoch, self._step = 0, 0

    def __len__(self) -> int:
        return len(self._sizes())

    def _sizes(self) -> list[int]:
        whole, rest = divmod(len(self._images), self._batch_size)
        if (
            0 < rest < 2 * self._world and whole
        ):  # BatchNorm cannot learn from one picture on a map of one cell
            return [self._batch_size] * (whole - 1) + [self._batch_size + rest]
        return [self._batch_size] * whole + [rest] * (rest > 0)

    def set_epoch(self, epoch: int, step: int = 0) -> None:
        """Use the draws of `epoch` (from 0) in the next iterations, from its `step` on."""
        self._epoch, self._step = epoch, step

    def __iter__(self) -> Iterator[Batch]:
        draws = draw_epoch(
            self._seed, self._epoch, len(self._images), self._augmentation, self._balanced
        )
        batches = torch.arange(len(self._images)).split(self._sizes())[self._step :]
        mine = [batch.tensor_split(self._world)[self._rank] for batch in batches]
        if not self._num_workers:
            yield from (self._prepare(draws, positions) for positions in mine)
            return
        yield from _ahead(self._prepare, draws, mine, self._num_workers)

    def _prepare(self, draws: Draws, positions: Tensor) -> Batch:
        device, index = self._normalise.device, torch.from_numpy(draws.order[positions.numpy()])
        images = take(self._images, index.to(self._images.device)).to(device, non_blocking=True)
        labels = self._labels[index.to(self._labels.device)].to(device, non_blocking=True)
        return _change(
            images, _parameters(draws, draws.slot[positions.numpy()], device), self._normalise
        ), labels


class EvalLoader:
    """Batches in stored order, normalised, on the device of `normalise`."""

    def __init__(
        self, images: Pictures, labels: Tensor, normalise: Normalise, batch_size: int
    ) -> None:
        self.labels = labels
        self._images, self._normalise, self._batch_size = images, normalise, batch_size

    def __iter__(self) -> Iterator[Batch]:
        for images, labels in zip(
            self._images.split(self._batch_size),
            self.labels.split(self._batch_size),
            strict=True,
        ):
            yield self._normalise(images.to(self._normalise.device, non_blocking=True)), labels


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """A memory-mapped array as a tensor of its own on `device`."""
    return torch.from_numpy(np.array(array)).to(device)


def _parameters(draws: Draws, slots: np.ndarray, device: torch.device) -> dict[str, Tensor]:
    """The rows `slots` of what is drawn, by the names of Draws."""
    drawn = {
        field.name: getattr(draws, field.name)
        for field in fields(draws)
        if field.name not in ("order", "slot")
    }
    return {
        name: torch.from_numpy(values[slots]).to(device, non_blocking=True)
        for name, values in drawn.items()
        if values is not None
    }


def _change(images: Tensor, drawn: dict[str, Tensor], normalise: Normalise) -> Tensor:
    moved, on_cpu = "box" in drawn or "angle" in drawn, images.device.type == "cpu"
    if not moved:
        images = _flip(images, drawn["flipped"])
    elif on_cpu:
        images = resample_bytes(
            images, drawn.get("box"), drawn.get("angle"), drawn["flipped"], normalise.mean_bytes
        )
    batch = (
        normalise.recolored(images, drawn["color"]) if "color" in drawn else normalise(images)
    )
    if (
        moved and not on_cpu
    ):  # after the mean was taken off, so that corners get the mean colour
        batch = resample(batch, drawn.get("box"), drawn.get("angle"), drawn["flipped"])
    if "sigma" in drawn:
        batch = blur(batch, drawn["sigma"])
    if "erased" in drawn:
        batch = erase(batch, drawn["erased"])
    return batch.contiguous(memory_format=torch.channels_last)


def _flip(images: Tensor, flipped: Tensor) -> Tensor:
    return torch.where(flipped[:, None, None, None], images.flip(2), images)


def _ahead(prepare: Any, draws: Draws, batches: list[Tensor], workers: int) -> Iterator[Batch]:
    """The batches in order, prepared by threads of which none is more than `workers` ahead."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Batch]] = deque()
        try:
            for positions in batches:
                waiting.append(pool.submit(prepare, draws, positions))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
