"""Placement of training images: on the GPU if they fit, else in RAM, else on disk."""

import re
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from resomap.data.store.npy_file import NpyFile

MAX_MEMORY_SHARE = 0.5
"""Share of the free memory that images may take; the rest is for the model and for others."""


class DiskImages:
    """The images of a .npy file (N, r, r, 3), each read when it is indexed."""

    # Not a memory map: in random order the system reads megabytes ahead at every page fault,
    # and a batch takes ten times as long as with one pread per image (benchmarks/data.md).

    device = torch.device("cpu")

    def __init__(self, path: Path) -> None:
        self._rows = NpyFile.open(path)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of all images together."""
        return self._rows.shape

    def __getitem__(self, index: Tensor) -> Tensor:
        """Return the images of `index` (n,), in its order: uint8 (n, r, r, 3)."""
        return self.read_into(
            torch.empty(len(index), *self.shape[1:], dtype=torch.uint8), index
        )

    def read_into(self, batch: Tensor, index: Tensor) -> Tensor:
        """Read the images of `index` (n,) into `batch` (n, r, r, 3) and return it."""
        for image, row in zip(batch.numpy(), index.tolist(), strict=True):
            self._rows.read_into(row, image)
        return batch


PlacedImages = Tensor | DiskImages


def take_images(images: PlacedImages, index: Tensor, out: Tensor | None = None) -> Tensor:
    """Return the images of `index` (n,), in its order; `out` receives them if it is given."""
    if isinstance(images, Tensor):
        # index_select copies bytes two to ten times as fast as indexing does (docs/LOG.md).
        return torch.index_select(images, 0, index, out=out)
    return images[index] if out is None else images.read_into(out, index)


def place_images(images: np.ndarray, device: torch.device) -> PlacedImages:
    """Place an array (N, r, r, 3) or mapped file as near to `device` as it fits."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        # Jobs that share the GPU and start together all see the same memory as free.
        # By index: torch refuses a plain `cuda`, and takes None for the current device.
        own = total * torch.cuda.get_per_process_memory_fraction(device.index)
        if images.nbytes <= MAX_MEMORY_SHARE * min(free, own):
            return _read_all(images).to(device)
    if isinstance(images, np.memmap) and images.nbytes > MAX_MEMORY_SHARE * _free_memory():
        return DiskImages(Path(str(images.filename)))
    # Not pinned: a batch is gathered into a buffer of its own, and only that one is copied.
    return _read_all(images)


def _read_all(images: np.ndarray) -> Tensor:
    whole = np.empty(images.shape, images.dtype)
    if isinstance(images, np.memmap):
        # Read, not copied from the map: a failing disk, or a file that another node replaced,
        # ends a process with a map by SIGBUS.
        with closing(NpyFile.open(Path(str(images.filename)))) as stored:
            stored.read_into(0, whole)
    else:
        whole[...] = images
    return torch.from_numpy(whole)


def _free_memory() -> int:
    """Return the bytes available without swapping; the page cache counts as free."""
    match = re.search(
        r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii")
    )
    assert match is not None
    return 1024 * int(match[1])
