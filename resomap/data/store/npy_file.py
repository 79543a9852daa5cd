"""A .npy file that several processes read and write row by row, without mapping it.

Mapped pages count as memory of the process, and a full or failing disk ends a map with SIGBUS
where pread and pwrite raise an error.
"""

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.lib import format as npy

from resomap.errors import DataError


@dataclass(frozen=True)
class NpyFile:
    """An open .npy file of `shape` and `dtype` whose data begin at byte `offset`.

    A row is one item of the first axis. Any process may write any row.
    """

    path: Path
    descriptor: int
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def create(cls, path: Path, shape: tuple[int, ...], dtype: Any) -> None:
        """Create a file of zeros and reserve its space, so that a full disk fails here."""
        # Readable too: where a file system cannot reserve space (NFS 3), glibc's fallback reads
        # a byte of each block and writes it back.
        with path.open("w+b") as stream:
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
        """Open an existing file."""
        with path.open("rb") as stream:
            npy.read_magic(stream)
            shape, _, dtype = npy.read_array_header_1_0(stream)
            offset = stream.tell()
        flags = os.O_RDWR if writable else os.O_RDONLY
        return cls(path, os.open(path, flags), offset, shape, dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, row: int) -> np.ndarray:
        """Read one row."""
        values = np.empty(self.shape[1:], self.dtype)
        self.read_into(row, values)
        return values

    def read_into(self, row: int, target: np.ndarray) -> None:
        """Read rows from `row` on into `target`: one row, or an array of rows."""
        data = target.reshape(-1).view(np.uint8)
        position = self.offset + row * self._row_bytes
        # A read is short where the disk fails in between; the next call then raises the error.
        while len(data):
            count = self._read(data, position)
            data, position = data[count:], position + count

    def _read(self, data: np.ndarray, position: int) -> int:
        try:
            count = os.preadv(self.descriptor, [data.data], position)
        except OSError as error:
            error.filename = str(self.path)  # the kernel knows the descriptor only
            raise
        if not count:
            raise DataError(
                f"{self.path} ends too early for {self.dtype} {self.shape}. "
                "Delete it and run again."
            )
        return count

    def __setitem__(self, row: int, values: np.ndarray) -> None:
        """Write rows from `row` on: one row, or an array of rows."""
        data = np.ascontiguousarray(values, self.dtype).reshape(-1).view(np.uint8)
        position = self.offset + row * self._row_bytes
        while len(data):
            count = os.pwrite(self.descriptor, data.data, position)
            data, position = data[count:], position + count

    @property
    def _row_bytes(self) -> int:
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    def sync(self) -> None:
        """Wait until everything written is on the disk itself."""
        os.fsync(self.descriptor)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.descriptor)


def read_rows(path: Path, rows: Sequence[int]) -> np.ndarray:
    """Return the given rows of a .npy file, in their order."""
    with closing(NpyFile.open(path)) as stored:
        if not len(rows):
            return np.zeros((0, *stored.shape[1:]), stored.dtype)
        return np.stack([stored[row] for row in rows])
