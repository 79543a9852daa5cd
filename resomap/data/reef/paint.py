"""Painting on a canvas: windows, colours, stripes (gratings), soft edges and compositing.

A canvas is float32 (3, H, W), 0 to 1. A pixel holds the mean over its square: at edges by the
distance of its centre, of gratings by the sinc of their frequency. So a smaller canvas shows
the same scene without aliasing.
"""

import math
from dataclasses import dataclass

import numpy as np

from resomap.data.reef.scenes import Colour, Wave


@dataclass(frozen=True)
class Window:
    """A part of a canvas, and the centres of its pixels in image widths: x (1, w), y (h, 1)."""

    area: tuple[slice, slice]
    x: np.ndarray
    y: np.ndarray
    pixel: float


def window(canvas: int, x: float, y: float, reach: float) -> Window:
    """Return the pixels within `reach` of (x, y) along both axes."""
    # Painting only where a shape reaches takes a fraction of the time of the whole canvas.
    rows, columns = _pixels_around(canvas, y, reach), _pixels_around(canvas, x, reach)
    centres = (np.arange(canvas, dtype=np.float32) + 0.5) / canvas
    return Window((rows, columns), centres[None, columns], centres[rows, None], 1 / canvas)


def _pixels_around(canvas: int, centre: float, reach: float) -> slice:
    first = max(0, math.floor((centre - reach) * canvas))
    return slice(first, min(canvas, math.ceil((centre + reach) * canvas)))


def paint_over(
    canvas: np.ndarray, where: Window, colour: np.ndarray | float, opacity: np.ndarray
) -> None:
    """Paint a grey or a `colour` (3, h, w) on a window with `opacity` (h, w), in place."""
    under = canvas[:, *where.area]
    under += opacity * (colour - under)


def rgb(colour: Colour) -> np.ndarray:
    """Return red, green and blue, float32 (3, 1, 1), each within lightness +- chroma."""
    return circle(colour.hue) * np.float32(colour.chroma) + np.float32(colour.lightness)


def contrast(colour: np.ndarray) -> np.ndarray:
    """Return the colour direction of stripes on `colour`, with mean 1 over the channels."""
    # Smallest in the channels that are nearest to 0 or 1, which would clip.
    headroom = colour * (1 - colour)
    direction: np.ndarray = headroom / headroom.mean()
    return direction


def circle(hue: float) -> np.ndarray:
    """Return the point of a hue (0 is red, 1 a full turn) on a circle about grey, (3, 1, 1)."""
    thirds = np.arange(3, dtype=np.float32)[:, None, None] / 3
    return np.cos(2 * math.pi * (hue - thirds)).astype(np.float32)


def coverage(distance: np.ndarray, pixel: float) -> np.ndarray:
    """Return the covered share of each pixel from the signed distance of its centre."""
    return np.clip(0.5 - distance / pixel, 0, 1)


def ramp(distance: np.ndarray, width: float) -> np.ndarray:
    """Return 0 on and outside an outline, rising smoothly to 1 at `width` inside it."""
    t = np.clip(distance * (-1 / width), 0, 1)
    return t * t * (3 - 2 * t)


def grating(where: Window, wave: Wave) -> np.ndarray:
    """Return the stripes of a wave over a window, each pixel the mean over its square."""
    angle = math.radians(wave.orientation)
    fx, fy = -wave.frequency * math.sin(angle), wave.frequency * math.cos(angle)
    # The mean of a sine over a pixel is the sine at its centre times these.
    attenuation = float(np.sinc(fx * where.pixel) * np.sinc(fy * where.pixel))
    return np.sin(
        2 * math.pi * (fx * where.x) + (2 * math.pi * (fy * where.y) + wave.phase)
    ) * (wave.amplitude * attenuation)
