"""Baselines that do not use the model: an attribution method should outperform them."""

import numpy as np

LUMINANCE_WEIGHTS = np.array([0.299, 0.587, 0.114])  # of red, green, blue (ITU-R BT.601)
CENTRE_SPREAD = 0.2  # standard deviation of the Gaussian, in image widths
# A peak exactly in the middle would be shared by four cells of an even grid, and the pointing
# game counts ties as misses.
CENTRE_OFFSET = 1e-3


def baseline_maps(name: str, images: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return baseline maps of uint8 images (n, r, r, 3): non-negative float32 (n, r, r).

    `name` is one of BASELINES; `index` (n,) are the positions of the images in the test split.

    - `random`: uniform noise that depends only on an image's index and the resolution.
    - `edge`: the magnitude of the Laplacian of the luminance; large where the object has more
      detail than its surroundings.
    - `centre`: a Gaussian in the middle of the image, 0.2 image widths wide.
    """
    compute = BASELINES[name]
    maps = [compute(image, int(number)) for image, number in zip(images, index, strict=True)]
    # The shape of an empty list of maps is (0,), hence the reshape.
    return np.array(maps, np.float32).reshape(images.shape[:3])


def _random(image: np.ndarray, number: int) -> np.ndarray:
    return np.random.default_rng(number).random(image.shape[:2])


def _edge(image: np.ndarray, _number: int) -> np.ndarray:
    from scipy.ndimage import laplace

    magnitude: np.ndarray = np.abs(laplace(image @ LUMINANCE_WEIGHTS, mode="reflect"))
    return magnitude


def _centre(image: np.ndarray, _number: int) -> np.ndarray:
    side = len(image)
    distance = (np.arange(side) + 0.5) / side - (0.5 + CENTRE_OFFSET)
    profile = np.exp(-((distance / CENTRE_SPREAD) ** 2) / 2)
    return np.outer(profile, profile)


BASELINES = {"random": _random, "edge": _edge, "centre": _centre}
