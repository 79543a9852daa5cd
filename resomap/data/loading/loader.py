"""Batches from a uint8 store, augmented and normalised as tensors in channels_last."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import accumulate, pairwise
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from resomap.config.augmentation import Augmentation
from resomap.config.training import Sampling
from resomap.data.loading.augment import Drawn, Normalise, augment_in_pieces
from resomap.data.loading.feed import Arrival, ImageFeed
from resomap.data.loading.mixing import BatchMix, Mixing, draw_mixes, mix_images, mix_labels
from resomap.data.loading.native_crops import NativeCrops
from resomap.data.loading.placement import PlacedImages
from resomap.data.loading.random_draws import MIXING, draw_epoch

Batch = tuple[Tensor, Tensor]
Item = TypeVar("Item")
Result = TypeVar("Result")
AUGMENTATION_DRAWS = (
    *("flipped", "box", "angle", "color", "sigma", "erased", "operation", "strength"),
)
WithinMemory = Callable[[int, Callable[[int], Tensor]], Tensor]
"""Call a function with the number of pieces in which it shall process so many images."""


def in_one_piece(count: int, work: Callable[[int], Tensor]) -> Tensor:
    """Return `work(1)`, whatever the number of images."""
    return work(1)


class Positions(NamedTuple):
    """The positions in the epoch of this process's part of a batch.

    `before` is the position before them in the batch, the last one for the first, where another
    process has it: mixing needs its image.
    """

    batch: int
    own: slice
    before: int | None = None

    def take(self, values: Tensor) -> Tensor:
        """Return the rows of `values` at `before`, if there is one, and at the own positions."""
        if self.before is None:
            return values[self.own]
        return torch.cat([values[self.before : self.before + 1], values[self.own]])


class PlacedEpoch(NamedTuple):
    """The draws of an epoch in the order of its positions, on the devices that use them."""

    order: Tensor
    label_order: Tensor
    drawn: Drawn
    mixes: list[BatchMix] | None


class TrainLoader:
    """Shuffled or balanced, augmented batches of (float images (B, 3, r, r), labels (B,)).

    With `mixing` the labels are shares of the classes (B, C). With `native` the images are at
    native resolution, and a random box of each is resized.
    They are on the device of `normalise`. Process `rank` of `world` takes its part of every
    batch. `num_workers` threads prepare batches ahead; the batches are the same for any number.
    `pin_memory` speeds up images that do not fit on a GPU, `within_memory` repeats an
    augmentation in pieces where memory is short.
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
        pin_memory: bool = False,
        within_memory: WithinMemory = in_one_piece,
        mixing: Mixing | None = None,
        native: NativeCrops | None = None,
    ) -> None:
        self._feed = ImageFeed(images, normalise.device, pin_memory=pin_memory)
        self._labels, self._normalise = labels, normalise
        self._batch_size, self._seed, self._augmentation = batch_size, seed, augmentation
        self._balanced = labels.numpy(force=True) if sampling == "balanced" else None
        self._rank, self._world, self._num_workers = rank, world, num_workers
        self._within_memory, self._mixing, self._native = within_memory, mixing, native
        self._epoch, self._step = 0, 0

    def __len__(self) -> int:
        return len(self._epoch_batch_sizes())

    @property
    def batch_sizes(self) -> list[int]:
        """Return the images of each batch of the next iteration, over all processes."""
        return self._epoch_batch_sizes()[self._step :]

    def _epoch_batch_sizes(self) -> list[int]:
        full, rest = divmod(len(self._labels), self._batch_size)
        # BatchNorm cannot normalise one image on a map of one cell, so a rest that leaves a
        # process fewer than two images joins the batch before it.
        if 0 < rest < 2 * self._world and full:
            return [self._batch_size] * (full - 1) + [self._batch_size + rest]
        return [self._batch_size] * full + [rest] * (rest > 0)

    def set_epoch(self, epoch: int, step: int = 0) -> None:
        """Use the draws of `epoch` (from 0) in the next iterations, starting at its `step`."""
        self._epoch, self._step = epoch, step

    def __iter__(self) -> Iterator[Batch]:
        prepare = partial(self._prepare_batch, self._place_epoch())
        for finish in _run_ahead(prepare, self._own_positions(), self._num_workers):
            yield finish()

    def _own_positions(self) -> list[Positions]:
        """Return the positions of this process in each batch of the next iteration."""
        # Every process draws the whole epoch, so that N processes see the batches of one.
        bounds = list(accumulate(self._epoch_batch_sizes(), initial=0))
        own = list[Positions]()
        for batch, (start, stop) in enumerate(pairwise(bounds)):
            least, more = divmod(stop - start, self._world)
            first = start + self._rank * least + min(self._rank, more)
            part = slice(first, first + least + (self._rank < more))
            is_mixed = self._mixing is not None and self._world > 1
            before = (first if first > start else stop) - 1
            own.append(Positions(batch, part, before if is_mixed else None))
        return own[self._step :]

    def _place_epoch(self) -> PlacedEpoch:
        """Draw the epoch and copy it to the devices, once: a batch then takes slices of it."""
        images = self._feed.images
        draws = draw_epoch(
            self._seed, self._epoch, len(self._labels), self._augmentation, self._balanced
        )
        drawn = Drawn()
        for name in AUGMENTATION_DRAWS:
            values = getattr(draws, name)
            if values is not None:
                drawn[name] = _place(values[draws.slot], self._normalise.device)
        mixes = None
        if self._mixing:
            mixes = draw_mixes([self._seed, self._epoch, MIXING], len(self), self._mixing)
        order = _place(draws.order, images.device)
        if self._native:
            rows = self._native.rows.to(images.device, non_blocking=True)
            order = rows.index_select(0, order)
        return PlacedEpoch(order, _place(draws.order, self._labels.device), drawn, mixes)

    def _prepare_batch(self, epoch: PlacedEpoch, positions: Positions) -> Callable[[], Batch]:
        """Start a batch, in any thread, and return the function that finishes it."""
        arrival = self._feed.start(positions.take(epoch.order))
        finish = partial(self._finish_batch, epoch, positions, arrival)
        if self._normalise.device.type != "cpu":
            # On the stream of the training: augmenting is little work beside a step.
            return finish
        batch = finish()
        return lambda: batch

    def _finish_batch(
        self, epoch: PlacedEpoch, positions: Positions, arrival: Arrival
    ) -> Batch:
        images = self._feed.finish(arrival)
        drawn = {name: positions.take(values) for name, values in epoch.drawn.items()}
        augment = partial(augment_in_pieces, images, drawn, self._normalise, self._native)
        batch = self._within_memory(len(images), augment)
        labels = self._labels.index_select(0, positions.take(epoch.label_order))
        labels = labels.to(self._normalise.device, non_blocking=True)
        if epoch.mixes is None or self._mixing is None:
            return batch, labels
        mix, has_before = epoch.mixes[positions.batch], positions.before is not None
        return _mix_neighbours(batch, labels, mix, self._mixing.num_classes, has_before)


