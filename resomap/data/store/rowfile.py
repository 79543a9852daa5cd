"""Arrays on disk that several processes fill row by row, without mapping them: memory use does not grow with them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.lib import format as npy

from resomap.errors import DataError


@dataclass(frozen=True)
class RowFile:
    """The .npy file `path` of `shape` and `dtype`, open by `descriptor`; its pixels begin at byte `offset`. Rows are written whole, by anyone."""

    path: Path
    descriptor: int
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def create(cls, path: Path, shape: tuple[int, ...], dtype: Any) -> None:
        """Make a file of zeros, its space taken on the disk at once: a disk that is full says so here and not in the middle."""
        with (
            path.open("w+b") as stream
        ):  # readable too: where a file system cannot reserve space (NFS 3), glibc reads and writes instead
            header = {
                "descr": npy.dtype_to_descr(np.dtype(dtype)),
                "fortran_order": False,
                "shape": shape,
            }
            npy.write_array_header_1_0(stream, header)
            stream.flush()
            size = stream.tell() + int(np.prod(shape)) * np.dtype(dtype).itemsize
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(stream.fileno(), 0, size)
            stream.truncate(size)

    @classmethod
    def open(cls, path: Path, *, writable: bool = False) -> Self:
        """Open an array that exists."""
        with path.open("rb") as stream:
            npy.read_magic(stream)
            shape, _, dtype = npy.read_array_header_1_0(stream)
            offset = stream.tell()
        return cls(
            path, os.open(path, os.O_RDWR if writable else os.O_RDONLY), offset, shape, dtype
        )

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, row: int) -> np.ndarray:
        """One row, read now."""
        values = np.empty(self.shape[1:], self.dtype)
        self.read_into(row, values)
        return values

    def read_into(self, row: int, target: np.ndarray) -> None:
        """Read rows from `row` on into memory that is there, as many as `target` holds: one row, or an array of them."""
        data = target.reshape(-1).view(np.uint8)
        place = self.offset + row * self._stride
        while len(data):
            read = self._read(
                data, place
            )  # less than was asked for where the disk fails in between: the next call tells the error
            data, place = data[read:], place + read

    def _read(self, data: np.ndarray, place: int) -> int:
        try:
            read = os.preadv(self.descriptor, [data.data], place)
        except OSError as error:
            error.filename = str(self.path)
            raise
        if not read:
            raise DataError(
                f"{self.path} ends too early for {self.dtype} {self.shape}. Delete it and run again."
            )
        return read

    def __setitem__(self, row: int, values: np.ndarray) -> None:
        """Write rows from `row` on, as many as `values` holds: one row, or an array of them."""
        data = np.ascontiguousarray(values, self.dtype).reshape(-1).view(np.uint8)
        place = self.offset + row * self._stride
        while len(data):
            written = os.pwrite(self.descriptor, data.data, place)
            data, place = data[written:], place + written

    @property
    def _stride(self) -> int:
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    def sync(self) -> None:
        """Wait until all that was written is on the disk itself."""
        os.fsync(self.descriptor)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.descriptor)


def take_rows(path: Path, rows: Sequence[int]) -> np.ndarray:
    """The named rows of a .npy file, in their order."""
    stored = RowFile.open(path)
    try:
        return (
            np.stack([stored[row] for row in rows])
            if len(rows)
            else np.zeros((0, *stored.shape[1:]), stored.dtype)
        )
    finally:
        stored.close()
