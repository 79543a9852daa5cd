"""Decode one file to an upright 8-bit RGB image, or report why it cannot be decoded.

Images are rotated by their EXIF orientation; transparency is composited on white; 16 bits are
scaled to 8; of an animation the first frame is taken.
"""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps, UnidentifiedImageError

from resomap.data.sources.listing import Box, ImageFile

EXIF_ORIENTATION = 0x0112
MAX_16_BIT = 2**16 - 1
FILE_NOTES = ("animated", "16 bit", "alpha", "palette", "grey", "CMYK", "rotated by EXIF")
"""What can be unusual about a file; the order is that of the bits in the store's records."""

# What Pillow's decoders have been seen to raise on broken files.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
)


class BadImageError(Exception):
    """A file that cannot be decoded to a whole image; the message is the reason."""


def decode_image(file: ImageFile) -> tuple[Image.Image, Image.Image | None, tuple[str, ...]]:
    """Return the image (RGB, upright), its mask (L, 255 on the object) and its FILE_NOTES."""
    with _open_image(file.path) as stored:
        notes = _find_notes(stored)
        ImageOps.exif_transpose(stored, in_place=True)
        image = _convert_to_rgb(stored)
    # Masks and boxes belong to the upright image: annotation tools apply EXIF.
    return image, _read_mask(file, image.size), notes


def read_image_size(path: str) -> tuple[int, int] | None:
    """Return width and height from the header, without decoding; None where it is invalid."""
    try:
        with _open_image(path) as stored:
            return stored.size
    except BadImageError:
        return None


@contextmanager
def _open_image(path: str) -> Iterator[Image.Image]:
    """Open an image; every error of its decoder becomes a BadImageError with a reason."""
    if not Path(path).is_file():
        is_link = Path(path).is_symlink()
        raise BadImageError("no file: a broken link, or gone" if is_link else "missing")
    if Path(path).stat().st_size == 0:
        raise BadImageError("0 bytes")
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd metadata and from 90 megapixels on; it refuses from 179 on.
            warnings.simplefilter("ignore")
            with Image.open(path) as stored:
                yield stored
    except Image.DecompressionBombError as error:
        raise BadImageError("decompression bomb: more than 179 megapixels") from error
    except UnidentifiedImageError as error:
        raise BadImageError("not an image that Pillow knows") from error
    except DECODER_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadImageError(f"cannot be decoded: {reason}") from error


def _find_notes(stored: Image.Image) -> tuple[str, ...]:
    # An MPO file holds a photograph and its previews: several frames, but no animation.
    animated = getattr(stored, "is_animated", False) and stored.format != "MPO"
    is_16_bit = stored.mode.startswith("I")
    applies = {
        "animated": animated,
        "16 bit": is_16_bit,
        "alpha": stored.has_transparency_data,
        "palette": stored.mode in ("P", "PA"),
        "grey": is_16_bit or stored.mode in ("1", "L", "LA", "La"),
        "CMYK": stored.mode == "CMYK",
        "rotated by EXIF": stored.getexif().get(EXIF_ORIENTATION, 1) != 1,
    }
    return tuple(note for note in FILE_NOTES if applies[note])


def _convert_to_rgb(stored: Image.Image) -> Image.Image:
    if stored.mode == "F":
        raise BadImageError(
            "32 bit floating point, whose range is unknown: save it as 8 or 16 bit"
        )
    if stored.mode.startswith("I"):
        return _scale_16_to_8_bit(stored)
    if stored.has_transparency_data:
        layers = stored.convert("RGBA")
        white = Image.new("RGBA", layers.size, "white")
        return Image.alpha_composite(white, layers).convert("RGB")
    return stored.convert("RGB")


def _scale_16_to_8_bit(stored: Image.Image) -> Image.Image:
    # Pillow's own conversion clips 16 bits at 255. 65,535 / 257 = 255, so that dividing by 257
    # with rounding is exact at both ends.
    values = np.asarray(stored).astype(np.int64)
    if values.min() < 0 or values.max() > MAX_16_BIT:
        raise BadImageError("32 bit integers, whose range is unknown: save it as 8 or 16 bit")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")


def _read_mask(file: ImageFile, size: tuple[int, int]) -> Image.Image | None:
    if file.mask is None:
        return _draw_boxes(file.boxes, size) if file.boxes else None
    with _open_image(file.mask) as stored:
        mask = Image.fromarray(np.where(_is_foreground(stored), 255, 0).astype(np.uint8))
    if mask.size != size:
        raise BadImageError(
            f"its mask is {mask.width} x {mask.height}, the image {size[0]} x {size[1]}"
        )
    return mask


def _is_foreground(stored: Image.Image) -> np.ndarray:
    """Return where any channel but alpha is not 0; in a palette image the indices count."""
    bands = [name for name in stored.getbands() if name not in ("A", "a")]
    return np.stack([np.asarray(stored.getchannel(name)) for name in bands]).max(axis=0) > 0


def _draw_boxes(boxes: tuple[Box, ...], size: tuple[int, int]) -> Image.Image:
    """Return boxes as a mask; a pixel belongs to a box if its centre does."""
    mask = Image.new("L", size)
    for left, top, right, bottom in boxes:
        # Centres are at half pixels, so rounding keeps those inside; Pillow draws the last too.
        corners = (round(left), round(top), round(right) - 1, round(bottom) - 1)
        ImageDraw.Draw(mask).rectangle(corners, fill=255)
    if mask.getbbox() is None:
        raise BadImageError(f"its box is outside its {size[0]} x {size[1]} pixels")
    return mask
