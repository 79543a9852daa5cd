"""Silhouettes as signed distance functions: negative inside, positive outside.

A silhouette has its own frame: the head points to +x, the belly to +y, and its area is pi, so
that it covers the same area as a disc of its radius. Distances are exact near the outline,
where antialiasing reads them. Smooth unions follow I. Quilez,
https://iquilezles.org/articles/distfunctions2d.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, reduce

import numpy as np

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]
_TINY = 1e-12  # keeps divisions by a length finite at the origin


def ellipse(x: np.ndarray, y: np.ndarray, a: float, b: float) -> np.ndarray:
    """Return the distance to an ellipse with half-axes `a` and `b`, to first order."""
    xx, yy = x * x, y * y
    level = np.sqrt(xx / a**2 + yy / b**2 + _TINY * b**2)
    slope = np.sqrt(xx / a**4 + yy / b**4 + _TINY)
    # The value of the implicit function divided by the length of its gradient.
    distance: np.ndarray = level * (level - 1) / slope
    return distance


def half_plane(x: np.ndarray, y: np.ndarray, nx: float, ny: float, offset: float) -> np.ndarray:
    """Return the distance to nx x + ny y <= offset; the normal need not have unit length."""
    distance: np.ndarray = (nx * x + (ny * y - offset)) / math.hypot(nx, ny)
    return distance


def union(a: np.ndarray, b: np.ndarray, blend: float) -> np.ndarray:
    """Return the distance to both shapes, their joint rounded over a width of `blend`."""
    overlap = np.maximum(blend - np.abs(a - b), 0)
    joined: np.ndarray = np.minimum(a, b) - overlap * overlap / (4 * blend)
    return joined


def intersection(*distances: np.ndarray) -> np.ndarray:
    """Return the distance to what is inside all the shapes, with sharp corners."""
    return reduce(np.maximum, distances)


def tail(
    x: np.ndarray, y: np.ndarray, *, root: float, length: float, spread: float, fork: float
) -> np.ndarray:
    """Return the distance to a tail fin that opens behind `root` with slope `spread`.

    `fork` is the depth of its notch.
    """
    side = np.abs(y)
    return intersection(
        half_plane(x, side, spread, 1, spread * root),
        half_plane(x, side, -1, -fork, length - root),
    )


def torpedo(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance to a slender fish with a forked tail and a swept back fin."""
    back = intersection(
        half_plane(x, y, 1, -1.5, 0.62),
        half_plane(x, y, -1, 0.30, 0.02),
        half_plane(x, y, 0, 1, 0),
    )
    body = union(ellipse(x, y, 1.0, 0.31), back, 0.10)
    return union(body, tail(x, y, root=-0.82, length=0.26, spread=0.72, fork=0.50), 0.10)


def starfish(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance to five arms, r = 1 + 0.42 cos(5 phi), one of them pointing up."""
    # cos(5 phi) is a polynomial in cos(phi), 16 c^5 - 20 c^3 + 5 c: no arctangent is needed.
    r = np.sqrt(x * x + y * y + _TINY)
    c = y / -r
    cc = c * c
    wave = ((16 * cc - 20) * cc + 5) * c
    slope = 5 * 0.42 * np.sqrt(np.maximum(1 - wave * wave, 0)) / np.maximum(r, 0.3)
    distance: np.ndarray = (r - 1 - 0.42 * wave) / np.sqrt(1 + slope * slope)
    return distance


def disc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance to a round fish with a forked tail."""
    return union(
        ellipse(x, y, 1.0, 0.88),
        tail(x, y, root=-0.78, length=0.42, spread=0.95, fork=0.35),
        0.16,
    )


def angel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance to an oval fish with two swept fins and a small tail."""
    side = np.abs(y)
    fins = intersection(
        half_plane(x, side, 1, 0.72, 0.56),
        half_plane(x, side, -1, -0.42, 0.42),
        half_plane(x, side, 0.30, 1, 1.08),
    )
    body = union(ellipse(x, y, 0.86, 0.58), fins, 0.22)
    return union(body, tail(x, y, root=-0.66, length=0.36, spread=0.80, fork=0.40), 0.12)


def ray(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance to a rhombus with rounded corners and a long spike."""
    side = np.abs(y)
    wings = (
        intersection(half_plane(x, side, 0.62, 1, 0.58), half_plane(x, side, -0.78, 1, 0.66))
        - 0.06
    )
    spike = intersection(
        half_plane(x, side, -0.03, 1, 0.058),
        half_plane(x, side, -1, 0, 1.42),
        half_plane(x, side, 1, 0, 0),
    )
    return union(wings, spike, 0.10)


@dataclass(frozen=True)
class Silhouette:
    """A shape and its eyes, in units of the radius of the disc of equal area."""

    shape: Distance
    eyes: tuple[tuple[float, float], ...]

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the signed distance of the points (x, y), in units of that radius."""
        unit, _ = extent(self.shape)
        return self.shape(x * unit, y * unit) / unit

    @property
    def reach(self) -> float:
        """Largest distance of the outline from the origin, in units of that radius."""
        unit, reach = extent(self.shape)
        return reach / unit


@cache
def extent(shape: Distance) -> tuple[float, float]:
    """Return the radius of the disc with the area of `shape`, and its farthest distance.

    Both are counted on 512 x 512 points.
    """
    side, half = 512, 2.0
    axis = (np.arange(side) + 0.5) * (2 * half / side) - half
    inside = shape(axis[None, :], axis[:, None]) < 0
    farthest = np.hypot(axis[None, :], axis[:, None])[inside].max()
    return math.sqrt(float(inside.mean()) * (2 * half) ** 2 / math.pi), float(farthest)


SILHOUETTES = {
    "torpedo": Silhouette(torpedo, eyes=((1.25, -0.08),)),
    "starfish": Silhouette(starfish, eyes=()),
    "disc": Silhouette(disc, eyes=((0.64, -0.20),)),
    "angel": Silhouette(angel, eyes=((0.62, -0.10),)),
    "ray": Silhouette(ray, eyes=((0.72, -0.20), (0.72, 0.20))),
}
