"""The batches of a loader, grouped into the windows of optimizer steps."""

import sys
from collections.abc import Iterable, Iterator
from operator import length_hint
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from resomap.training.distributed import Group
from resomap.training.memory import infeasible_without_memory

Batch = tuple[Tensor, Tensor]


class StepBatches(NamedTuple):
    """The batches of one optimizer step, and the images of each over all processes."""

    batches: list[Batch]
    sizes: list[int]


def load_batches(loader: Iterable[Batch]) -> Iterator[Batch]:
    """Yield the batches of `loader`; Infeasible when one does not fit into memory."""
    batches = iter(loader)
    while True:
        with infeasible_without_memory("a batch of images"):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def load_windows(
    loader: Iterable[Batch], length: int, group: Group, device: torch.device
) -> Iterator[StepBatches]:
    """Yield windows of `length` batches, with a progress bar; the last one may be shorter."""
    batches = tqdm(
        load_batches(loader),
        desc="train",
        unit="batch",
        # Not len: that of a DataLoader raises TypeError where its dataset is a stream.
        total=length_hint(loader) or None,
        file=sys.stderr,
        mininterval=5,
        leave=False,
        disable=not group.is_leader,
    )
    known = getattr(loader, "batch_sizes", None)
    sizes = None if known is None else iter(known)
    window = StepBatches([], [])
    for batch in batches:
        window.batches.append(batch)
        # Without the sizes, each of several processes knows only its part of a batch.
        size = group.total(len(batch[0]), device) if sizes is None else next(sizes)
        window.sizes.append(size)
        if len(window.batches) == length:
            yield window
            window = StepBatches([], [])
    if window.batches:
        yield window
