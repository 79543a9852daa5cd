"""Linear operators on square grids: exact area averaging and a Gaussian blur."""

import math

import numpy as np

from resomap.errors import DataError

BLUR_WIDTH = 0.1  # standard deviation, in image widths
KEPT_BITS = 40  # of the 53 bits of a float64 mantissa that an average keeps


def overlap(length: int, side: int) -> np.ndarray:
    """Return the area-averaging weights (side, length) from a line of pixels to coarser cells.

    Weight (i, j) is the share of cell i that pixel j covers; every row sums to 1.
    """
    # Pixels that straddle the edge of a cell contribute in part to both cells, so the weights
    # are exact also where `side` does not divide `length`, and for cells smaller than pixels.
    edges = np.arange(side + 1) * (length / side)
    pixels = np.arange(length)
    common = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights: np.ndarray = np.maximum(common, 0) * (side / length)
    return weights


def reduce_maps(maps: np.ndarray, side: int) -> np.ndarray:
    """Average maps (n, h, w) over a grid of side x side cells: float64 (n, side, side).

    The mean of each map is preserved, also where the grid does not divide it. Raises DataError
    where `side` exceeds h or w: maps are never enlarged, which would invent detail.
    """
    height, width = maps.shape[1:]
    if side > min(height, width):
        raise DataError(
            f"Maps of {height} x {width} cells cannot be brought to {side} x {side}: "
            "maps are reduced, never enlarged"
        )
    reduced: np.ndarray = (
        overlap(height, side) @ maps.astype(np.float64) @ overlap(width, side).T
    )
    # Summation leaves errors in the last bits, which would break ties between cells at random.
    # Round to 40 bits, counted from the largest magnitude of the map.
    _, exponent = np.frexp(np.abs(maps).max(axis=(1, 2), keepdims=True))
    return np.ldexp(np.rint(np.ldexp(reduced, KEPT_BITS - exponent)), exponent - KEPT_BITS)


def crop_maps(maps: np.ndarray, share: float) -> np.ndarray:
    """Return the part of maps (n, h, h) that covers the first `share` of both axes.

    Images were padded at the right and at the bottom. The cells that the image covers in part
    become whole ones: the result has ceil(h * share) cells a side, averaged over their areas.
    """
    length = maps.shape[-1] * share
    side = math.ceil(length - 1e-9)
    edges, cells = np.arange(side + 1) * (length / side), np.arange(maps.shape[-1])
    common = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    weights = np.maximum(common, 0) * (side / length)
    cropped: np.ndarray = weights @ maps @ weights.T
    return cropped.astype(maps.dtype)


def blur_weights(side: int) -> np.ndarray:
    """Return weights W (side, side) such that W @ image @ W.T is the blurred image.

    A Gaussian with a standard deviation of a tenth of the image width, mirrored at the border.
    Every row sums to 1. A grating of 10 cycles per image keeps 4e-9 of its amplitude.
    """
    from scipy.ndimage import gaussian_filter1d

    weights: np.ndarray = gaussian_filter1d(
        np.eye(side), BLUR_WIDTH * side, axis=0, mode="reflect"
    )
    return weights
