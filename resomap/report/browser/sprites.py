"""Sprites: many small images or maps in one WebP, which a page holds as a data: link."""

import base64
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from contourpy import contour_generator
from PIL import Image

from resomap.explain.grids import reduce_maps
from resomap.report.figures.panels import FULL_SCALE, HALF_COVERED

MAX_SIDE = 24
"""Cells a side of the maps in the browser; finer maps are averaged over areas."""
LEVELS = 7
"""Steps of a quantised map either way from zero."""
# Grey values are so far apart that a browser which adds noise to what a canvas returns, to
# confuse trackers, does not change a level.
GREY_STEP = 255 // (2 * LEVELS + 1)
MAX_IMAGE_SIDE = 128
# WebP blurs across the edges of its blocks, which in tiles of few pixels would be everywhere.
MIN_LOSSY_SIDE = 48
LOSSY_QUALITY = 75
OUTLINE_SIDE, OUTLINE_UNITS = 48, 480


def reduce_to_tiles(maps: np.ndarray) -> np.ndarray:
    """Average maps (n, h, h) to at most MAX_SIDE cells a side: float (n, side, side)."""
    return maps if maps.shape[-1] <= MAX_SIDE else reduce_maps(maps, MAX_SIDE)


def quantise(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the levels uint8 (n, h, h) of maps in 0..2 LEVELS, and the scale (n,) of each.

    A map has the value (level - LEVELS) / LEVELS * scale. Values beyond the scale, which is the
    99th percentile of the map, are saturated.
    """
    sizes = np.abs(maps).reshape(len(maps), -1)
    scales = np.percentile(sizes, FULL_SCALE, axis=1)
    # A few cells may hold everything; a map of zeros has any scale.
    scales = np.where(scales > 0, scales, sizes.max(axis=1))
    # Three digits are written, so the scale is rounded before it is used.
    scales = np.array([float(f"{scale:.3g}") or 1.0 for scale in scales])
    scaled = np.clip(maps / scales.reshape(-1, 1, 1), -1, 1)
    return (np.rint(scaled * LEVELS) + LEVELS).astype(np.uint8), scales


def encode_maps(levels: Sequence[np.ndarray]) -> tuple[str, int]:
    """Return the sprite of bands of maps, uint8 (n, side, side) each, and its width in px.

    A band begins below the one before it and is filled row by row, with as many tiles a row as
    fit.
    """
    width = _sheet_width(levels)
    bands = [_tile_band(tiles, width) for tiles in levels if len(tiles)]
    if not bands:
        return "", width
    sheet = np.concatenate(bands) * np.uint8(GREY_STEP)
    return _data_link(Image.fromarray(sheet), lossless=True), width


def _sheet_width(levels: Sequence[np.ndarray]) -> int:
    """Return a width that makes the sheet about square, as WebP ends at 16,383 px."""
    pixels = sum(tiles.size for tiles in levels)
    return max(1, round(pixels**0.5 / MAX_SIDE)) * MAX_SIDE


def _tile_band(tiles: np.ndarray, width: int) -> np.ndarray:
    """Return tiles (n, side, side) side by side, in rows of `width` pixels."""
    count, side = tiles.shape[:2]
    columns = width // side
    rows = -(-count // columns)
    filled = np.zeros((rows * columns, *tiles.shape[1:]), tiles.dtype)
    filled[:count] = tiles
    # (rows, columns, side, side, ...) -> (rows, side, columns, side, ...)
    grid = filled.reshape(rows, columns, *tiles.shape[1:]).swapaxes(1, 2)
    band = grid.reshape(rows * side, columns * side, *tiles.shape[3:])
    padding = [(0, 0), (0, width - columns * side), *[(0, 0)] * (band.ndim - 2)]
    return np.pad(band, padding)


def encode_images(pixels: np.ndarray) -> dict[str, object]:
    """Return the sprite of images uint8 (n, r, r, 3): `side`, `columns` and `sprite`."""
    side = min(pixels.shape[1], MAX_IMAGE_SIDE)
    if side < pixels.shape[1]:
        pixels = np.stack([_shrink(image, side) for image in pixels])
    columns = max(1, round(len(pixels) ** 0.5))
    sheet = Image.fromarray(_tile_band(pixels, columns * side))
    link = _data_link(sheet, lossless=side < MIN_LOSSY_SIDE)
    return {"side": side, "columns": columns, "sprite": link}


def _shrink(image: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BOX))


def _data_link(image: Image.Image, *, lossless: bool) -> str:
    stream = BytesIO()
    quality = 100 if lossless else LOSSY_QUALITY
    # Method 4 takes twice as long, and saves 2 % of maps.
    image.save(stream, "WEBP", lossless=lossless, quality=quality, method=2)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"


def trace_outline(mask: np.ndarray | None) -> list[list[int]]:
    """Return the lines around what a mask uint8 (H, W) covers, each as x, y, x, y, ...

    The side of the image is OUTLINE_UNITS long.
    """
    if mask is None:
        return []
    side = min(OUTLINE_SIDE, *mask.shape)
    covered = reduce_maps(mask[None], side)[0]
    # A frame of nothing closes the lines of an object that touches the edge of the image.
    generator = contour_generator(z=np.pad(covered, 1))
    lines = []
    for line in generator.lines(HALF_COVERED):
        # Values belong to the centres of cells; the frame shifts them by one.
        units = np.rint((np.asarray(line) - 0.5) * (OUTLINE_UNITS / side))
        lines.append(np.clip(units, 0, OUTLINE_UNITS).astype(int).ravel().tolist())
    return lines
