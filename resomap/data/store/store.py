"""The prepared store: every picture once at its native resolution, and once more for each resolution of the sweep.

manifest.json                  what the arrays hold; written last, so that it stands for a finished store
pictures.csv                   every picture: split, index, label, group, source, and what is known about it
bad_pictures.csv               what could not be read, and why
duplicates.csv                 pictures whose pixels an earlier one has too
native.npy                     uint8 (rows, native, native, 3), every picture once, in the order of the source
rows_{split}.npy               int64 (N,), where in native.npy each picture of the split stands
labels_{split}.npy             int64 (N,)
masks_test.npy                 uint8 (N, native, native), 255 where the object covers the whole pixel; (0, ...) where none is known
spectrum.npy                   float64 (1 + classes, native // 2 + 1), share of the spectral energy up to each frequency
contact_sheet.npz              a few small pictures of each class
r{resolution}/{split}.npy      uint8 (N, resolution, resolution, 3)
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resomap.data.store.aspect import Aspect
from resomap.errors import DataError
from resomap.system import files

SPLITS = ("train", "val", "test")
_KEYS = {
    "native_resolution",
    "classes",
    "groups",
    "pairs",
    "frequencies",
    "mask",
    "aspect",
    "filter",
    "splits",
    "mean",
    "std",
}


@dataclass(frozen=True)
class Store:
    """The arrays of a prepared data set, each checked against the manifest and mapped into memory, read-only.

    `mean` and `std` are those of the training pictures' channels on the scale 0 to 1; `groups` (class name to group), `pairs`
    (indices of classes that share a group) and `frequencies` (group to cycles per picture) are None where nobody knows them; `aspect` and
    `filter` made every picture square and bring it to each resolution.
    """

    directory: Path
    native_resolution: int
    classes: tuple[str, ...]
    groups: dict[str, str] | None
    pairs: tuple[tuple[int, int], ...] | None
    frequencies: dict[str, float] | None
    masked: bool
    aspect: Aspect
    filter: str
    counts: dict[str, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.classes)

    def images(self, split: str, resolution: int) -> np.ndarray:
        """Pictures of a split at a resolution: uint8 (N, resolution, resolution, 3)."""
        return self._mapped(
            f"r{resolution}/{split}.npy",
            (self.counts[split], resolution, resolution, 3),
            np.uint8,
        )

    def labels(self, split: str) -> np.ndarray:
        """Class indices of a split: int64 (N,)."""
        return self._mapped(f"labels_{split}.npy", (self.counts[split],), np.int64)

    def rows(self, split: str) -> np.ndarray:
        """Where in native.npy the pictures of a split stand: int64 (N,)."""
        return self._mapped(f"rows_{split}.npy", (self.counts[split],), np.int64)

    def masks(self, split: str) -> np.ndarray | None:
        """Share of each native pixel that the object covers, 255 for all of it: uint8 (N, native, native); None where nobody knows."""
        if not self.masked:
            return None
        side = self.native_resolution
        return self._mapped(f"masks_{split}.npy", (self.counts[split], side, side), np.uint8)

    def _mapped(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> np.ndarray:
        path, wanted = self.directory / name, f"{np.dtype(dtype)} {shape}"
        try:
            array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError as error:
            raise DataError(
                f"{path} is missing; the manifest beside it promises {wanted}."
            ) from error
        except (OSError, ValueError, EOFError) as error:
            raise DataError(
                f"{path} is not a whole .npy file ({error}); the manifest promises {wanted}. Delete it and run again."
            ) from error
        if (array.shape, array.dtype) != (shape, np.dtype(dtype)):
            raise DataError(
                f"{path} holds {array.dtype} {array.shape}, but the manifest promises {wanted}. Delete it and run again."
            )
        return array


def open_store(manifest: Path) -> Store:
    """Open the store that `manifest` describes; DataError when it is not a manifest of ours."""
    told = _read_manifest(manifest)
    return Store(
        directory=manifest.parent,
        native_resolution=told["native_resolution"],
        classes=tuple(told["classes"]),
        groups=told["groups"],
        pairs=None
        if told["pairs"] is None
        else tuple((first, second) for first, second in told["pairs"]),
        frequencies=told["frequencies"],
        masked=told["mask"],
        aspect=told["aspect"],
        filter=told["filter"],
        counts={split: facts["count"] for split, facts in told["splits"].items()},
        mean=tuple(told["mean"]),
        std=tuple(told["std"]),
    )


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        told = files.read_json(path)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: the data have not been prepared here.") from error
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path} is not JSON ({error}). Delete it and prepare the data again."
        ) from error
    missing = _KEYS.difference(told)
    if missing:
        raise DataError(
            f"{path} lacks {', '.join(sorted(missing))}. Delete it and prepare the data again."
        )
    return dict(told)


@contextmanager
def writing(path: Path, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield a uint8 array on disk that becomes `path` when the block ends without an error; memory use does not grow with it."""
    with files.replacing(path) as temporary:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        yield array
        array.flush()
