"""How much memory inference takes at its peak."""

import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from resomap.profiling.twin import shape_twin

MIB = 2**20


def model_bytes(model: nn.Module) -> int:
    """Bytes of the parameters and buffers."""
    return sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])


@torch.inference_mode()
def peak_memory_bytes(model: nn.Module, pictures: Tensor) -> int:
    """Bytes of weights, pictures and what else is alive at the worst moment of a forward pass in evaluation mode.

    On CUDA the last is the growth of the allocator's peak, scratch memory of kernels included. On a CPU it is the largest sum of
    activations alive at once, followed on the meta device: exact and the same on every machine, but without the scratch
    memory inside kernels. Raises torch.OutOfMemoryError where the device cannot hold it.
    """
    growth = _cuda_growth if pictures.is_cuda else _activation_peak
    return model_bytes(model) + pictures.nbytes + growth(model, pictures)


def _cuda_growth(model: nn.Module, pictures: Tensor) -> int:
    model(pictures)  # libraries take their lasting workspaces in the first pass, whichever cell that is
    before = torch.cuda.memory_allocated(pictures.device)
    torch.cuda.reset_peak_memory_stats(pictures.device)
    model(pictures)
    torch.cuda.synchronize(pictures.device)
    return torch.cuda.max_memory_allocated(pictures.device) - before


def _activation_peak(model: nn.Module, pictures: Tensor) -> int:
    twin, shapes = shape_twin(model), pictures.to("meta")
    with LiveMemory(apart_from=[*twin.parameters(), *twin.buffers(), shapes]) as memory:
        twin(shapes)
    return memory.peak


class LiveMemory(TorchDispatchMode):
    """Sums the storages that operators return inside the block and that are still referenced: `live` now, `peak` at most, in bytes.

    Views of the tensors `apart_from` are not counted.
    """

    def __init__(self, apart_from: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = 0
        self.peak = 0
        self._known = weakref.WeakSet(tensor.untyped_storage() for tensor in apart_from)

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        """Run the operator and enter what it made."""
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._enter(tensor.untyped_storage())
        return result

    def _enter(self, storage: torch.UntypedStorage) -> None:
        if storage not in self._known:
            self._known.add(storage)
            self._change(storage.nbytes())
            weakref.finalize(storage, self._change, -storage.nbytes())

    def _change(self, size: int) -> None:
        self.live += size
        self.peak = max(self.peak, self.live)
