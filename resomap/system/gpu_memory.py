"""The part of a GPU's memory that a job may take where several jobs share the GPU."""

import os
from typing import TYPE_CHECKING

from resomap.system.gpus import SLOTS_VARIABLE, device_memory_mib

if TYPE_CHECKING:
    import torch

CONTEXT_MIB = 512
"""Memory of a CUDA context with torch's kernels, one per process. torch does not count it."""


def slot_fraction(memory_mib: float, slots: int) -> float:
    """Return the share of a GPU's memory that torch may allocate in one of `slots` jobs."""
    return max(0.0, 1 / slots - CONTEXT_MIB / memory_mib)


def slot_memory_mib(device: "torch.device") -> float:
    """Return the memory of the GPU that one of the jobs which share it may allocate, in MiB."""
    memory_mib, slots = device_memory_mib(device), _num_slots()
    return memory_mib * slot_fraction(memory_mib, slots) if slots > 1 else memory_mib


def limit_memory_to_slot(device: "torch.device", processes: int = 1) -> None:
    """Let this process take only its part of a GPU that jobs share, its context included.

    A job beyond its part then runs out of memory itself, and takes fewer images at once.
    Otherwise that would happen to a neighbour, and its results would depend on who shares the
    GPU. Trainings of several `processes` have whole GPUs.
    """
    import torch

    slots = _num_slots()
    if device.type == "cuda" and slots > 1 and processes == 1:
        fraction = slot_fraction(device_memory_mib(device), slots)
        # By index: torch refuses a plain `cuda`, and takes None for the current device.
        torch.cuda.set_per_process_memory_fraction(fraction, device.index)


def _num_slots() -> int:
    return int(os.environ.get(SLOTS_VARIABLE, "1"))
