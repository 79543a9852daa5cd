"""Batches from a uint8 store, augmented and normalised as tensors in channels_last."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from torch import Tensor

from resomap.config.training import Augmentation, Sampling
from resomap.data.loading.placement import PlacedImages, take_images
from resomap.data.loading.random_draws import EpochDraws, draw_epoch
from resomap.data.loading.transforms import (
    LUMA,
    blur,
    color_affine,
    erase,
    resample,
    resample_bytes,
)

Batch = tuple[Tensor, Tensor]
AUGMENTATION_DRAWS = ("flipped", "box", "angle", "color", "sigma", "erased")


class Normalise:
    """A map of uint8 NHWC images to float32 NCHW in channels_last: `(x / 255 - mean) / std`."""

    def __init__(
        self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
    ) -> None:
        self.device, self.mean_bytes = device, tuple(255 * value for value in mean)
        # Scale and shift are folded into one multiply-add per value.
        self._scale = (1 / (255 * torch.tensor(std))).to(device)
        self._shift = (-torch.tensor(mean) / torch.tensor(std)).to(device)

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise a batch; the NHWC result viewed as NCHW is channels_last without a copy."""
        return torch.addcmul(self._shift, images.float(), self._scale).permute(0, 3, 1, 2)

    def recolor(self, images: Tensor, color: Tensor) -> Tensor:
        """Normalise a batch whose colours change by `color` (B, 4): one matrix per image."""
        unit = images.float() / 255
        mean_luma = (unit.mean((1, 2)) * unit.new_tensor(LUMA)).sum(1)
        matrix, shift = color_affine(mean_luma, color)
        scale = 255 * self._scale
        changed = torch.baddbmm(
            (shift * scale + self._shift)[:, None],
            unit.flatten(1, 2),
            (matrix * scale[:, None]).transpose(1, 2),
        )
        return changed.view(images.shape).permute(0, 3, 1, 2)


class TrainLoader:
    """Shuffled or balanced, augmented batches of (float images (B, 3, r, r), labels (B,)).

    They are on the device of `normalise`. Process `rank` of `world` takes its part of every
    batch. `num_workers` threads prepare batches ahead; the batches are the same for any number.
    """

    def __init__(
        self,
        images: PlacedImages,
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
        return len(self._batch_sizes())

    def _batch_sizes(self) -> list[int]:
        full, rest = divmod(len(self._images), self._batch_size)
        # BatchNorm cannot normalise one image on a map of one cell, so a rest that leaves a
        # process fewer than two images joins the batch before it.
        if 0 < rest < 2 * self._world and full:
            return [self._batch_size] * (full - 1) + [self._batch_size + rest]
        return [self._batch_size] * full + [rest] * (rest > 0)

    def set_epoch(self, epoch: int, step: int = 0) -> None:
        """Use the draws of `epoch` (from 0) in the next iterations, starting at its `step`."""
        self._epoch, self._step = epoch, step

    def __iter__(self) -> Iterator[Batch]:
        draws = draw_epoch(
            self._seed, self._epoch, len(self._images), self._augmentation, self._balanced
        )
        batches = torch.arange(len(self._images)).split(self._batch_sizes())[self._step :]
        # Every process draws the whole epoch, so that N processes see the batches of one.
        own = [batch.tensor_split(self._world)[self._rank].numpy() for batch in batches]
        prepare = partial(self._prepare_batch, draws)
        if self._num_workers:
            yield from _prefetch(prepare, own, self._num_workers)
        else:
            yield from map(prepare, own)

    def _prepare_batch(self, draws: EpochDraws, positions: np.ndarray) -> Batch:
        device, index = self._normalise.device, torch.from_numpy(draws.order[positions])
        images = take_images(self._images, index.to(self._images.device))
        labels = self._labels[index.to(self._labels.device)]
        parameters = _select_draws(draws, draws.slot[positions], device)
        images = images.to(device, non_blocking=True)
        batch = _augment(images, parameters, self._normalise)
        return batch, labels.to(device, non_blocking=True)


class EvalLoader:
    """Normalised batches in stored order, on the device of `normalise`."""

    def __init__(
        self, images: PlacedImages, labels: Tensor, normalise: Normalise, batch_size: int
    ) -> None:
        self.labels = labels
        self._images, self._normalise, self._batch_size = images, normalise, batch_size

    def __iter__(self) -> Iterator[Batch]:
        batches = zip(
            self._images.split(self._batch_size),
            self.labels.split(self._batch_size),
            strict=True,
        )
        for images, labels in batches:
            yield self._normalise(images.to(self._normalise.device, non_blocking=True)), labels


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array, which may be memory-mapped, into a tensor on `device`."""
    # np.array copies: torch warns when it shares read-only memory.
    return torch.from_numpy(np.array(array)).to(device)


def _select_draws(
    draws: EpochDraws, slots: np.ndarray, device: torch.device
) -> dict[str, Tensor]:
    """Return the rows `slots` of each augmentation that is on, by the names of EpochDraws."""
    selected = {}
    for name in AUGMENTATION_DRAWS:
        values = getattr(draws, name)
        if values is not None:
            selected[name] = torch.from_numpy(values[slots]).to(device, non_blocking=True)
    return selected


def _augment(images: Tensor, drawn: dict[str, Tensor], normalise: Normalise) -> Tensor:
    moved, on_cpu = "box" in drawn or "angle" in drawn, images.device.type == "cpu"
    box, angle, flipped = drawn.get("box"), drawn.get("angle"), drawn["flipped"]
    if not moved:
        images = _flip(images, flipped)
    elif on_cpu:
        images = resample_bytes(images, box, angle, flipped, normalise.mean_bytes)
    batch = normalise.recolor(images, drawn["color"]) if "color" in drawn else normalise(images)
    # After normalisation 0 is the mean colour, which fills corners and erased boxes.
    if moved and not on_cpu:
        batch = resample(batch, box, angle, flipped)
    if "sigma" in drawn:
        batch = blur(batch, drawn["sigma"])
    if "erased" in drawn:
        batch = erase(batch, drawn["erased"])
    return batch.contiguous(memory_format=torch.channels_last)


def _flip(images: Tensor, flipped: Tensor) -> Tensor:
    return torch.where(flipped[:, None, None, None], images.flip(2), images)


def _prefetch(
    prepare: Callable[[np.ndarray], Batch], batches: list[np.ndarray], num_workers: int
) -> Iterator[Batch]:
    """Yield the batches in order, prepared by threads at most `num_workers` batches ahead."""
    # Threads suffice, since torch and OpenCV release the GIL; processes would pickle batches.
    with ThreadPoolExecutor(num_workers) as pool:
        pending: deque[Future[Batch]] = deque()
        try:
            for positions in batches:
                pending.append(pool.submit(prepare, positions))
                if len(pending) > num_workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
