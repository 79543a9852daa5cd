"""Where the pictures of a training lie: on the GPU if they fit, else in memory that it reads fast, else on disk, mapped."""

import re
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

SHARE = 0.5
"""Share of the free memory that pictures may take; the rest is for the network and for others."""


def place_pictures(pictures: np.ndarray, device: torch.device, pin_memory: bool) -> Tensor:
    """The pictures of a memory-mapped array (N, r, r, 3) as a tensor as near to `device` as they fit."""
    if device.type == "cuda" and pictures.nbytes <= SHARE * torch.cuda.mem_get_info(device)[0]:
        return torch.from_numpy(np.array(pictures)).to(device)
    if pictures.nbytes > SHARE * _free_memory():
        return _mapped(pictures)
    resident = torch.from_numpy(np.array(pictures))
    return resident.pin_memory() if pin_memory and device.type == "cuda" else resident


def _free_memory() -> int:
    """Bytes that may be taken without swapping: what files have cached counts as free."""
    found = re.search(r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"))
    assert found is not None
    return 1024 * int(found[1])


def _mapped(pictures: np.ndarray) -> Tensor:
    with warnings.catch_warnings():  # the map is read-only, and nothing here writes
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(pictures)
