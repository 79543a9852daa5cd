"""Boxes around objects: read from a table in pixels, and drawn as a mask."""

import math
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

from resomap.data.sources.listing import Box
from resomap.data.sources.table import BOX_COLUMNS
from resomap.errors import ConfigError

LARGEST_COORDINATE = 10**6
"""In pixels; no image that Pillow opens is wider."""
CLIP_TOLERANCE = 0.5
"""Pixels by which annotation tools exceed an image through rounding."""


def parse_box(row: Mapping[str, str], line: int, where: str) -> tuple[Box, ...]:
    """Return the box of a row, or nothing where all four cells are blank."""
    values = [row.get(column, "") for column in BOX_COLUMNS]
    if not any(values):
        return ()
    text = ", ".join(values)
    try:
        left, top, right, bottom = map(float, values)
    except ValueError:
        raise ConfigError(
            f"{where}: {', '.join(BOX_COLUMNS)} must be four numbers in pixels, not {text}"
        ) from None
    box = Box(left, top, right, bottom, line)
    # A comparison with NaN is false, so that it is refused here too.
    if not all(abs(value) <= LARGEST_COORDINATE for value in box[:4]):
        raise ConfigError(f"{where}: the box {text} is no position in an image")
    if not (left < right and top < bottom):
        raise ConfigError(
            f"{where}: the box {text} is empty: xmin < xmax and ymin < ymax are needed"
        )
    if right <= 1 and bottom <= 1 and left >= 0 and top >= 0:
        raise ConfigError(
            f"{where}: the box {text} is smaller than a pixel: "
            "are these fractions? Multiply them by the width and height of the image"
        )
    return (box,)


def draw_boxes(boxes: Sequence[Box], size: tuple[int, int]) -> Image.Image:
    """Return boxes as a mask (L, 255 inside); a pixel belongs to a box if its centre does.

    A box is clipped to the image, and one thinner than a pixel still gets a pixel. ValueError
    names a box outside the image.
    """
    mask = Image.new("L", size)
    for box in boxes:
        horizontal = _pixel_range(box.left, box.right, size[0])
        vertical = _pixel_range(box.top, box.bottom, size[1])
        if horizontal is None or vertical is None:
            corners = ", ".join(f"{value:g}" for value in box[:4])
            raise ValueError(
                f"the box {corners} is outside its {size[0]} x {size[1]} pixels"
                + (f" (line {box.line})" if box.line else "")
            )
        corners_drawn = (horizontal[0], vertical[0], horizontal[1], vertical[1])
        ImageDraw.Draw(mask).rectangle(corners_drawn, fill=255)
    return mask


def _pixel_range(start: float, end: float, length: int) -> tuple[int, int] | None:
    """Return the first and the last pixel whose centres are inside; None outside the image."""
    if end <= 0 or start >= length:
        return None
    # Centres are at half pixels: k + 0.5 >= start and k + 0.5 < end.
    first, last = math.ceil(start - 0.5), math.ceil(end - 0.5) - 1
    if last < first:
        first = last = math.floor((start + end) / 2)
    return min(max(first, 0), length - 1), max(min(last, length - 1), 0)


def is_clipped(boxes: Sequence[Box], size: tuple[int, int]) -> bool:
    """Return whether a box reaches over the edge of its image by more than rounding."""
    return any(
        min(box.left, box.top) < -CLIP_TOLERANCE
        or box.right > size[0] + CLIP_TOLERANCE
        or box.bottom > size[1] + CLIP_TOLERANCE
        for box in boxes
    )
