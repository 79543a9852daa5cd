"""One picture as it comes to a deployed network: a JPEG of the size that the user's files have."""

import csv
from io import BytesIO
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from resomap.data.store.aspect import Aspect, make_square
from resomap.data.store.rowfile import take_rows
from resomap.data.store.store import Store

QUALITY = 90


def encode_typical(store: Store) -> tuple[bytes, str] | None:
    """The first test picture, brought to the median width and height of the files and encoded, and what it is in words.

    None where native.npy was deleted to save space.
    """
    native = store.directory / "native.npy"
    if not native.exists():
        return None
    size = _median_size(store.directory / "pictures.csv")
    picture = Image.fromarray(take_rows(native, [int(store.rows("test")[0])])[0]).resize(
        size, Image.Resampling.BICUBIC
    )
    stream = BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue(), f"JPEG of {size[0]} x {size[1]} px, quality {QUALITY}"


def _median_size(pictures: Path) -> tuple[int, int]:
    with pictures.open(newline="", encoding="utf-8") as stream:
        sizes = [(int(row["width"]), int(row["height"])) for row in csv.DictReader(stream)]
    widths, heights = zip(*sizes, strict=True)
    return round(median(widths)), round(median(heights))


def decode(encoded: bytes) -> Image.Image:
    """A picture in RGB from its file's content."""
    with Image.open(BytesIO(encoded)) as stored:
        return stored.convert("RGB")


def bring_to(picture: Image.Image, resolution: int, aspect: Aspect, filter: str) -> np.ndarray:
    """A decoded picture straight to the network's resolution: uint8 (1, r, r, 3)."""
    return np.asarray(
        make_square(picture, resolution, aspect, Image.Resampling[filter.upper()])
    )[None]
