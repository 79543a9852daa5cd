"""Paint: windows on a canvas, colours, gratings, and laying one over another.

A canvas is float32 (3, H, W), 0 to 1. A pixel holds the mean over its square: edges by their distance, gratings by the
sinc of their frequency, so that a smaller canvas shows the same scene and never one that it cannot hold.
"""

import math
from dataclasses import dataclass

import numpy as np

from resomap.data.reef.scenes import Colour, Wave


@dataclass(frozen=True)
class Window:
    """A part of a canvas, and the centres of its pixels in picture widths: x (1, w), y (h, 1)."""

    area: tuple[slice, slice]
    x: np.ndarray
    y: np.ndarray
    pixel: float


def window(canvas: int, x: float, y: float, reach: float) -> Window:
    """The pixels within `reach` of (x, y) along both axes."""
    rows, columns = (
        slice(
            max(0, math.floor((c - reach) * canvas)),
            min(canvas, math.ceil((c + reach) * canvas)),
        )
        for c in (y, x)
    )
    centres = (np.arange(canvas, dtype=np.float32) + 0.5) / canvas
    return Window((rows, columns), centres[None, columns], centres[rows, None], 1 / canvas)


def lay(
    canvas: np.ndarray, where: Window, colour: np.ndarray | float, opacity: np.ndarray
) -> None:
    """Lay a grey or a `colour` (3, h or 1, w or 1) over a window with `opacity` (h, w), in place."""
    under = canvas[:, *where.area]
    under += opacity * (colour - under)


def rgb(colour: Colour) -> np.ndarray:
    """Red, green and blue of a colour, float32 (3, 1, 1), each within lightness +- chroma."""
    return circle(colour.hue) * np.float32(colour.chroma) + np.float32(colour.lightness)


def contrast(colour: np.ndarray) -> np.ndarray:
    """Direction in which stripes on `colour` go: mean 1 over the channels, and smallest where a channel would clip."""
    room = colour * (1 - colour)
    direction: np.ndarray = room / room.mean()
    return direction


def circle(hue: float) -> np.ndarray:
    """The point of a hue (1 for once around, 0 is red) on a circle about grey, float32 (3, 1, 1)."""
    thirds = np.arange(3, dtype=np.float32)[:, None, None] / 3
    return np.cos(2 * math.pi * (hue - thirds)).astype(np.float32)


def coverage(distance: np.ndarray, pixel: float) -> np.ndarray:
    """Share of each pixel inside an outline, from the signed distance of its centre."""
    return np.clip(0.5 - distance / pixel, 0, 1)


def ramp(distance: np.ndarray, width: float) -> np.ndarray:
    """0 on and outside an outline, rising smoothly to 1 at `width` inside it."""
    t = np.clip(distance * (-1 / width), 0, 1)
    return t * t * (3 - 2 * t)


def grating(where: Window, wave: Wave) -> np.ndarray:
    """The wave over a window, each pixel the mean over its square."""
    angle = math.radians(wave.orientation)
    fx, fy = -wave.frequency * math.sin(angle), wave.frequency * math.cos(angle)
    kept = float(np.sinc(fx * where.pixel) * np.sinc(fy * where.pixel))
    return np.sin(
        2 * math.pi * (fx * where.x) + (2 * math.pi * (fy * where.y) + wave.phase)
    ) * (wave.amplitude * kept)
