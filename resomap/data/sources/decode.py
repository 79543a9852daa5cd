"""One file to one upright RGB picture of 8 bits, or the reason why not."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps, UnidentifiedImageError

from resomap.data.sources.entries import File

ORIENTATION = 0x0112
SIXTEEN_BITS = 2**16 - 1
# What a note may say of a picture, in the order in which they are written down.
NOTES = ("animated", "16 bit", "alpha", "palette", "grey", "CMYK", "rotated by EXIF")

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


class BadPictureError(Exception):
    """A file that is no whole picture; the message is the reason."""


def read_picture(file: File) -> tuple[Image.Image, Image.Image | None, tuple[str, ...]]:
    """The picture (RGB, upright), the mask of its object (L, 255 where it is) and what is unusual about the file, as words of NOTES.

    Of an animation the first frame counts; 16 bits are divided by 257; what shows through is white.
    """
    with _opened(file.path) as stored:
        notes = _notes(stored)
        ImageOps.exif_transpose(stored, in_place=True)
        picture = _rgb(stored)
    return picture, _mask(file, picture.size), notes


def read_size(path: str) -> tuple[int, int] | None:
    """Width and height that a file's header tells, not decoded; None where it tells none."""
    try:
        with _opened(path) as stored:
            return stored.size
    except BadPictureError:
        return None


@contextmanager
def _opened(path: str) -> Iterator[Image.Image]:
    """Open a picture; whatever its decoder stumbles over becomes a BadPictureError."""
    if not Path(path).is_file():
        raise BadPictureError(
            "no file: a broken link, or gone" if Path(path).is_symlink() else "missing"
        )
    if Path(path).stat().st_size == 0:
        raise BadPictureError("0 bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of odd metadata, and of 90 to 179 megapixels, which are taken
            with Image.open(path) as stored:
                yield stored
    except Image.DecompressionBombError as error:
        raise BadPictureError("decompression bomb: more than 179 megapixels") from error
    except UnidentifiedImageError as error:
        raise BadPictureError("not an image that Pillow knows") from error
    except DECODER_ERRORS as error:
        raise BadPictureError(
            f"cannot be decoded: {' '.join(str(error).split()) or type(error).__name__}"
        ) from error


def _notes(stored: Image.Image) -> tuple[str, ...]:
    told = {
        "animated": getattr(stored, "is_animated", False)
        and stored.format != "MPO",  # which holds a photograph and its previews
        "16 bit": stored.mode.startswith("I"),
        "alpha": stored.has_transparency_data,
        "palette": stored.mode in ("P", "PA"),
        "grey": stored.mode in ("1", "L", "LA", "La") or stored.mode.startswith("I"),
        "CMYK": stored.mode == "CMYK",
        "rotated by EXIF": stored.getexif().get(ORIENTATION, 1) != 1,
    }
    return tuple(note for note in NOTES if told[note])


def _rgb(stored: Image.Image) -> Image.Image:
    if stored.mode == "F":
        raise BadPictureError(
            "32 bit floating point, whose range nobody knows: save it as 8 or 16 bit"
        )
    if stored.mode.startswith("I"):
        return _upper_bits(stored)
    if stored.has_transparency_data:
        layers = stored.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert(
            "RGB"
        )
    return stored.convert("RGB")


def _upper_bits(stored: Image.Image) -> Image.Image:
    """Pillow's own conversion cuts 16 bits off at 255; this one divides them by 257."""
    values = np.asarray(stored).astype(np.int64)
    if values.min() < 0 or values.max() > SIXTEEN_BITS:
        raise BadPictureError(
            "32 bit integers, whose range nobody knows: save it as 8 or 16 bit"
        )
    return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")


def _mask(file: File, size: tuple[int, int]) -> Image.Image | None:
    if file.mask is None:
        return _filled(file.boxes, size) if file.boxes else None
    with _opened(file.mask) as stored:
        mask = Image.fromarray(np.where(_foreground(stored), 255, 0).astype(np.uint8))
    if mask.size != size:
        raise BadPictureError(
            f"its mask is {mask.width} x {mask.height}, the picture {size[0]} x {size[1]}"
        )
    return mask


def _foreground(stored: Image.Image) -> np.ndarray:
    """Where any channel but alpha is not 0; of a palette its indices count."""
    bands = [name for name in stored.getbands() if name not in ("A", "a")]
    return np.stack([np.asarray(stored.getchannel(name)) for name in bands]).max(axis=0) > 0


def _filled(
    boxes: tuple[tuple[float, float, float, float], ...], size: tuple[int, int]
) -> Image.Image:
    """Boxes as a mask: a pixel belongs to one if its centre does."""
    mask = Image.new("L", size)
    for left, top, right, bottom in boxes:
        ImageDraw.Draw(mask).rectangle(
            (round(left), round(top), round(right) - 1, round(bottom) - 1), fill=255
        )
    if mask.getbbox() is None:
        raise BadPictureError(f"its box lies outside its {size[0]} x {size[1]} pixels")
    return mask
