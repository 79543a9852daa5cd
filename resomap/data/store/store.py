"""The prepared store: every image once at native resolution, and once per resolution.

manifest.json                  what the arrays hold; written last: it marks a complete store
pictures.csv                   every image: split, index, label, group, source, and its file
bad_pictures.csv               files that could not be decoded, with the reason
duplicates.csv                 images whose pixels equal those of an earlier one
native.npy                     uint8 (rows, native, native, 3), in the order of the source
rows_{split}.npy               int64 (N,), the row in native.npy of each image of the split
labels_{split}.npy             int64 (N,)
masks_test.npy                 uint8 (N, native, native), 255 where the object covers the whole
                               pixel; (0, ...) without masks
spectrum.npy                   float64 (1 + classes, native // 2 + 1), share of the spectral
                               energy up to each frequency
contact_sheet.npz              a few small images of each class
r{resolution}/{split}.npy      uint8 (N, resolution, resolution, 3)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from resomap.config.data import Aspect, Filter
from resomap.config.start import Normalisation
from resomap.errors import DataError
from resomap.system import files
from resomap.workflow import checked_files

SPLITS = ("train", "val", "test")
# What jobs need; the report reads more.
MANIFEST_KEYS = {
    *("native_resolution", "aspect", "filter", "splits", "mean", "std"),
    *("classes", "groups", "pairs", "frequencies", "mask"),
}


@dataclass(frozen=True)
class Store:
    """The arrays of a prepared dataset, checked against its manifest and mapped read-only.

    `mean` and `std` normalise the channels on the scale 0 to 1: they are those of the training
    images, or of the weights that a run started from (`normalised_by`).
    `groups` (class name to group), `pairs` (class indices that share a group) and `frequencies`
    (group to cycles per image) are None where the source has none. `aspect` and `filter` are
    how every image was resized.
    """

    directory: Path
    native_resolution: int
    classes: tuple[str, ...]
    groups: dict[str, str] | None
    pairs: tuple[tuple[int, int], ...] | None
    frequencies: dict[str, float] | None
    has_masks: bool
    aspect: Aspect
    filter: Filter
    counts: dict[str, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    def normalised_by(self, normalisation: Normalisation | None) -> Self:
        """Return the store whose images are normalised so; None keeps their own mean and std."""
        if normalisation is None:
            return self
        return replace(self, mean=normalisation.mean, std=normalisation.std)

    def images(self, split: str, resolution: int) -> np.ndarray:
        """Return the images of a split at a resolution r: uint8 (N, r, r, 3)."""
        shape = (self.counts[split], resolution, resolution, 3)
        return self._map(f"r{resolution}/{split}.npy", shape, np.uint8)

    def native_images(self) -> np.ndarray:
        """Return the images of all splits at native resolution n: uint8 (rows, n, n, 3)."""
        path, side = self.directory / "native.npy", self.native_resolution
        try:
            array = checked_files.map_array(path)
        except FileNotFoundError as error:
            raise DataError(
                f"{path} is missing: crops of native images need it. Prepare the data again, or "
                "set training.augmentation.random_resized_crop.crop_from: resized"
            ) from error
        if array.shape[1:] != (side, side, 3) or array.dtype != np.uint8:
            raise DataError(
                f"{path} holds {array.dtype} {array.shape}, but the manifest promises images of "
                f"{side} px. Delete it and run again."
            )
        return array

    def labels(self, split: str) -> np.ndarray:
        """Return the class indices of a split: int64 (N,)."""
        return self._map(f"labels_{split}.npy", (self.counts[split],), np.int64)

    def rows(self, split: str) -> np.ndarray:
        """Return the row in native.npy of each image of a split: int64 (N,)."""
        return self._map(f"rows_{split}.npy", (self.counts[split],), np.int64)

    def masks(self, split: str) -> np.ndarray | None:
        """Return the share of each native pixel that the object covers; None without masks.

        uint8 (N, native, native), 255 for the whole pixel.
        """
        if not self.has_masks:
            return None
        side = self.native_resolution
        return self._map(f"masks_{split}.npy", (self.counts[split], side, side), np.uint8)

    def _map(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> np.ndarray:
        path, expected = self.directory / name, f"{np.dtype(dtype)} {shape}"
        try:
            array = checked_files.map_array(path)
        except FileNotFoundError as error:
            raise DataError(
                f"{path} is missing; the manifest beside it promises {expected}."
            ) from error
        if (array.shape, array.dtype) != (shape, np.dtype(dtype)):
            raise DataError(
                f"{path} holds {array.dtype} {array.shape}, but the manifest promises "
                f"{expected}. Delete it and run again."
            )
        return array


def open_store(path: Path) -> Store:
    """Open the store of the manifest `path`; DataError where it is not a manifest of ours."""
    manifest = _read_manifest(path)
    pairs = manifest["pairs"]
    if pairs is not None:
        pairs = tuple((first, second) for first, second in pairs)
    return Store(
        directory=path.parent,
        native_resolution=manifest["native_resolution"],
        classes=tuple(manifest["classes"]),
        groups=manifest["groups"],
        pairs=pairs,
        frequencies=manifest["frequencies"],
        has_masks=manifest["mask"],
        aspect=manifest["aspect"],
        filter=manifest["filter"],
        counts={split: facts["count"] for split, facts in manifest["splits"].items()},
        mean=tuple(manifest["mean"]),
        std=tuple(manifest["std"]),
    )


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = checked_files.read_json(path)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: the data are not prepared here.") from error
    missing = MANIFEST_KEYS.difference(manifest if isinstance(manifest, dict) else ())
    if missing:
        raise DataError(
            f"{path} lacks {', '.join(sorted(missing))}. Delete it and prepare the data again."
        )
    return dict(manifest)


@contextmanager
def new_array(path: Path, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield a mapped uint8 array that becomes `path` when the block ends without an error."""
    with files.replacing(path) as temporary:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        yield array
        array.flush()
