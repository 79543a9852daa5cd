"""The device of a job: GPU leases between jobs, device memory and names.

A GPU is leased before CUDA starts, whole or one of its slots, by locks on its UUID which the kernel
releases when the process dies. The locks are in one folder of the machine, so that jobs of
several sweeps and users respect each other's leases.
"""

import ctypes
import fcntl
import os
import resource
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from time import sleep
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from resomap.errors import DeviceError
from resomap.system.gpu_listing import (
    has_nvidia_device,
    list_gpus,
    machine_memory_mib,
    visible_gpus,
)
from resomap.system.locks import open_lock, read_lock_owner, try_lock, write_lock_owner

if TYPE_CHECKING:
    import torch

LEASE_FOLDER = Path(tempfile.gettempdir()) / "resomap-gpus"
SLOTS_VARIABLE = "RESOMAP_SLOTS_PER_GPU"
POLL_SECONDS = 0.1
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # from glibc's malloc.h
# Open until the process ends: closing a lock file would release its lease.
_leased_locks: list[IO[str]] = []


class Lease(NamedTuple):
    """The UUIDs of leased GPUs, and the open locks that hold them."""

    uuids: tuple[str, ...]
    locks: tuple[IO[str], ...]


def open_device(device: str, threads: int = 1, *, exclusive: bool = False) -> "torch.device":
    """Return the torch device for `auto`, `cpu` or `cuda`, and use `threads` CPU threads.

    A GPU stays leased until this process ends; `exclusive` leases it whole instead of one slot.
    DeviceError if `cuda` is requested but not available.
    """
    # Before torch is imported, so that CUDA cannot start with other GPUs visible.
    lease_until_exit(device, exclusive=exclusive)
    import torch

    torch.set_num_threads(threads)
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "config/system.yaml: system.device: cuda, but torch finds no CUDA device; "
            "use auto or cpu, or check the driver"
        )
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def keep_freed_memory() -> None:
    """Configure glibc to keep freed memory for the next tensor.

    By default it returns large blocks to the kernel, which zeroes new pages in every step. Keeping
    them makes a training step on a CPU 5 to 20 % faster and independent of the history of the
    heap, which made a batch up to 90 % slower (docs/LOG.md).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def lease_until_exit(device: str, count: int = 1, *, exclusive: bool = False) -> None:
    """Wait for `count` GPUs and make only them visible to CUDA, which must not have started.

    The lease survives `exec`. Nothing is leased on a CPU, in a SLURM job that was given no more
    GPUs than it needs, and in the processes of a torchrun that already holds them.
    """
    # torchrun sets TORCHELASTIC_RUN_ID in the processes that it starts.
    if device == "cpu" or "TORCHELASTIC_RUN_ID" in os.environ or _slurm_gave(count):
        return
    gpus = visible_gpus(list_gpus())
    if not gpus:
        _warn_if_unleased()
        return
    if count > 1:
        # CUDA shows a process one MIG slice at most, so several cannot train together.
        gpus = [gpu for gpu in gpus if not gpu.is_slice]
    if count > len(gpus):
        raise DeviceError(
            f"config/system.yaml: system.training.gpus: {count}, but this machine has "
            f"{len(gpus)} (MIG slices do not count)"
        )
    slots = int(os.environ.get(SLOTS_VARIABLE, "1"))
    if exclusive or count > 1:
        slots = 1
    lease = lease_gpus([gpu.uuid for gpu in gpus], count, slots=slots)
    for lock in lease.locks:
        # Without this, exec would close the file and release the lease.
        os.set_inheritable(lock.fileno(), True)
    _leased_locks.extend(lease.locks)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(lease.uuids)


def _slurm_gave(count: int) -> bool:
    """Return whether SLURM gave this job GPUs by name, and at most `count`.

    Jobs that share a larger allocation have to lease its GPUs from each other, and so do jobs
    that requested no GPU on a node which does not hide them: SLURM keeps no account of those.
    """
    given = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return "SLURM_JOB_ID" in os.environ and 0 < len(given) <= count


def _warn_if_unleased() -> None:
    """Warn if CUDA may find a GPU that nvidia-smi does not list, and so cannot be leased."""
    if has_nvidia_device() and os.environ.get("CUDA_VISIBLE_DEVICES") != "":
        print(
            "warning: nvidia-smi is missing, fails or lists none of the GPUs in "
            "CUDA_VISIBLE_DEVICES, so this job leases no GPU: others may use the same one",
            file=sys.stderr,
            flush=True,
        )


def lease_gpus(
    uuids: Sequence[str], count: int = 1, *, slots: int = 1, folder: Path = LEASE_FOLDER
) -> Lease:
    """Wait for `count` of the GPUs and lease them at once: whole, or one of several `slots` of each.

    Requests are served in order of arrival.
    """
    _make_shared_folder(folder)
    # The queue lock makes later requests wait. Otherwise small jobs could starve one that needs
    # a whole GPU or several.
    with _open_shared(folder / "queue.lock") as queue:
        fcntl.flock(queue, fcntl.LOCK_EX)
        while True:
            lease = _try_lease(uuids, count, slots, folder)
            if lease is not None:
                return lease
            sleep(POLL_SECONDS)


def _try_lease(uuids: Sequence[str], count: int, slots: int, folder: Path) -> Lease | None:
    """Lease the first `count` free GPUs; None, and nothing leased, if fewer are free."""
    leased: list[str] = []
    locks: list[IO[str]] = []
    for uuid in uuids:
        gpu_locks = _try_lock_gpu(uuid, slots, folder)
        if gpu_locks:
            leased.append(uuid)
            locks.extend(gpu_locks)
        if len(leased) == count:
            return Lease(tuple(leased), tuple(locks))
    for lock in locks:
        lock.close()
    return None


def _try_lock_gpu(uuid: str, slots: int, folder: Path) -> tuple[IO[str], ...]:
    """Return the locks of a whole GPU or of one slot; an empty tuple if it is leased.

    A slot holds the lock of the GPU shared, so that no job can hold it exclusively.
    """
    # UUIDs of MIG slices under drivers before 470 contain slashes.
    name = _lock_name(uuid)
    gpu_lock = _open_shared(folder / f"{name}.lock")
    mode = fcntl.LOCK_EX if slots == 1 else fcntl.LOCK_SH
    try:
        fcntl.flock(gpu_lock, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        gpu_lock.close()
        return ()
    if slots == 1:
        write_lock_owner(gpu_lock, "the whole GPU")
        return (gpu_lock,)
    for slot in range(slots):
        slot_lock = try_lock(folder / f"{name}.slot{slot}.lock", f"slot {slot}")
        if slot_lock:
            return gpu_lock, slot_lock
    gpu_lock.close()
    return ()


def _lock_name(uuid: str) -> str:
    return uuid.replace("/", "_")


def _make_shared_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        # Writable by all users. Not sticky: with fs.protected_regular, Linux would refuse to open
        # other users' lock files in a sticky folder.
        folder.chmod(0o777)


def _open_shared(path: Path) -> IO[str]:
    """Open a lock file that every user may open, whatever the umask of its creator."""
    is_new = not path.exists()
    stream = open_lock(path)
    if is_new:
        path.chmod(0o666)
    return stream


def lease_holders(uuid: str, folder: Path = LEASE_FOLDER) -> Iterator[dict[str, Any]]:
    """Yield the owner of each lease of the GPU: pid, host, since, purpose."""
    for path in sorted(folder.glob(f"{_lock_name(uuid)}*.lock")):
        owner = read_lock_owner(path)
        if owner is not None:
            yield owner


def device_name(device: "torch.device") -> str:
    """Return `cpu`, or the product name of the GPU."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def device_memory_mib(device: "torch.device") -> int:
    """Return the memory of the GPU, or of the machine for a CPU, in MiB."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory // 2**20
    return machine_memory_mib()


@cache
def largest_memory_mib(device: str) -> int:
    """Return the memory in MiB of the largest device for `auto`, `cpu` or `cuda`; 0 without one.

    It does not import torch.
    """
    gpu_memories = [gpu.memory_mib for gpu in list_gpus()] if device != "cpu" else []
    if not gpu_memories and device != "cuda":
        return machine_memory_mib()
    return max(gpu_memories, default=0)


def peak_memory_mib(device: "torch.device") -> float:
    """Return the peak memory of this process in MiB.

    On a GPU that is what PyTorch allocated; on a CPU the resident memory, libraries included.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    # ru_maxrss is in KiB on Linux.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
