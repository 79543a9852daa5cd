"""How much memory a pass takes at its peak."""

import ctypes
import gc
import os
import re
import signal
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from resomap.profiling.twin import shape_twin

MIB = 2**20
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = (
    -1,
    -3,
    -4,
)  # of glibc's malloc.h; the values set are its defaults


def model_bytes(model: nn.Module) -> int:
    """Bytes of the parameters and buffers."""
    return sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])


def growth_bytes(run: Callable[[], object], device: torch.device) -> tuple[int, int | None]:
    """By how many bytes memory grows in a call of `run` that is not the first, and what CUDA's allocator has reserved by then.

    On CUDA the first is the allocator's peak, scratch memory of kernels included; on a CPU it is the growth of the resident set, which
    knows of every allocation, whoever made it.
    """
    run()  # libraries take their lasting workspaces in the first pass
    if device.type != "cuda":
        return resident_growth_bytes(run), None
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before, torch.cuda.max_memory_reserved(
        device
    )


def resident_growth_bytes(run: Callable[[], object]) -> int:
    """By how many bytes the resident set of a process grows at most while it calls `run`.

    Called in a fork, whose heap is trimmed before: memory that this process has freed and kept would hide what a call takes. RuntimeError
    when the fork is killed, as for lack of memory.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of Python 3.12 on forks of processes with threads: the child starts none
        child = os.fork()
    if child == 0:
        _tell_growth(run, writing)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    if status or not told:
        raise RuntimeError(
            f"a process that measured memory ended with status {os.waitstatus_to_exitcode(status)}"
        )
    return int(told)


def _tell_growth(run: Callable[[], object], pipe: int) -> None:
    """In a fork: call `run`, write the growth into the pipe and leave without a trace."""
    try:
        signal.alarm(0)
        torch.set_num_threads(1)  # the threads of the parent did not come along
        _map_large_blocks()
        run()  # brings the code's own pages back, which a fork does not inherit
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew: proc(5)
        before = _status_bytes("VmRSS")
        run()
        os.write(pipe, str(max(0, _status_bytes("VmHWM") - before)).encode())
        os._exit(0)
    finally:
        os._exit(1)


def _map_large_blocks() -> None:
    """Let malloc take large blocks from the system and give them back at once, so that holes in its heap do not count as use."""
    libc = ctypes.CDLL(None)
    for parameter, value in (
        (M_MMAP_MAX, 65536),
        (M_MMAP_THRESHOLD, 128 * 1024),
        (M_TRIM_THRESHOLD, 128 * 1024),
    ):
        libc.mallopt(parameter, value)


def _status_bytes(key: str) -> int:
    found = re.search(
        rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii")
    )
    assert found is not None
    return 1024 * int(found[1])


def activation_bytes(model: nn.Module, pictures: Tensor, *, training: bool = False) -> int:
    """The largest sum of activations that are alive at once in a forward pass, or in a training pass with its backward.

    Followed on the meta device: exact and the same on every machine, without the scratch memory inside kernels. Gradients of weights count.
    """
    twin, shapes = shape_twin(model).train(training), pictures.to("meta")
    with (
        LiveMemory(apart_from=[*twin.parameters(), *twin.buffers(), shapes]) as memory,
        nullcontext() if training else torch.inference_mode(),
    ):
        output = twin(shapes)
        if training:
            output.sum().backward()
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

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
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
