"""The device a job runs on."""

import resource
from typing import TYPE_CHECKING

from resomap.errors import DeviceError

if TYPE_CHECKING:
    import torch


def open_device(device: str, threads: int = 1) -> "torch.device":
    """The torch device that `auto`, `cpu` or `cuda` means here, with `threads` CPU threads."""
    import torch

    torch.set_num_threads(threads)
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError("config/system.yaml: system.device: cuda, but torch sees no CUDA device; use auto or cpu, or check the driver")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def device_name(device: "torch.device") -> str:
    """The device as people call it: cpu, or the card's name."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def peak_memory_mib(device: "torch.device") -> float:
    """MiB that this process used at most: allocated on a GPU, resident in memory on a CPU (libraries included)."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
