"""Pixels of any mode to 8-bit RGB. What could be read in two ways is refused."""

import numpy as np
from PIL import Image

MAX_16_BIT = 2**16 - 1
SAVE_AS_8_BIT = "save it as 8 bit RGB"
# Tags of TIFF 6.0 and DNG 1.7.
(
    TIFF_SUBFILE,
    TIFF_BITS,
    TIFF_PHOTOMETRIC,
    TIFF_SAMPLES,
    TIFF_PLANAR,
    TIFF_EXTRA_SAMPLES,
    DNG_VERSION,
) = 254, 258, 262, 277, 284, 338, 50706
WHITE_IS_ZERO, COLOUR_FILTER_ARRAY, LINEAR_RAW = 0, 32803, 34892
ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA = 1, 2


class UnclearPixelsError(Exception):
    """Pixels whose meaning is not known; the message names the remedy."""


def has_deep_colours(stored: Image.Image) -> bool:
    """Return whether an image that is not loaded yet has colours of 16 bits."""
    # Pillow reads them as 8 bits; only the mode of the undecoded data still has the 16.
    tiles = getattr(stored, "tile", ())
    return not stored.mode.startswith("I") and any(";16" in str(tile[3]) for tile in tiles)


def deepest_value(stored: Image.Image, deep_colours: bool) -> int:
    """Return the largest value of a loaded image with more than 8 bits per value, else 0.

    Of 16-bit colours Pillow keeps the upper 8 bits, so that the lower ones count as set.
    """
    if stored.mode.startswith("I"):
        return max(0, int(np.asarray(stored).max()))
    if not deep_colours:
        return 0
    return int(np.asarray(stored.convert("RGB")).max()) << 8 | 0xFF


def convert_to_rgb(
    stored: Image.Image, bit_depth: int | None, deep_colours: bool
) -> Image.Image:
    """Return a loaded image as 8-bit RGB; transparency is composited on white.

    Values of more than 8 bits are scaled from `bit_depth` bits, by default 16.
    """
    if stored.mode == "F":
        raise UnclearPixelsError(
            "32 bit floating point, whose range is unknown: save it as 8 or 16 bit"
        )
    if stored.mode.startswith("I"):
        return _scale_to_8_bit(stored, bit_depth or 16)
    if deep_colours and bit_depth not in (None, 16):
        raise UnclearPixelsError(
            f"16 bit colours, of which only the upper 8 are read: {SAVE_AS_8_BIT}"
        )
    if stored.has_transparency_data:
        layers = stored.convert("RGBA")
        white = Image.new("RGBA", layers.size, "white")
        return Image.alpha_composite(white, layers).convert("RGB")
    return stored.convert("RGB")


def check_tiff(stored: Image.Image) -> None:
    """Refuse TIFF files that Pillow opens and reads as something else."""
    tags = getattr(stored, "tag_v2", None)
    if tags is None:
        return
    photometric = tags.get(TIFF_PHOTOMETRIC)
    is_raw = DNG_VERSION in tags or photometric in (COLOUR_FILTER_ARRAY, LINEAR_RAW)
    if is_raw or int(tags.get(TIFF_SUBFILE, 0)) & 1:
        raise UnclearPixelsError(
            "the thumbnail of a raw photograph: develop it to JPEG or TIFF"
        )
    samples = int(tags.get(TIFF_SAMPLES, 1))
    bits = max(tags.get(TIFF_BITS, (8,)))
    if samples > 1 and int(tags.get(TIFF_PLANAR, 1)) == 2 and bits > 8:
        raise UnclearPixelsError(f"planar TIFF of 16 bits: {SAVE_AS_8_BIT}")
    extra = tags.get(TIFF_EXTRA_SAMPLES, ())
    declared = extra[0] if extra else None
    if stored.mode == "RGBA" and declared not in (ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA):
        raise UnclearPixelsError(
            f"its fourth band is not declared as alpha, perhaps infrared: {SAVE_AS_8_BIT}"
        )
    if photometric == WHITE_IS_ZERO and stored.mode in ("I", "F"):
        raise UnclearPixelsError(f"white is 0 in 32 bits: {SAVE_AS_8_BIT}")


def _scale_to_8_bit(stored: Image.Image, bits: int) -> Image.Image:
    # Pillow's own conversion clips 16 bits at 255.
    values, top = np.asarray(stored).astype(np.int64), 2**bits - 1
    if values.min() < 0 or values.max() > MAX_16_BIT:
        raise UnclearPixelsError(
            "32 bit integers, whose range is unknown: save it as 8 or 16 bit"
        )
    if values.max() > top:
        raise UnclearPixelsError(
            f"holds {values.max():,}, more than the {top:,} of data.bit_depth: {bits}"
        )
    # Pillow inverts a TIFF whose white is 0 in 8 bits only.
    if getattr(stored, "tag_v2", {}).get(TIFF_PHOTOMETRIC) == WHITE_IS_ZERO:
        values = top - values
    # Rounded in integers: exact at both ends.
    scaled = (values * 255 + top // 2) // top
    return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")
