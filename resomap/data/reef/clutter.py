"""The sea bed: 1/f noise as a pyramid of octaves, drawn once on grids of their own and evaluated on any canvas.

An octave is a uniform cubic B-spline surface with normal control points. Doubling the grid of such a surface is exact, so
the octaves are added on the way up and evaluated once. No matrix product: a threaded BLAS is many times slower on a busy machine.
"""

from functools import cache

import numpy as np

OCTAVES = (3, 6, 12, 24, 48)
ROUGHNESS = 0.66


def draw_points(generator: np.random.Generator, fields: int, cells: int) -> np.ndarray:
    """Normal control points of surfaces over `cells` x `cells` cells: float32 (fields, cells + 3, cells + 3)."""
    return generator.standard_normal((fields, cells + 3, cells + 3), dtype=np.float32)


def draw_octaves(generator: np.random.Generator, fields: int) -> tuple[np.ndarray, ...]:
    """Control points of each octave of `fields` independent noises, the coarsest first."""
    return tuple(draw_points(generator, fields, cells) for cells in OCTAVES)


def add_octaves(octaves: tuple[np.ndarray, ...]) -> np.ndarray:
    """Control points of the sum of the octaves on the finest grid; amplitudes fall by ROUGHNESS from octave to octave."""
    total = octaves[0]
    for level, points in enumerate(octaves[1:], 1):
        total = double(double(total)) + points * ROUGHNESS**level
    return total


def double(points: np.ndarray) -> np.ndarray:
    """The same surfaces with twice as many cells along the last axis, the last two axes swapped: twice doubles both."""
    finer = np.empty((*points.shape[:-1], 2 * points.shape[-1] - 3), points.dtype)
    finer[..., 0::2] = (points[..., :-1] + points[..., 1:]) / 2
    finer[..., 1::2] = (points[..., :-2] + 6 * points[..., 1:-1] + points[..., 2:]) / 8
    return finer.swapaxes(-1, -2)


def evaluate(points: np.ndarray, canvas: int) -> np.ndarray:
    """The surfaces at the pixel centres of a canvas, (..., canvas, canvas)."""
    return np.ascontiguousarray(_sample(_sample(points, canvas), canvas))


def _sample(points: np.ndarray, canvas: int) -> np.ndarray:
    """The surfaces at the pixel centres along the last but one axis, the last two axes swapped."""
    first, basis = spline_basis(points.shape[-2] - 3, canvas)
    rows = np.ascontiguousarray(points)
    sampled = np.zeros((*points.shape[:-2], canvas, points.shape[-1]), points.dtype)
    for k, weight in enumerate(basis):
        sampled += rows.take(first + k, axis=-2) * weight
    return sampled.swapaxes(-1, -2)


@cache
def spline_basis(cells: int, canvas: int) -> tuple[np.ndarray, np.ndarray]:
    """For each pixel centre, the first of its four control points, and their weights: int (canvas,), float32 (4, canvas, 1)."""
    position = (np.arange(canvas) + 0.5) * (cells / canvas)
    t = position - np.floor(position)
    basis = (
        np.stack(
            [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
        )
        / 6
    )
    return position.astype(int), basis.astype(np.float32)[..., None]
