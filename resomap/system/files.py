"""Files that are either whole or not there."""

import csv
import errno
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

import numpy as np

LEFTOVER = re.compile(r"\..+\.[0-9a-f]{32}(\..+)?|\.tmp\w+")
"""Names of temporaries: those of `replacing`, and those of safetensors."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place, on the disk itself, when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    temporary.touch()
    mode = temporary.stat().st_mode
    try:
        with naming(path):
            yield temporary
            temporary.chmod(mode)  # safetensors makes files that only their user can read
            put(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the disk be about `path` where it does not say on what, as those on open files do not."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def temporary_beside(path: Path) -> Path:
    """A name that nobody else uses, for what will be put in the place of `path`."""
    return path.with_name(f".{path.stem}.{uuid4().hex}{path.suffix}")


def put(finished: Path, path: Path) -> None:
    """Rename a file or a folder to `path`; both its content and its new name are on the disk itself then."""
    sync(finished)
    os.replace(finished, path)
    sync(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed writers left in `folder`; nobody may be writing there."""
    for path in folder.glob(".*"):
        if LEFTOVER.fullmatch(path.name):
            path.unlink()


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk itself.

    This is also where a network file system tells what it could not write (no space, over quota), if whoever wrote did not listen when
    closing: safetensors does not.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if (
            error.errno != errno.EINVAL
        ):  # fsync(2): here is nothing that could be synced, as folders of some file systems
            raise
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write `text` whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON with sorted keys; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read one JSON document."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write `rows` as CSV with exactly `columns`; a missing value, None or NaN is left blank, an unknown key is an error."""
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.DictWriter(stream, fieldnames=columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {name: None if _is_nan(value) else value for name, value in row.items()}
            for row in rows
        )


def _is_nan(value: Any) -> bool:
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def write_array(path: Path, array: np.ndarray) -> None:
    """Write one array as .npy, readable by memory mapping."""
    stored = io.BytesIO()  # straight into a file, numpy does not tell why it could not write
    np.save(stored, array, allow_pickle=False)
    with replacing(path) as temporary:
        temporary.write_bytes(stored.getbuffer())


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write named arrays as one compressed .npz."""
    with replacing(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read every array of an .npz into memory."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def file_sha256(path: Path) -> str:
    """The file's sha256, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
