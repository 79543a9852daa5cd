"""Peak memory of a pass through a model: measured on the device, and computed from shapes."""

import copy
import ctypes
import errno
import gc
import os
import signal
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from resomap.errors import ResoMapError
from resomap.system.out_of_memory import is_out_of_memory
from resomap.system.resident_memory import (
    FIXED_MALLOC_OPTIONS,
    M_MMAP_THRESHOLD,
    fix_malloc_options,
    reset_peak,
    status_bytes,
    trim_heap,
)

MIB = 2**20
# Measurements of a pass while the kernel left the pages of files alone, and attempts at them.
MEASUREMENTS, ATTEMPTS = 3, 6


def model_bytes(model: nn.Module) -> int:
    """Return the bytes of all parameters and buffers."""
    return sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])


def meta_copy(model: nn.Module) -> nn.Module:
    """Return a copy of `model` on the meta device, in evaluation mode.

    Shapes flow through it at no cost. `model` is unchanged; its weights are never duplicated.
    """
    # deepcopy finds these in its memo, so that it copies the modules and takes the meta
    # tensors.
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        meta = parameter.detach().to("meta")
        memo[id(parameter)] = nn.Parameter(meta, parameter.requires_grad)
    memo.update((id(buffer), buffer.to("meta")) for buffer in model.buffers())
    return copy.deepcopy(model, memo).eval()


class Growth(NamedTuple):
    """Growth of memory in bytes: the least and the highest of equal calls, and the reserved.

    Whatever disturbs a call adds to it, so that the least is the growth of the call itself.
    """

    least: int
    reserved: int | None
    highest: int


def growth_bytes(run: Callable[[], object], device: torch.device) -> Growth:
    """Return by how many bytes memory grows during a later call of `run` than the first.

    On CUDA this is the peak of torch's allocator, scratch memory of kernels included, which is
    the same in every call. On a CPU it is the growth of the resident set, which includes every
    allocation of every library, in several calls; nothing is known of what is reserved.
    """
    run()  # libraries allocate their permanent workspaces in the first call
    if device.type != "cuda":
        growths = resident_growths(run)
        return Growth(min(growths), None, max(growths))
    allocated, reserved = cuda_growth_bytes(run, device)
    return Growth(allocated, reserved, allocated)


def cuda_growth_bytes(run: Callable[[], object], device: torch.device) -> tuple[int, int]:
    """Return by how many bytes allocated and reserved memory of a GPU grow during `run`."""
    # Blocks that earlier cells left in the cache would serve `run` without a growth of what is
    # reserved, and memory that waits for the garbage collector would end inside of it.
    gc.collect()
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    allocated = torch.cuda.memory_allocated(device)
    reserved = torch.cuda.memory_reserved(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    torch.cuda.synchronize(device)
    return (
        torch.cuda.max_memory_allocated(device) - allocated,
        torch.cuda.max_memory_reserved(device) - reserved,
    )


def resident_growths(run: Callable[[], object]) -> list[int]:
    """Return the peak growths of the resident set of a forked process in calls of `run`.

    Raises MemoryError if memory does not suffice, ResoMapError if another signal ends the fork,
    and RuntimeError if the fork fails otherwise.
    """
    code, answer = _measure_in_fork(run)
    if code == -signal.SIGKILL:
        # The kernel kills processes where memory runs out, and does it again; a person does not.
        code, answer = _measure_in_fork(run)
    if code in (-signal.SIGKILL, errno.ENOMEM):
        raise MemoryError(f"the process that measured memory ended with status {code}")
    if code < 0:
        name = signal.Signals(-code).name
        raise ResoMapError(f"{name} ended the process that measures memory: run again")
    if code or not answer:
        raise RuntimeError(f"the process that measured memory ended with status {code}")
    return [int(growth) for growth in answer.split()]


def _measure_in_fork(run: Callable[[], object]) -> tuple[int, str]:
    """Return the exit code of the fork that calls `run`, and the growths that it reports."""
    # Freed memory that malloc kept would serve `run` again and hide its growth, so the heap is
    # trimmed. In a fork, because the fork sets malloc back to its defaults: here that would
    # undo `keep_freed_memory`, without which a batch took up to 90 % longer (docs/LOG.md).
    trim_heap()
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of forks in processes with threads; this child starts none.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _report_growth(run, writing)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), answer


