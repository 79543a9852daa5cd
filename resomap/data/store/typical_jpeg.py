"""A typical JPEG file of the user's image sizes, for timing a prediction from a file."""

import csv
from io import BytesIO
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from resomap.config.data import Aspect, Filter
from resomap.data.store.npy_file import read_rows
from resomap.data.store.resize import make_square
from resomap.data.store.store import Store
from resomap.workflow.receipts import check_content

JPEG_QUALITY = 90


def encode_typical_jpeg(store: Store) -> tuple[bytes, str] | None:
    """Return the first test image as a JPEG of the median size, and its description.

    None where native.npy was deleted to save disk space.
    """
    native = store.directory / "native.npy"
    if not native.exists():
        return None
    width, height = _median_size(store.directory / "pictures.csv")
    check_content(native)
    # A real image: the time of decoding depends on the detail that is encoded.
    stored = read_rows(native, [int(store.rows("test")[0])])[0]
    image = Image.fromarray(stored).resize((width, height), Image.Resampling.BICUBIC)
    stream = BytesIO()
    image.save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue(), f"JPEG of {width} x {height} px, quality {JPEG_QUALITY}"


def _median_size(table: Path) -> tuple[int, int]:
    check_content(table)
    with table.open(newline="", encoding="utf-8") as stream:
        sizes = [(int(row["width"]), int(row["height"])) for row in csv.DictReader(stream)]
    widths, heights = zip(*sizes, strict=True)
    return round(median(widths)), round(median(heights))


def decode_jpeg(encoded: bytes) -> Image.Image:
    """Return the image in RGB of a file's content."""
    with Image.open(BytesIO(encoded)) as stored:
        return stored.convert("RGB")


def resize_to_input(
    image: Image.Image, resolution: int, aspect: Aspect, filter: Filter
) -> np.ndarray:
    """Resize a decoded image directly to the input of the network: uint8 (1, r, r, 3)."""
    square = make_square(image, resolution, aspect, Image.Resampling[filter.upper()])
    return np.asarray(square)[None]
