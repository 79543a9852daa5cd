"""When memory runs out: half as many pictures at once, and again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

Result = TypeVar("Result")
# How libraries under torch say it when they are the ones that found none; torch itself has a type for it on a GPU only.
SAID = ("can't allocate memory", "CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED")


class Infeasible(Exception):
    """Not even the fewest pictures that a step can take at once fit into memory."""


@dataclass
class Portion:
    """How many pictures go through a network at once (None: a whole batch), halved when memory runs out, never under `least`."""

    size: int | None = None
    least: int = 1

    def pieces(self, count: int) -> int:
        """Into how many pieces, alike in size, a batch of `count` is split."""
        if self.size is None:
            return 1
        return max(1, min(-(-count // self.size), count // self.least))

    def halve(self, count: int) -> None:
        """Half of what a batch of `count` put through at once; Infeasible where that was the least."""
        size = min(self.size or count, count)
        if size <= self.least:
            raise Infeasible(
                f"not even {size} picture{'s' * (size > 1)} at once fit into memory"
            )
        self.size = max(self.least, size // 2)


def fewest_pictures(model: nn.Module) -> int:
    """2 for a network with BatchNorm, whose statistics of one picture on a map of one cell are none; else 1."""
    return (
        2
        if any(
            isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()
        )
        else 1
    )


def within_memory(
    portion: Portion,
    count: int,
    work: Callable[[], Result],
    undo: Callable[[], None] = lambda: None,
) -> Result:
    """What `work` returns for a batch of `count`; each time that memory runs out, `undo`, and again with half the portion."""
    while (results := _attempt(work)) is None:
        undo()
        portion.halve(count)
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
    return results[0]


def _attempt(work: Callable[[], Result]) -> tuple[Result] | None:
    # A function of its own: the error's traceback holds on to what did not fit until it is left.
    try:
        return (work(),)
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        if not is_out_of_memory(error):
            raise
    return None


class Snapshot:
    """The buffers of a network (BatchNorm's statistics) as they were before a step."""

    def __init__(self, model: nn.Module) -> None:
        of_type: dict[
            torch.dtype, list[Tensor]
        ] = {}  # one operation copies all tensors of a type
        for buffer in model.buffers():
            of_type.setdefault(buffer.dtype, []).append(buffer)
        self._pairs = [
            (buffers, [buffer.clone() for buffer in buffers]) for buffers in of_type.values()
        ]

    def take(self) -> None:
        """Remember the buffers."""
        for buffers, kept in self._pairs:
            torch._foreach_copy_(kept, buffers)

    def restore(self) -> None:
        """Bring them back."""
        for buffers, kept in self._pairs:
            torch._foreach_copy_(buffers, kept)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch, or a library under it, found no memory."""
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in SAID
    )


def in_portions(network: nn.Module, images: Tensor, portion: Portion) -> Tensor:
    """Logits of `images` in evaluation, as many at once as memory allows."""
    return within_memory(
        portion,
        len(images),
        lambda: torch.cat(
            [network(some).float() for some in images.tensor_split(portion.pieces(len(images)))]
        ),
    )
