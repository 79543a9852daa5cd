"""Micro-batches: as many images in one pass as memory allows, halved whenever it runs out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from resomap.system.out_of_memory import (
    NO_ENGINE_TEXT,
    attempt,
    free_memory,
    is_out_of_memory,
)

Result = TypeVar("Result")


class Infeasible(Exception):
    """Not even the smallest micro-batch fits into memory."""


@contextmanager
def infeasible_without_memory(what: str) -> Iterator[None]:
    """Raise Infeasible where memory runs out for `what`, which cannot be split."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise Infeasible(f"{what} does not fit into memory") from error


@dataclass
class MicroBatch:
    """The most images in one pass (None: the whole batch), never halved below `minimum`."""

    size: int | None = None
    minimum: int = 1

    def num_pieces(self, batch_size: int, processes: int = 1) -> int:
        """Return into how many pieces of nearly equal size a batch is split.

        With several processes `batch_size` counts the images of all: every one then splits its
        part of the batch into as many pieces, as the collectives within a pass require. Parts
        differ by an image, so a piece may exceed the size by `minimum`.
        """
        if self.size is None:
            return 1
        smallest, largest = batch_size // processes, -(-batch_size // processes)
        return max(1, min(-(-largest // self.size), smallest // self.minimum))

    def halve(self, batch_size: int, message: str = "") -> None:
        """Halve the size for batches of `batch_size`; Infeasible at the minimum.

        `message` is that of the error which showed the lack of memory.
        """
        size = min(self.size or batch_size, batch_size)
        if size <= self.minimum:
            plural = "s" * (size > 1)
            reason = f"not even {size} image{plural} at once fit into memory"
            # Also the message for a convolution that nothing supports, so it is passed on.
            if NO_ENGINE_TEXT in message:
                reason += f" (cuDNN: {NO_ENGINE_TEXT})"
            raise Infeasible(reason)
        self.size = max(self.minimum, size // 2)


def min_micro_batch(model: nn.Module) -> int:
    """Return the fewest images that one training pass of `model` can take: 1 or 2.

    BatchNorm refuses a single image whose feature map is 1 x 1: one value has no variance.
    """
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            return 2
    return 1


def run_within_memory(
    micro_batch: MicroBatch,
    batch_size: int,
    work: Callable[[], Result],
    undo: Callable[[], None] = lambda: None,
) -> Result:
    """Return the result of `work`; each time memory runs out, `undo`, halve and retry.

    Infeasible when `work` does not fit at the minimum either.
    """
    while isinstance(outcome := attempt(work), str):
        undo()
        micro_batch.halve(batch_size, outcome)
        free_memory()
    return outcome[0]


def in_pieces_within_memory(count: int, work: Callable[[int], Result]) -> Result:
    """Return `work(pieces)` over `count` images, in twice the pieces each time memory runs out.

    Infeasible when it does not fit one image at a time either.
    """
    micro_batch = MicroBatch()
    return run_within_memory(micro_batch, count, lambda: work(micro_batch.num_pieces(count)))


class BufferSnapshot:
    """A copy of a network's buffers (the statistics of BatchNorm), to undo a failed step."""

    def __init__(self, model: nn.Module) -> None:
        by_dtype: dict[torch.dtype, list[Tensor]] = {}
        for buffer in model.buffers():
            by_dtype.setdefault(buffer.dtype, []).append(buffer)
        self._pairs: list[tuple[list[Tensor], list[Tensor]]] = []
        for buffers in by_dtype.values():
            self._pairs.append((buffers, [buffer.clone() for buffer in buffers]))

    def take(self) -> None:
        """Copy the buffers, in one operation per dtype: it happens before every step."""
        for buffers, copies in self._pairs:
            torch._foreach_copy_(copies, buffers)

    def restore(self) -> None:
        """Write the copies back into the network."""
        for buffers, copies in self._pairs:
            torch._foreach_copy_(buffers, copies)


def forward_in_micro_batches(
    model: nn.Module, images: Tensor, micro_batch: MicroBatch
) -> Tensor:
    """Return float32 logits (B, classes) of `images` (B, 3, r, r), a micro-batch at a time.

    Only for evaluation mode, where the split does not change the result.
    """

    def forward() -> Tensor:
        pieces = images.tensor_split(micro_batch.num_pieces(len(images)))
        return torch.cat([model(piece).float() for piece in pieces])

    return run_within_memory(micro_batch, len(images), forward)
