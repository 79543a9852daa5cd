"""What belongs to the object in the image of a mask, whatever format its tool writes."""

import numpy as np
from PIL import Image

LOSSY_FORMATS = {"JPEG", "MPO", "JPEG2000", "AVIF", "WEBP"}
GREY_MODES = {"1", "L", "F"}


def foreground_mask(stored: Image.Image) -> Image.Image:
    """Return the object of a mask as an image (L, 255 on the object, 0 elsewhere).

    The object is what differs from 0: black in a palette or in colours. Where the alpha channel
    varies, the mask is a cut-out and its opaque part is the object. JPEG blurs the edges, so
    that half of the largest value separates the object there.
    """
    stored.load()
    cut_out = alpha_mask(stored)
    if cut_out is not None and cut_out.getextrema() == (0, 255):
        return cut_out
    values = _largest_band(stored)
    threshold = values.max() / 2 if stored.format in LOSSY_FORMATS else 0
    return _to_image(values > threshold)


def alpha_mask(stored: Image.Image) -> Image.Image | None:
    """Return the opaque part of an image (L, 255 or 0); None without transparency."""
    if not stored.has_transparency_data:
        return None
    alpha = np.asarray(stored.convert("RGBA").getchannel("A"))
    return _to_image(alpha > 127)


def _largest_band(stored: Image.Image) -> np.ndarray:
    """Return the largest value of the bands of each pixel, without alpha: (H, W)."""
    if stored.mode in GREY_MODES or stored.mode.startswith("I"):
        # Magnitudes: some tools mark the object by -1. NaN marks the background.
        return np.nan_to_num(np.abs(np.asarray(stored).astype(np.float64)))
    values = np.asarray(stored.convert("RGB")).max(axis=2)
    if stored.mode == "P" and values.min() > 0:
        # Colours of a palette without black mark no background: the index 0 is the background.
        return np.asarray(stored)
    return values


def _to_image(is_object: np.ndarray) -> Image.Image:
    return Image.fromarray(np.where(is_object, 255, 0).astype(np.uint8))
