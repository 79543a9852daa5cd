"""Resizing: an image or mask of any shape to a square, and the store to each resolution.

Every image is resized twice, always antialiased: once to the native square and once from there
to each resolution of the sweep. The filter is part of the experiment: of a grating with 0.65
cycles per target pixel, above Nyquist, box leaves 0.46 of the contrast as moire, bilinear and
bicubic 0.18, lanczos 0.07; without antialiasing all of it would stay.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from resomap.config.data import Aspect, Filter
from resomap.data.store.disk_space import check_disk_space
from resomap.data.store.npy_file import NpyFile, read_rows
from resomap.data.store.resumable_arrays import (
    DONE,
    FillPlan,
    fill_arrays,
    partial_folder,
    publish_arrays,
)
from resomap.data.store.store import SPLITS, open_store
from resomap.system import files
from resomap.workflow.receipts import check_content

LETTERBOX_GREY = 128
RESIZE_RECORD = np.dtype([("done", "u1")])


def make_square(
    image: Image.Image, side: int, aspect: Aspect, filter: Image.Resampling
) -> Image.Image:
    """Return an image (RGB) or a mask (L) as side x side pixels, by one resize.

    squash scales width and height independently. center_crop takes the largest square in the
    middle. letterbox scales the long side and pads with grey (a mask with 0). An image that has
    the size already is returned as it is.
    """
    width, height = image.size
    if (width, height) == (side, side):
        return image
    if aspect == "letterbox":
        return _letterbox(image, side, filter)
    if aspect == "squash":
        return image.resize((side, side), filter)
    short = min(width, height)
    left, top = (width - short) / 2, (height - short) / 2
    return image.resize((side, side), filter, (left, top, left + short, top + short))


def _letterbox(image: Image.Image, side: int, filter: Image.Resampling) -> Image.Image:
    longest = max(image.size)
    # At least one pixel: a side of 9,000 x 1 would be rounded to nothing.
    width, height = (max(1, round(length * side / longest)) for length in image.size)
    padding = 0 if image.mode == "L" else (LETTERBOX_GREY,) * 3
    square = Image.new(image.mode, (side, side), padding)
    corner = ((side - width) // 2, (side - height) // 2)
    square.paste(image.resize((width, height), filter), corner)
    return square


def resize_images(images: np.ndarray, resolution: int, filter: Filter) -> np.ndarray:
    """Resize images, uint8 (N, H, W, 3), to (N, resolution, resolution, 3) by Pillow.

    Images of that resolution are returned unchanged.
    """
    if images.shape[1:3] == (resolution, resolution):
        return images
    size, resampling = (resolution, resolution), Image.Resampling[filter.upper()]
    # Pillow widens its filter by the reduction, which is the antialiasing.
    return np.stack(
        [np.asarray(Image.fromarray(image).resize(size, resampling)) for image in images]
    )


@dataclass(frozen=True)
class ResizeTask:
    """A task that resizes rows of `native` into the array of their split."""

    native: Path
    resolution: int
    filter: Filter

    def __call__(
        self, arrays: dict[str, NpyFile], start: int, items: Sequence[tuple[str, int, int]]
    ) -> np.ndarray:
        """Fill the row `index` of its split's array for each (split, index, row of native)."""
        stored = read_rows(self.native, [row for _, _, row in items])
        images = resize_images(stored, self.resolution, self.filter)
        for image, (split, index, _) in zip(images, items, strict=True):
            arrays[split][index] = image
        return np.full(len(items), DONE, RESIZE_RECORD)


def resize_store(manifest: Path, resolution: int, filter: Filter, workers: int = 1) -> None:
    """Write r{resolution}/{split}.npy beside `manifest`, resuming a killed attempt.

    A few images are in memory at a time. DataError where the arrays do not fit on the disk.
    """
    store, folder = open_store(manifest), manifest.parent / f"r{resolution}"
    shapes = {split: (store.counts[split], resolution, resolution, 3) for split in SPLITS}
    # Partial arrays have reserved their space already.
    if not partial_folder(folder).exists():
        sizes = {
            f"{split} at {resolution} px": math.prod(shape) for split, shape in shapes.items()
        }
        check_disk_space(folder, sizes)
    native = manifest.parent / "native.npy"
    check_content(native)
    items = []
    for split in SPLITS:
        items += [(split, index, row) for index, row in enumerate(store.rows(split).tolist())]
    plan = FillPlan(
        # The manifest holds digests of all images, so that it identifies the store.
        fingerprint=f"{files.file_sha256(manifest)} {resolution} {filter}",
        arrays={split: (shape, np.uint8) for split, shape in shapes.items()},
        record_dtype=RESIZE_RECORD,
        task=ResizeTask(native, resolution, filter),
        description=f"{resolution} px",
    )
    fill_arrays(folder, plan, items, workers)
    publish_arrays(folder, {split: f"{split}.npy" for split in SPLITS})