def _report_growth(run: Callable[[], object], pipe: int) -> NoReturn:
    """Call `run` in a fork, write its growths into the pipe and exit without cleaning up."""
    try:
        torch.set_num_threads(1)  # the parent's worker threads do not exist in a fork
        fix_malloc_options()
        _occupy_free_blocks()
        run()  # faults the pages of the code in again, which a fork does not inherit
        os.write(pipe, " ".join(map(str, _undisturbed_growths(run))).encode())
        os._exit(0)
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            os._exit(errno.ENOMEM)
    finally:
        os._exit(1)  # never return into the parent's code, whatever was raised


def _undisturbed_growths(run: Callable[[], object]) -> list[int]:
    """Return the peak growths of calls of `run` during which no pages of files moved.

    Where they moved in every call, that of the least disturbed one.
    """
    attempts: list[tuple[int, int]] = []
    calm: list[int] = []
    while len(calm) < MEASUREMENTS and len(attempts) < ATTEMPTS:
        moved, growth = _peak_growth(run)
        attempts.append((moved, growth))
        if moved <= growth // 100:
            calm.append(growth)
    return calm or [min(attempts)[1]]


def _peak_growth(run: Callable[[], object]) -> tuple[int, int]:
    """Return the bytes of file pages that came or went, and the peak growth without them.

    The kernel drops pages of libraries and reads them again, 7 MiB within one pass on a busy
    machine. They are not memory of the pass.
    """
    trim_heap()
    reset_peak()
    before, files_before = status_bytes("VmRSS"), status_bytes("RssFile")
    run()
    files = status_bytes("RssFile") - files_before
    return abs(files), max(0, status_bytes("VmHWM") - before - max(0, files))


class _HeapUse(ctypes.Structure):
    """What glibc's mallinfo2 returns (malloc.h)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def _occupy_free_blocks() -> None:
    """Take the large free blocks of the heap for good, without touching their pages.

    malloc prefers them to mapped memory, and they stay resident when they are freed. After
    `keep_freed_memory` a pass was measured at 2.1 times its activations, instead of 1.1.
    """
    libc = ctypes.CDLL(None)
    heap_use = getattr(libc, "mallinfo2", None)
    if heap_use is None:  # before glibc 2.33
        return
    heap_use.restype = _HeapUse
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)
    libc.free.argtypes = (ctypes.c_void_p,)
    size = 2**40
    while size >= FIXED_MALLOC_OPTIONS[M_MMAP_THRESHOLD]:
        before = heap_use()
        block = libc.malloc(size) if before.fordblks >= size else None
        if block is None or heap_use().hblks > before.hblks:  # no free block of this size
            libc.free(block)
            size //= 2


def activation_bytes(model: nn.Module, images: Tensor, *, training: bool = False) -> int:
    """Return the largest total size of activations that are alive at once in a pass.

    With `training`, of a forward and backward pass, gradients of the weights included. Computed
    on the meta device: exact and equal on every machine, but without scratch memory of kernels.
    """
    meta_model, meta_images = meta_copy(model).train(training), images.to("meta")
    known = [*meta_model.parameters(), *meta_model.buffers(), meta_images]
    mode = nullcontext() if training else torch.inference_mode()
    with LiveMemory(excluded=known) as memory, mode:
        output = meta_model(meta_images)
        if training:
            output.sum().backward()
    return memory.peak


class LiveMemory(TorchDispatchMode):
    """Total size of the live storages that operators returned inside the block.

    `live` is the total now and `peak` its maximum, in bytes; `excluded` tensors and their views
    are not counted.
    """

    def __init__(self, excluded: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = 0
        self.peak = 0
        # Weak references: a storage leaves the total when the model lets go of its last tensor.
        self._known = weakref.WeakSet(tensor.untyped_storage() for tensor in excluded)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operator and count its outputs."""
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage not in self._known:
            self._known.add(storage)
            self._change(storage.nbytes())
            weakref.finalize(storage, self._change, -storage.nbytes())

    def _change(self, size: int) -> None:
        self.live += size
        self.peak = max(self.peak, self.live)
