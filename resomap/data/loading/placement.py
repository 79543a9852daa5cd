"""Where the pictures of a training lie: on the GPU if they fit, else in memory that it reads fast, else on disk, read row by row."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from resomap.data.store.rowfile import RowFile

SHARE = 0.5
"""Share of the free memory that pictures may take; the rest is for the network and for others."""


class StoredPictures:
    """The pictures of a .npy file (N, r, r, 3), read when they are asked for.

    A map of the file would do the same by page faults; in random order the system then reads megabytes ahead for each picture, and a
    batch takes ten times as long (benchmarks/data.md).
    """

    device = torch.device("cpu")

    def __init__(self, path: Path) -> None:
        self._rows = RowFile.open(path)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Tensor) -> Tensor:
        """The pictures of `index` (n,), in its order: uint8 (n, r, r, 3)."""
        batch = np.empty((len(index), *self._rows.shape[1:]), self._rows.dtype)
        for picture, row in zip(batch, index.tolist(), strict=True):
            self._rows.read_into(row, picture)
        return torch.from_numpy(batch)

    def split(self, size: int) -> Iterator[Tensor]:
        """All pictures in their order, `size` at a time."""
        return (self[index] for index in torch.arange(len(self)).split(size))


Pictures = Tensor | StoredPictures


def take(pictures: Pictures, index: Tensor) -> Tensor:
    """The pictures of `index` (n,), in its order."""
    # index_select copies bytes two to ten times as fast as indexing does (docs/LOG.md).
    return pictures.index_select(0, index) if isinstance(pictures, Tensor) else pictures[index]


def place_pictures(pictures: np.ndarray, device: torch.device, pin_memory: bool) -> Pictures:
    """The pictures of an array (N, r, r, 3), which may be the map of a file, as near to `device` as they fit."""
    if device.type == "cuda" and pictures.nbytes <= SHARE * torch.cuda.mem_get_info(device)[0]:
        return _in_memory(pictures).to(device)
    if isinstance(pictures, np.memmap) and pictures.nbytes > SHARE * _free_memory():
        return StoredPictures(Path(str(pictures.filename)))
    resident = _in_memory(pictures)
    return resident.pin_memory() if pin_memory and device.type == "cuda" else resident


def _in_memory(pictures: np.ndarray) -> Tensor:
    """All of an array. A file is read, not mapped: a disk that fails, or a file that another node replaced, ends a map with SIGBUS."""
    whole = np.empty(pictures.shape, pictures.dtype)
    if isinstance(pictures, np.memmap):
        with closing(RowFile.open(Path(str(pictures.filename)))) as stored:
            stored.read_into(0, whole)
    else:
        whole[...] = pictures
    return torch.from_numpy(whole)


def _free_memory() -> int:
    """Bytes that may be taken without swapping: what files have cached counts as free."""
    found = re.search(
        r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii")
    )
    assert found is not None
    return 1024 * int(found[1])
