"""The NVIDIA GPUs of this machine, as nvidia-smi lists them, with their MIG slices."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

GPU_FIELDS = "index,uuid,name,memory.total"
# "A100 MIG 3g.20gb": the profile of a slice ends with its memory in GB.
MIG_LINE = re.compile(r"^\s+MIG (?P<profile>\S+)\s+Device\s+\d+: \(UUID: (?P<uuid>MIG-[^)]+)\)")
GPU_LINE = re.compile(r"^GPU (?P<number>\d+): ")
MIG_MEMORY = re.compile(r"\.(\d+)gb")
TIMEOUT_SECONDS = 60  # a driver in trouble lets nvidia-smi hang


class Gpu(NamedTuple):
    """An NVIDIA GPU of this machine, or a MIG slice of one under the number of its card."""

    number: int
    uuid: str
    name: str
    memory_mib: int

    @property
    def is_slice(self) -> bool:
        """True for a MIG slice, of which CUDA gives a process one at most."""
        return self.uuid.startswith("MIG-")


def list_gpus() -> list[Gpu]:
    """Return the NVIDIA GPUs in the order of nvidia-smi; an empty list without a driver.

    A card in MIG mode is replaced by its slices: CUDA cannot use it whole.
    """
    # Drivers before 450 do not know the field.
    listing = _run_nvidia_smi(f"--query-gpu={GPU_FIELDS},mig.mode.current")
    if listing is None:
        listing = _run_nvidia_smi(f"--query-gpu={GPU_FIELDS}")
    gpus = []
    for line in (listing or "").splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) >= 4 and fields[0].isdigit():
            gpus.append((_parse_gpu(fields), "Enabled" in fields[4:]))
    if not any(in_mig_mode for _, in_mig_mode in gpus):
        return [gpu for gpu, _ in gpus]
    return list(_replace_by_slices(gpus, _run_nvidia_smi("-L") or ""))


def _run_nvidia_smi(option: str) -> str | None:
    """Return the output of nvidia-smi; None if it is missing or fails."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", option]
    if option.startswith("--query"):
        command.append("--format=csv,noheader,nounits")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _parse_gpu(fields: Sequence[str]) -> Gpu:
    number, uuid, name, memory = fields[:4]
    # Chips that share the memory of the machine (GB10, Jetson) report [N/A] for theirs.
    memory_mib = int(memory) if memory.isdigit() else machine_memory_mib()
    return Gpu(int(number), uuid, name, memory_mib)


def _replace_by_slices(gpus: Sequence[tuple[Gpu, bool]], listing: str) -> Iterator[Gpu]:
    """Yield the GPUs, and for those in MIG mode the slices that `nvidia-smi -L` lists."""
    slices: dict[int, list[tuple[str, str]]] = {}
    number = -1
    for line in listing.splitlines():
        if card := GPU_LINE.match(line):
            number = int(card["number"])
        elif part := MIG_LINE.match(line):
            slices.setdefault(number, []).append((part["uuid"], part["profile"]))
    for gpu, in_mig_mode in gpus:
        if not in_mig_mode:
            yield gpu
        for uuid, profile in slices.get(gpu.number, ()):
            size = MIG_MEMORY.search(profile)
            memory_mib = 1024 * int(size[1]) if size else gpu.memory_mib
            yield Gpu(gpu.number, uuid, f"{gpu.name} MIG {profile}", memory_mib)


def visible_gpus(gpus: Sequence[Gpu]) -> list[Gpu]:
    """Return those of `gpus` that CUDA_VISIBLE_DEVICES names by number or UUID; all if unset."""
    variable = os.environ.get("CUDA_VISIBLE_DEVICES")
    if variable is None:
        return list(gpus)
    names = [name.strip() for name in variable.split(",") if name.strip()]
    return [gpu for gpu in gpus if any(_is_name_of(name, gpu) for name in names)]


def _is_name_of(name: str, gpu: Gpu) -> bool:
    """Return whether `name` is the number of the GPU, or its UUID or the start of it."""
    if name == str(gpu.number):
        return True
    return name.startswith(("GPU-", "MIG-")) and gpu.uuid.startswith(name)


def has_nvidia_device() -> bool:
    """Return whether the kernel shows an NVIDIA GPU, with or without nvidia-smi."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def machine_memory_mib() -> int:
    """Return the memory of this machine in MiB."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
