"""Decode one file to an upright 8-bit RGB image, or report why it cannot be decoded.

Images are rotated by their EXIF orientation; transparency is composited on white; more than 8
bits are scaled to 8; of an animation the first frame is taken.
"""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageOps, UnidentifiedImageError

from resomap.config.data import ALPHA_MASKS
from resomap.data.sources.boxes import draw_boxes, is_clipped
from resomap.data.sources.damage import PLAIN_FORMATS, find_damage
from resomap.data.sources.file_kinds import describe_content
from resomap.data.sources.listing import ImageFile
from resomap.data.sources.mask_image import alpha_mask, foreground_mask
from resomap.data.sources.pixels import (
    UnclearPixelsError,
    check_tiff,
    convert_to_rgb,
    deepest_value,
    has_deep_colours,
)

EXIF_ORIENTATION = 0x0112
FILE_NOTES = (
    *("animated", "16 bit", "alpha", "palette", "grey", "CMYK", "rotated by EXIF"),
    *("colour profile", "clipped box"),
)
"""What can be unusual about a file; the order is that of the bits in the store's records."""

# What Pillow's decoders have been seen to raise on broken files.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)


class BadImageError(Exception):
    """A file that cannot be decoded to a whole image; the message is the reason."""


class DecodedImage(NamedTuple):
    """An image (RGB) and the mask of its object (L) or None.

    `notes` are the FILE_NOTES on its file; `facts` are numbers that the source knows of it.
    `deepest` is the largest value of a file with more than 8 bits per value, else 0.
    """

    image: Image.Image
    mask: Image.Image | None
    notes: tuple[str, ...] = ()
    facts: tuple[float, ...] = ()
    deepest: int = 0


@dataclass(frozen=True)
class FileReader:
    """A reader of ImageFiles; `bit_depth` is of files with more than 8 bits, None for 16."""

    bit_depth: int | None = None

    def __call__(self, file: ImageFile) -> DecodedImage:
        """Decode an image and its mask."""
        with _open_image(file.path) as stored:
            check_tiff(stored)
            # First: the EXIF data of a PNG load the image, which forgets how it is stored.
            deep_colours, notes = has_deep_colours(stored), _find_notes(stored)
            ImageOps.exif_transpose(stored, in_place=True)
            deepest = deepest_value(stored, deep_colours)
            image = convert_to_rgb(stored, self.bit_depth, deep_colours)
            mask = alpha_mask(stored) if file.mask == ALPHA_MASKS else None
        damage = find_damage(Path(file.path), stored, image)
        if damage:
            raise BadImageError(damage)
        # Masks and boxes belong to the upright image: annotation tools apply EXIF.
        if file.mask != ALPHA_MASKS:
            mask = _read_mask(file, image.size)
        if is_clipped(file.boxes, image.size):
            notes = (*notes, "clipped box")
        return DecodedImage(image, mask, notes, deepest=deepest)

    def size(self, file: ImageFile) -> tuple[int, int] | None:
        """Return width and height from the header, without decoding; None for a bad file."""
        try:
            with _open_image(file.path) as stored:
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
    except UnclearPixelsError as error:
        raise BadImageError(str(error)) from error
    except Image.DecompressionBombError as error:
        raise BadImageError("decompression bomb: more than 179 megapixels") from error
    except UnidentifiedImageError as error:
        content = describe_content(path)
        raise BadImageError(
            f"not an image but {content}" if content else "not an image that Pillow knows"
        ) from error
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
        "colour profile": _has_other_profile(stored),
    }
    return tuple(note for note in FILE_NOTES if applies.get(note))


def _has_other_profile(stored: Image.Image) -> bool:
    """Return whether a file has a colour profile that does not call itself sRGB."""
    profile = stored.info.get("icc_profile") or b""
    # A description is text in 8 bit (version 2) or in UTF-16 (version 4).
    return bool(profile) and b"sRGB" not in profile.replace(b"\0", b"")


def _read_mask(file: ImageFile, size: tuple[int, int]) -> Image.Image | None:
    """Return the mask of a file or of boxes; BadImageError names the file of the mask."""
    if file.mask is None:
        return _draw_mask(file, size) if file.boxes else None
    try:
        with _open_image(file.mask) as stored:
            mask = foreground_mask(stored)
            damage = None
            # In formats of plain rows a mask ends in its background like a filled file.
            if stored.format not in PLAIN_FORMATS:
                damage = find_damage(Path(file.mask), stored, mask.convert("RGB"))
        if damage:
            raise BadImageError(damage)
    except BadImageError as error:
        raise BadImageError(f"its mask {file.mask}: {error}") from error
    if mask.size != size:
        raise BadImageError(
            f"its mask is {mask.width} x {mask.height}, the image {size[0]} x {size[1]} "
            f"({file.mask})"
        )
    return mask


def _draw_mask(file: ImageFile, size: tuple[int, int]) -> Image.Image:
    try:
        return draw_boxes(file.boxes, size)
    except ValueError as error:
        where = f" of {file.table}" if file.table else ""
        raise BadImageError(f"{error}{where}") from error