class EvalLoader:
    """Normalised batches in stored order, on the device of `normalise`."""

    def __init__(
        self,
        images: PlacedImages,
        labels: Tensor,
        normalise: Normalise,
        batch_size: int,
        *,
        pin_memory: bool = False,
    ) -> None:
        self.labels = labels
        self._feed = ImageFeed(images, normalise.device, pin_memory=pin_memory)
        self._normalise, self._batch_size = normalise, batch_size

    def __iter__(self) -> Iterator[Batch]:
        labels = self.labels.split(self._batch_size)
        for images, batch_labels in zip(self._batches(), labels, strict=True):
            yield self._normalise(images), batch_labels

    def _batches(self) -> Iterator[Tensor]:
        images = self._feed.images
        if isinstance(images, Tensor) and self._feed.is_resident:
            yield from images.split(self._batch_size)  # views: nothing is copied
            return
        for index in torch.arange(len(images)).split(self._batch_size):
            yield self._feed.finish(self._feed.start(index))


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array, which may be memory-mapped, into a tensor on `device`."""
    # np.array copies: torch warns when it shares read-only memory.
    return torch.from_numpy(np.array(array)).to(device)


def _place(values: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(values).to(device, non_blocking=True)


def _mix_neighbours(
    images: Tensor, labels: Tensor, mix: BatchMix, num_classes: int, has_before: bool
) -> Batch:
    """Mix each image with the one before it; the first of all belongs to another process."""
    pairs = list[tuple[Tensor, Tensor]]()
    for values in (images, labels):
        before = values[:-1] if has_before else values.roll(1, 0)
        pairs.append((values[1:] if has_before else values, before))
    mixed = mix_images(*pairs[0], mix).contiguous(memory_format=torch.channels_last)
    return mixed, mix_labels(*pairs[1], mix, num_classes)


def _run_ahead(
    prepare: Callable[[Item], Result], items: list[Item], num_workers: int
) -> Iterator[Result]:
    """Yield the result for each item in order, at most `num_workers` ahead, in as many threads."""
    if not num_workers:
        yield from map(prepare, items)
        return
    # Threads suffice, since torch and OpenCV release the GIL; processes would pickle batches.
    with ThreadPoolExecutor(num_workers) as pool:
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(prepare, item))
                if len(pending) > num_workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
