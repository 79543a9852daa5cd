"""Readers of the files that other jobs wrote, each compared with the receipt of its job."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from resomap.system import files
from resomap.workflow.receipts import check_content

if TYPE_CHECKING:
    import numpy as np


def read_json(path: Path) -> Any:
    """Read one JSON document; DataError where it is damaged."""
    check_content(path)
    return files.read_json(path)


def read_arrays(path: Path, *names: str) -> "dict[str, np.ndarray]":
    """Read the named arrays of an .npz into memory, or all; DataError where it is damaged."""
    check_content(path)
    return files.read_arrays(path, *names)


def map_array(path: Path) -> "np.ndarray":
    """Map one .npy read-only; DataError where it is damaged."""
    check_content(path)
    return files.map_array(path)
