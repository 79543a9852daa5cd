"""The GPU of a job as NVIDIA's management library (NVML) knows it."""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch


class Card(NamedTuple):
    """The GPU behind a torch device: the NVML module and its handles.

    `whole` is the card, on which clock, temperature and energy counter exist once; `visible` is
    what torch uses, the card or a MIG slice of it. A slice shares the card with other users.
    """

    nvml: Any
    whole: Any
    visible: Any
    is_slice: bool


def open_card(device: "torch.device") -> Card | None:
    """Return the card of a torch device; None on a CPU or if NVML does not answer.

    Found by its UUID, because CUDA_VISIBLE_DEVICES renumbers CUDA's devices and not NVML's.
    """
    if device.type != "cuda":
        return None
    import pynvml
    import torch

    with suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        return _find_card(pynvml, str(torch.cuda.get_device_properties(device).uuid))
    return None


def _find_card(nvml: Any, uuid: str) -> Card:
    # CUDA's UUIDs have no prefix. In a MIG slice CUDA reports the slice's or the whole card's,
    # depending on its version, so the slice is tried first.
    part = query(nvml, nvml.nvmlDeviceGetHandleByUUID, f"MIG-{uuid}")
    if part is not None:
        whole = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(part)
        return Card(nvml, whole, part, is_slice=True)
    whole = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    current, _ = query(nvml, nvml.nvmlDeviceGetMigMode, whole) or (0, 0)
    return Card(nvml, whole, whole, is_slice=bool(current))


def query(nvml: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return NVML's answer; None if card, driver or the user's rights do not allow one."""
    try:
        return function(*arguments)
    except nvml.NVMLError:
        return None


def process_memory_mib(device: "torch.device") -> float | None:
    """Return the memory that this process holds on its GPU, in MiB; None if not known.

    Unlike torch's own figures it includes the CUDA context and the libraries, and unlike the
    memory in use on the card not that of neighbours. Not known on a CPU, in a container that
    hides the process's id on the host, and where the driver keeps no such account.
    """
    card = open_card(device)
    if card is None:
        return None
    processes = query(card.nvml, card.nvml.nvmlDeviceGetComputeRunningProcesses, card.visible)
    for process in processes or ():
        if process.pid == os.getpid() and process.usedGpuMemory is not None:
            return float(process.usedGpuMemory / 2**20)
    return None
