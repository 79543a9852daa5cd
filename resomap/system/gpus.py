"""The device a job runs on, and whose it is meanwhile.

A GPU is leased before CUDA starts, by locks on its own id that the kernel gives back when the process dies: whole, or one of its
slots. Locks lie in one folder of the machine, so that jobs of several sweeps and users keep out of each other's way.
"""

import ctypes
import fcntl
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from time import sleep
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from resomap.errors import DeviceError
from resomap.system.locks import open_lock, read_lock_owner, try_lock, write_lock_owner

if TYPE_CHECKING:
    import torch

LEASES = Path(tempfile.gettempdir()) / "resomap-gpus"
SLOTS_VARIABLE = "RESOMAP_SLOTS_PER_GPU"
POLL_SECONDS = 0.1
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's malloc.h
_leased_locks: list[IO[str]] = []


class Gpu(NamedTuple):
    """A card of this machine."""

    number: int
    uuid: str
    name: str
    memory_mib: int


class Lease(NamedTuple):
    """GPUs by their ids, and the open locks that keep them."""

    uuids: tuple[str, ...]
    locks: tuple[IO[str], ...]


def open_device(device: str, threads: int = 1, *, exclusive: bool = False) -> "torch.device":
    """The torch device that `auto`, `cpu` or `cuda` means here, with `threads` CPU threads; a GPU is this process's until it ends.

    With `exclusive` no other job shares it. DeviceError when there is none and `cuda` was asked for.
    """
    lease_until_exit(device, exclusive=exclusive)
    import torch

    torch.set_num_threads(threads)
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "config/system.yaml: system.device: cuda, but torch sees no CUDA device; use auto or cpu, or check the driver"
        )
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def keep_freed_memory() -> None:
    """Let glibc keep what is freed for the next tensor, instead of asking the kernel for clean pages in every step.

    A training step on a CPU gains 5 to 20 %, and one process measures what another does: without it, by what its heap had seen before, a
    batch took up to 90 % longer (docs/LOG.md).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def lease_until_exit(device: str, count: int = 1, *, exclusive: bool = False) -> None:
    """Wait for `count` GPUs and show only them to CUDA, which must not have started; kept over `exec` too.

    Nothing to do on a CPU, in a SLURM job that was given just so many, and in the processes of a torchrun that has them.
    """
    if device == "cpu" or "TORCHELASTIC_RUN_ID" in os.environ or _slurm_gave(count):
        return
    gpus = visible_gpus(list_gpus())
    if not gpus:
        return
    if count > len(gpus):
        raise DeviceError(
            f"config/system.yaml: system.training.gpus: {count}, but there are {len(gpus)}"
        )
    slots = int(os.environ.get(SLOTS_VARIABLE, "1"))
    lease = lease_gpus(
        [gpu.uuid for gpu in gpus], count, slots=1 if exclusive or count > 1 else slots
    )
    for lock in lease.locks:
        os.set_inheritable(lock.fileno(), True)
    _leased_locks.extend(lease.locks)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(lease.uuids)


def _slurm_gave(count: int) -> bool:
    """Whether this SLURM job has no more GPUs than it needs; in an allocation of several, jobs side by side must share them out."""
    given = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return "SLURM_JOB_ID" in os.environ and len(given) <= count


def list_gpus() -> list[Gpu]:
    """The NVIDIA GPUs of this machine in the order of nvidia-smi; none where there is no driver."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = [
        "nvidia-smi",
        "--query-gpu=index,uuid,name,memory.total",
        "--format=csv,noheader,nounits",
    ]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = (
        [line.split(", ") for line in told.stdout.splitlines()] if told.returncode == 0 else []
    )
    return [Gpu(int(number), uuid, name, int(memory)) for number, uuid, name, memory in rows]


def visible_gpus(gpus: Sequence[Gpu]) -> list[Gpu]:
    """Those of `gpus` that a CUDA_VISIBLE_DEVICES set by the user names, by number (as nvidia-smi counts) or id; all without one."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return list(gpus)
    wanted = [name.strip() for name in named.split(",") if name.strip()]
    return [
        gpu
        for gpu in gpus
        if str(gpu.number) in wanted
        or any(name.startswith("GPU-") and gpu.uuid.startswith(name) for name in wanted)
    ]


def lease_gpus(
    uuids: Sequence[str], count: int = 1, *, slots: int = 1, folder: Path = LEASES
) -> Lease:
    """Wait for `count` of the GPUs, all at once: each whole, or one of its `slots` where that is more than one.

    Who comes first is served first, so that neither a whole GPU nor several are starved by small jobs.
    """
    _make_shared(folder)
    with _open_shared(folder / "queue.lock") as queue:
        fcntl.flock(queue, fcntl.LOCK_EX)
        while True:
            free = (taken for uuid in uuids if (taken := _take(uuid, slots, folder)))
            found = list(islice(free, count))
            if len(found) == count:
                return Lease(
                    tuple(uuid for uuid, _ in found),
                    tuple(lock for _, locks in found for lock in locks),
                )
            _give_back(lock for _, locks in found for lock in locks)
            sleep(POLL_SECONDS)


def _take(uuid: str, slots: int, folder: Path) -> tuple[str, tuple[IO[str], ...]] | None:
    """The GPU's locks; None where it is taken."""
    whole = _open_shared(folder / f"{uuid}.lock")
    try:
        fcntl.flock(whole, (fcntl.LOCK_EX if slots == 1 else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        whole.close()
        return None
    if slots == 1:
        write_lock_owner(whole, "the whole GPU")
        return uuid, (whole,)
    for slot in range(slots):
        lock = try_lock(folder / f"{uuid}.slot{slot}.lock", f"slot {slot}")
        if lock:
            return uuid, (whole, lock)
    whole.close()
    return None


def _give_back(locks: Iterable[IO[str]]) -> None:
    for lock in locks:
        lock.close()


def _make_shared(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(
            0o777
        )  # of all users; not sticky, or Linux would keep them from each other's files


def _open_shared(path: Path) -> IO[str]:
    is_new = not path.exists()
    stream = open_lock(path)
    if is_new:
        path.chmod(0o666)
    return stream


def lease_holders(uuid: str, folder: Path = LEASES) -> Iterator[dict[str, Any]]:
    """Who holds the GPU or a slot of it: pid, host, since, about."""
    for path in sorted(folder.glob(f"{uuid}*.lock")):
        told = read_lock_owner(path)
        if told is not None:
            yield told


def device_name(device: "torch.device") -> str:
    """The device as people call it: cpu, or the card's name."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def device_memory_mib(device: "torch.device") -> int:
    """MiB that the device has: the card's, or the machine's."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory // 2**20
    return _memory_mib()


@cache
def largest_memory_mib(device: str) -> int:
    """MiB of the largest device that `auto`, `cpu` or `cuda` may mean on this machine, asked without torch; 0 where there is none."""
    cards = [gpu.memory_mib for gpu in list_gpus()] if device != "cpu" else []
    return max(cards, default=0 if device == "cuda" else _memory_mib())


def _memory_mib() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20


def peak_memory_mib(device: "torch.device") -> float:
    """MiB that this process used at most: allocated on a GPU, resident in memory on a CPU (libraries included)."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
