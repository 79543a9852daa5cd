"""Maps that know nothing of any network: what an explanation must beat before it says something."""

import numpy as np

LUMINANCE = np.array([0.299, 0.587, 0.114])  # of red, green and blue (ITU-R BT.601)
CENTRE_SPREAD, OFF_MIDDLE = 0.2, 1e-3


def baseline_maps(name: str, images: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Maps of uint8 images (n, r, r, 3) by one of BASELINES, float32 (n, r, r), nowhere negative; `index` (n,) numbers the pictures.

    - `random`: uniform noise that depends on the picture's number and the side alone.
    - `edge`: the magnitude of the Laplacian of the luminance; strong where the object has more detail than what lies around it.
    - `centre`: a Gaussian hill of standard deviation 0.2 picture widths, a thousandth of a width off the middle, so that it points at one cell.
    """
    maps = [
        BASELINES[name](picture, int(number))
        for picture, number in zip(images, index, strict=True)
    ]
    return np.array(maps, np.float32).reshape(images.shape[:3])


def _random(picture: np.ndarray, number: int) -> np.ndarray:
    return np.random.default_rng(number).random(picture.shape[:2])


def _edge(picture: np.ndarray, _number: int) -> np.ndarray:
    from scipy.ndimage import laplace

    magnitude: np.ndarray = np.abs(laplace(picture @ LUMINANCE, mode="reflect"))
    return magnitude


def _centre(picture: np.ndarray, _number: int) -> np.ndarray:
    side = len(picture)
    distance = (np.arange(side) + 0.5) / side - (0.5 + OFF_MIDDLE)
    line = np.exp(-((distance / CENTRE_SPREAD) ** 2) / 2)
    return np.outer(line, line)


BASELINES = {"random": _random, "edge": _edge, "centre": _centre}
