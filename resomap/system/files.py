"""Atomic file writing: a reader finds a file either whole or not at all, also after a crash."""

import csv
import errno
import glob
import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np

from resomap.errors import DataError

CONTENT_ERRORS = (ValueError, EOFError, KeyError, BadZipFile, ZlibError, NotImplementedError)
"""What readers raise for a file that is empty, cut short or garbled.

ValueError includes those of JSON, of text encodings and of pandas.
"""
TEMPORARY_NAME = re.compile(r"\..+\.[0-9a-f]{32}(\..+)?|\.tmp\w+")
"""Names of temporary files: those of `replacing`, and those of safetensors."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; if the block succeeds, move it durably to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    temporary.touch()
    mode = temporary.stat().st_mode
    try:
        with naming_file(path):
            yield temporary
            # safetensors replaces the file by one that only its owner can read.
            temporary.chmod(mode)
            rename_durably(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Add `path` to errors of the operating system that name no file, as those on open files."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def temporary_beside(path: Path) -> Path:
    """Return a unique path in the folder of `path`."""
    return path.with_name(f".{path.stem}.{uuid4().hex}{path.suffix}")


def rename_durably(finished: Path, path: Path) -> None:
    """Rename a file or folder to `path` and wait until content and name are on the disk."""
    # The content has to be on the disk before the name: otherwise a power cut may leave the new
    # name with empty content.
    sync(finished)
    os.replace(finished, path)
    sync(path.parent)


def check_writable(path: Path) -> None:
    """Raise the OSError that writing `path` would raise, and leave nothing behind.

    A job checks its outputs before it starts, not after hours of work.
    """
    if path.is_dir():
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    with naming_file(path):
        temporary.touch()
        temporary.unlink()


def remove_leftovers_of(path: Path) -> None:
    """Remove what killed writers of `path` left; no other process may be writing it."""
    for leftover in path.parent.glob(f".{glob.escape(path.stem)}.*{path.suffix}"):
        if TEMPORARY_NAME.fullmatch(leftover.name):
            leftover.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of killed writers; no other process may be writing to `folder`."""
    for path in folder.glob(".*"):
        if TEMPORARY_NAME.fullmatch(path.name):
            path.unlink()


def sync(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on the disk.

    A network file system may report a failed write (no space, over quota) only here, if the
    writer ignored the error on closing, as safetensors does.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # EINVAL (fsync(2)): there is nothing to sync, as for folders of some file systems.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write `text` atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys; ValueError for NaN."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def damaged(path: Path) -> DataError:
    """Return the error of a file whose content is not what was written."""
    return DataError(f"{path} is damaged: delete it and run again")


@contextmanager
def reporting_damage(path: Path) -> Iterator[None]:
    """Turn the errors of a reader about the content of `path` into `damaged(path)`.

    Errors of the operating system, such as those of a failing disk, stay as they are.
    """
    try:
        yield
    except CONTENT_ERRORS as error:
        raise damaged(path) from error


def read_json(path: Path) -> Any:
    """Read one JSON document; DataError where it is damaged."""
    with reporting_damage(path):
        return json.loads(path.read_bytes())


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write `rows` as CSV with exactly `columns`.

    A missing value, None or NaN is left blank; ValueError for an unknown key.
    """
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.DictWriter(stream, fieldnames=columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _blank_if_nan(value) for name, value in row.items()})


def _blank_if_nan(value: Any) -> Any:
    return None if isinstance(value, float | np.floating) and np.isnan(value) else value


def write_array(path: Path, array: np.ndarray) -> None:
    """Write one array as .npy, which can be memory-mapped."""
    # Via memory: when numpy writes to a file, its error hides the reason (such as no space).
    stored = io.BytesIO()
    np.save(stored, array, allow_pickle=False)
    with replacing(path) as temporary:
        temporary.write_bytes(stored.getbuffer())


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write named arrays as one compressed .npz."""
    with replacing(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)


def read_arrays(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Read the named arrays of an .npz into memory, or all; DataError where it is damaged."""
    # Opened here: of a path, numpy leaves the file open when its content is no archive.
    with (
        reporting_damage(path),
        path.open("rb") as stream,
        np.load(stream, allow_pickle=False) as stored,
    ):
        return {name: stored[name] for name in names or stored.files}


def map_array(path: Path) -> np.ndarray:
    """Map one .npy read-only; DataError where it is damaged."""
    # Mapped: opening costs nothing, and some readers need a few rows only.
    with reporting_damage(path):
        array: np.ndarray = np.lib.format.open_memmap(path, mode="r")
        return array


def file_sha256(path: Path) -> str:
    """Return the file's sha256 in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
