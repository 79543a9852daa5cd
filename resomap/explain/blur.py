"""The blur that stands in for what is taken out of a picture: no edge, no stripe, and the colours of the place."""

import numpy as np

WIDTH = 0.1  # standard deviation in picture widths


def smoother(side: int) -> np.ndarray:
    """Weights (side, side) that blur a line of pixels: W @ picture @ W.T blurs a picture, mirrored at its border.

    A Gaussian of a tenth of the width leaves 4e-9 of a grating of 10 cycles a picture. Every row sums to 1.
    """
    from scipy.ndimage import gaussian_filter1d

    weights: np.ndarray = gaussian_filter1d(np.eye(side), WIDTH * side, axis=0, mode="reflect")
    return weights
