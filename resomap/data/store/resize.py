"""One resize from the native resolution to each resolution of the sweep, antialiased and once a picture.

The filter is part of the experiment: of a grating with 0.65 cycles per target pixel, above Nyquist, box leaves 0.46 of the
contrast as moire, bilinear and bicubic 0.18, lanczos 0.07; without antialiasing all of it would stay.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from resomap.data.store.disk_space import check_room
from resomap.data.store.filling import DONE, Plan, fill, partial, publish
from resomap.data.store.rowfile import RowFile, take_rows
from resomap.data.store.store import SPLITS, open_store
from resomap.system import files

Filter = Literal["box", "bilinear", "bicubic", "lanczos"]
LINE = np.dtype([("done", "u1")])


def resize(images: np.ndarray, resolution: int, filter: Filter) -> np.ndarray:
    """Each of the pictures, uint8 (N, H, W, 3), brought whole to (N, resolution, resolution, 3) by Pillow's `filter`.

    Pictures that have that resolution already come back unchanged.
    """
    if images.shape[1:3] == (resolution, resolution):
        return images
    size, resampling = (resolution, resolution), Image.Resampling[filter.upper()]
    return np.stack(
        [np.asarray(Image.fromarray(image).resize(size, resampling)) for image in images]
    )


@dataclass(frozen=True)
class Resize:
    """Resizes rows of `native` into the rows that stand beside them."""

    native: Path
    resolution: int
    filter: Filter

    def __call__(
        self, arrays: dict[str, RowFile], start: int, items: Sequence[tuple[str, int, int]]
    ) -> np.ndarray:
        """Fill a row of its split's array for each (split, index, row of native)."""
        images = resize(
            take_rows(self.native, [row for _, _, row in items]), self.resolution, self.filter
        )
        for image, (split, index, _) in zip(images, items, strict=True):
            arrays[split][index] = image
        return np.full(len(items), DONE, LINE)


def resize_store(manifest: Path, resolution: int, filter: Filter, workers: int = 1) -> None:
    """Write r{resolution}/{split}.npy beside `manifest` for every split, a few pictures in memory at a time.

    What an earlier try on the same store has done is kept; DataError tells the sizes where the arrays do not fit on the disk.
    """
    store, folder = open_store(manifest), manifest.parent / f"r{resolution}"
    shapes = {split: (store.counts[split], resolution, resolution, 3) for split in SPLITS}
    growing = partial(folder)
    if not growing.exists():
        check_room(
            folder,
            {
                f"{split} at {resolution} px": math.prod(shape)
                for split, shape in shapes.items()
            },
        )
    items = [
        (split, index, row)
        for split in SPLITS
        for index, row in enumerate(store.rows(split).tolist())
    ]
    task = Resize(manifest.parent / "native.npy", resolution, filter)
    mark = f"{files.file_sha256(manifest)} {resolution} {filter}"
    fill(
        folder,
        Plan(
            mark,
            {split: (shape, np.uint8) for split, shape in shapes.items()},
            LINE,
            task,
            f"{resolution} px",
        ),
        items,
        workers,
    )
    publish(folder, {split: f"{split}.npy" for split in SPLITS})
