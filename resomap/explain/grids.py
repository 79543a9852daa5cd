"""Maps on a coarser grid: every cell of it is the exact average of the area that it covers."""

import numpy as np

from resomap.errors import DataError

BLUR_WIDTH = 0.1  # standard deviation in picture widths
BITS = 40  # of float64's 53 that an average keeps, counted from the map's largest cell: summing spoils the last


def overlap(length: int, side: int) -> np.ndarray:
    """Weights (side, length): which share of each cell of `side` every one of `length` pixels of a line fills; every row sums to 1."""
    edges = np.arange(side + 1) * (length / side)
    pixels = np.arange(length)
    common = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights: np.ndarray = np.maximum(common, 0) * (side / length)
    return weights


def reduce_maps(maps: np.ndarray, side: int) -> np.ndarray:
    """Average maps (n, h, w) over a grid of side x side cells, float64 (n, side, side), also where the grid does not divide them.

    The mean of a map stays what it was, and cells that only the rounding of sums would tell apart come out equal. A map is never enlarged:
    DataError where `side` is above h or w.
    """
    height, width = maps.shape[1:]
    if side > min(height, width):
        raise DataError(
            f"Maps of {height} x {width} cells cannot be brought to {side} x {side}: a map is reduced, never enlarged"
        )
    reduced: np.ndarray = (
        overlap(height, side) @ maps.astype(np.float64) @ overlap(width, side).T
    )
    _, exponent = np.frexp(np.abs(maps).max(axis=(1, 2), keepdims=True))
    return np.ldexp(np.rint(np.ldexp(reduced, BITS - exponent)), exponent - BITS)


def smoother(side: int) -> np.ndarray:
    """Weights (side, side) that blur a line of pixels: W @ picture @ W.T blurs a picture, mirrored at its border.

    A Gaussian of a tenth of the width leaves 4e-9 of a grating of 10 cycles a picture. Every row sums to 1.
    """
    from scipy.ndimage import gaussian_filter1d

    weights: np.ndarray = gaussian_filter1d(
        np.eye(side), BLUR_WIDTH * side, axis=0, mode="reflect"
    )
    return weights
