"""The sea bed: 1/f noise as a pyramid of octaves, drawn once and evaluated on any canvas.

An octave is a uniform cubic B-spline surface with normally distributed control points. Doubling
the grid of such a surface is exact, so that the octaves are added from the coarsest to the
finest grid and evaluated once.
"""

from functools import cache

import numpy as np

OCTAVES = (3, 6, 12, 24, 48)
ROUGHNESS = 0.66  # amplitude of an octave relative to the coarser one


def draw_points(generator: np.random.Generator, fields: int, cells: int) -> np.ndarray:
    """Draw control points of surfaces: float32 (fields, cells + 3, cells + 3)."""
    return generator.standard_normal((fields, cells + 3, cells + 3), dtype=np.float32)


def draw_octaves(generator: np.random.Generator, fields: int) -> tuple[np.ndarray, ...]:
    """Draw the control points of each octave of `fields` independent noises, coarsest first."""
    return tuple(draw_points(generator, fields, cells) for cells in OCTAVES)


def add_octaves(octaves: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return the control points of the weighted sum of the octaves on the finest grid."""
    total = octaves[0]
    for level, points in enumerate(octaves[1:], 1):
        total = double(double(total)) + points * ROUGHNESS**level
    return total


def double(points: np.ndarray) -> np.ndarray:
    """Return the surfaces with twice the cells along the last axis, the last two axes swapped.

    Applied twice, it doubles both axes.
    """
    finer = np.empty((*points.shape[:-1], 2 * points.shape[-1] - 3), points.dtype)
    finer[..., 0::2] = (points[..., :-1] + points[..., 1:]) / 2
    finer[..., 1::2] = (points[..., :-2] + 6 * points[..., 1:-1] + points[..., 2:]) / 8
    return finer.swapaxes(-1, -2)


def evaluate(points: np.ndarray, canvas: int) -> np.ndarray:
    """Evaluate the surfaces at the pixel centres of a canvas: (..., canvas, canvas)."""
    return np.ascontiguousarray(_sample(_sample(points, canvas), canvas))


def _sample(points: np.ndarray, canvas: int) -> np.ndarray:
    """Evaluate along the last but one axis, and swap the last two axes."""
    first, basis = spline_basis(points.shape[-2] - 3, canvas)
    rows = np.ascontiguousarray(points)
    # Four shifted sums, no matrix product: a threaded BLAS is far slower on a busy machine.
    sampled = np.zeros((*points.shape[:-2], canvas, points.shape[-1]), points.dtype)
    for k, weight in enumerate(basis):
        sampled += rows.take(first + k, axis=-2) * weight
    return sampled.swapaxes(-1, -2)


@cache
def spline_basis(cells: int, canvas: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first of four control points per pixel, and weights (4, canvas, 1)."""
    position = (np.arange(canvas) + 0.5) * (cells / canvas)
    t = position - np.floor(position)
    weights = [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    basis = np.stack(weights) / 6
    return position.astype(int), basis.astype(np.float32)[..., None]
