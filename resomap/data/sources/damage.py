"""Files that lost a part and still decode: decoders fill what is missing without an error."""

import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

END_OF_IMAGE = b"\xff\xd9"
PNG_START = 8
CUT_OFF = "a part of the file is lost (its end holds no image data)"
# Formats with compressed data, which never ends in a long run of one byte.
COMPRESSED_FORMATS = {"WEBP", "AVIF", "JPEG2000", "GIF"}
# Formats that store rows as they are; a filled end of the file is a filled part of the image.
PLAIN_FORMATS = {"TIFF", "BMP", "DIB", "PPM", "TGA"}
FILL_VALUES = (0, 255)
"""What file systems and flash memory hold where nothing was written."""
MIN_FILL_BYTES = 32
MIN_FILL_SHARE = 1 / 16
LAST_BYTES = 16
GREY_PIXELS = 16
JPEG_GREY = 128
"""What libjpeg writes for blocks without data."""
REMOVED_BYTES = 4
BLOCK_ROWS = 16
MIN_FILLED_ROWS = 2
EDGE_SHARE = 0.02
MIN_CONTENT_SHARE = 0.9


def find_damage(path: Path, stored: Image.Image, image: Image.Image) -> str | None:
    """Return why a file is not whole, from the file and the decoded `image` (RGB), or None."""
    if stored.format in ("JPEG", "MPO"):
        is_progressive = bool(stored.info.get("progressive"))
        is_damaged = _lacks_scans(path) if is_progressive else _is_filled_jpeg(path, image)
    elif stored.format == "PNG":
        return _check_png(path.read_bytes())
    elif stored.format in COMPRESSED_FORMATS:
        is_damaged = _ends_in_fill(path.read_bytes())
    elif stored.format in PLAIN_FORMATS:
        # BMP and some TGA files are stored from the bottom up.
        pixels = np.asarray(image)
        is_damaged = _is_filled(pixels) or _is_filled(pixels[::-1])
    else:
        is_damaged = False
    return CUT_OFF if is_damaged else None


def _is_filled_jpeg(path: Path, image: Image.Image) -> bool:
    """Return whether the end of a baseline JPEG decodes to the grey of missing data.

    The last bytes of a whole file encode its last blocks, also where the image ends in grey.
    Where data are missing they encode blocks above, so that these change without the bytes.
    """
    if not any(_is_grey(corner) for corner in _corners(image)):
        return False
    content = path.read_bytes()
    end = content.rfind(END_OF_IMAGE)
    if end < 0:
        return True
    body = content[:end].rstrip(b"\0")
    whole, shorter = _decode(content), _decode(body[:-REMOVED_BYTES] + END_OF_IMAGE)
    changed_rows = np.flatnonzero((whole != shorter).reshape(len(whole), -1).any(axis=1))
    last_blocks = (len(whole) - 1) // BLOCK_ROWS * BLOCK_ROWS
    # Colours are interpolated between blocks: a row or two above them change too.
    return bool((changed_rows < last_blocks - 2).any())


def _corners(image: Image.Image) -> Iterator[Image.Image]:
    """Yield a strip of pixels at each corner: EXIF may have rotated the end to any of them."""
    width, height = image.size
    length = min(GREY_PIXELS, width)
    for left in (0, width - length):
        for top in (0, height - 1):
            yield image.crop((left, top, left + length, top + 1))


def _is_grey(image: Image.Image) -> bool:
    return image.getextrema() == ((JPEG_GREY, JPEG_GREY),) * 3


def _decode(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as stored:
        return np.asarray(stored)


def _lacks_scans(path: Path) -> bool:
    """Return whether a progressive JPEG ends before its last scan.

    Every coefficient of every component is refined until its lowest bit (ITU T.81, annex G).
    """
    content = path.read_bytes()
    start = _find_progressive_frame(content)
    if start is None:
        return False
    components = list(content[start + 10 : start + 10 + 3 * content[start + 9] : 3])
    complete: dict[int, set[int]] = {component: set() for component in components}
    position = content.find(b"\xff\xda", start)
    # In the data of a scan 0xff is followed by 0, so that a marker cannot occur there.
    while position >= 0:
        count = content[position + 4]
        selectors = content[position + 5 : position + 5 + 2 * count : 2]
        first, last, bits = content[position + 5 + 2 * count : position + 8 + 2 * count]
        for component in selectors:
            if not bits & 0x0F:
                complete.setdefault(component, set()).update(range(first, last + 1))
        position = content.find(b"\xff\xda", position + 2)
    return any(len(coefficients) < 64 for coefficients in complete.values())


def _find_progressive_frame(content: bytes) -> int | None:
    """Return where the marker SOF2 stands; None in a JPEG of another kind."""
    position = 2
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker == 0xC2:
            return position
        if marker == 0xDA:
            return None
        position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return None


def _check_png(content: bytes) -> str | None:
    """Return what is wrong with the chunks of a PNG: each has a length and a checksum."""
    position = PNG_START
    while position + 12 <= len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        kind = content[position + 4 : position + 8]
        end = position + 8 + length
        if kind == b"IEND":
            return None
        # Of other chunks than image data, a wrong checksum changes no pixel.
        checksum = int.from_bytes(content[end : end + 4], "big")
        if kind == b"IDAT" and zlib.crc32(content[position + 4 : end]) != checksum:
            return "cannot be decoded: a checksum is wrong, so a part of the file is damaged"
        position = end + 4
    return CUT_OFF


def _ends_in_fill(content: bytes) -> bool:
    """Return whether compressed data end in a long run of one byte."""
    # Formats with a fixed end may keep it behind the fill.
    body = content[:-LAST_BYTES]
    runs = [len(body) - len(body.rstrip(bytes([fill]))) for fill in FILL_VALUES]
    return max(runs) >= max(MIN_FILL_BYTES, MIN_FILL_SHARE * len(content))


def _is_filled(pixels: np.ndarray) -> bool:
    """Return whether rows (H, W, 3) end in one value from the middle of a row on.

    A dark or white border of an image begins at the edge of a row, and an object on a plain
    ground ends in rows that are mostly ground. Where a file was cut, a full row of content
    stands before the fill.
    """
    width = pixels.shape[1]
    for fill in FILL_VALUES:
        if (pixels[-MIN_FILLED_ROWS:] != fill).any():
            continue
        differs = (pixels != fill).any(axis=2).ravel()
        filled_from = int(np.flatnonzero(differs)[-1]) + 1 if differs.any() else 0
        column, last_row = filled_from % width, differs[:filled_from][-width:]
        in_the_middle = EDGE_SHARE < column / width < 1 - EDGE_SHARE
        if len(last_row) == width and in_the_middle and last_row.mean() > MIN_CONTENT_SHARE:
            return True
    return False
