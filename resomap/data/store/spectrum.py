"""How much of the pictures each resolution can hold, and what they look like."""

from pathlib import Path

import numpy as np
from PIL import Image

from resomap.data.store.rowfile import take_rows

LUMA = np.array([0.299, 0.587, 0.114]) / 255  # ITU-R BT.601
NO_CONTRAST = 1e-9
MOST_PICTURES, MOST_A_CLASS, LEAST_A_CLASS = 4096, 64, 4
SHEET_CLASSES, SHEET_PICTURES, SHEET_SIDE = 24, 10, 96


def sample(labels: np.ndarray, classes: int) -> np.ndarray:
    """Indices of the pictures that are looked at closely: a few of each class, evenly spaced among its own, in class order."""
    each = int(np.clip(MOST_PICTURES // classes, LEAST_A_CLASS, MOST_A_CLASS))
    return np.concatenate(
        [_spaced(np.flatnonzero(labels == label), each) for label in range(classes)]
    )


def _spaced(values: np.ndarray, count: int) -> np.ndarray:
    return values[np.linspace(0, len(values) - 1, min(count, len(values))).astype(np.int64)]


def spectra(
    native: Path, rows: np.ndarray, labels: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Share of the spectral energy up to each frequency, (1 + classes, side // 2 + 1): over all, then a class, the mean over its pictures.

    `rows` of the array `native` are looked at, of classes `labels`; `counts` weigh the classes in the mean over all. A class of which no
    picture has any contrast is NaN.
    """
    shares = np.stack([_share_below(take_rows(native, [row])[0]) for row in rows])
    told = ~np.isnan(shares[:, -1])
    of_class = [shares[told & (labels == label)] for label in range(len(counts))]
    blank = np.full(shares.shape[1], np.nan)
    means = np.stack([own.mean(0) if len(own) else blank for own in of_class])
    weights = counts * [len(own) > 0 for own in of_class]
    overall = weights @ np.nan_to_num(means) / weights.sum() if weights.any() else blank
    return np.concatenate([overall[None], means])


def _share_below(image: np.ndarray) -> np.ndarray:
    """Share of the luma's energy at frequencies of at most 0, 1, ... side // 2 cycles a picture in both directions; NaN of a flat picture.

    The mean is removed, and a Hann window keeps the jump from one edge to the other out of the spectrum.
    """
    luma, side = image @ LUMA, image.shape[0]
    window = np.hanning(side + 1)[:side]
    energy = np.abs(np.fft.fft2((luma - luma.mean()) * np.outer(window, window))) ** 2
    cycles = np.abs(np.fft.fftfreq(side, 1 / side)).astype(np.int64)
    below = np.cumsum(
        np.bincount(np.maximum.outer(cycles, cycles).ravel(), energy.ravel(), side // 2 + 1)
    )
    return below / (below[-1] if below[-1] > NO_CONTRAST else np.nan)


def contact_sheet(native: Path, rows: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Up to ten pictures of each of the first 24 classes, small: images uint8 (k, 96, 96, 3) and label int64 (k,)."""
    chosen: list[int] = []
    for label in range(SHEET_CLASSES):
        chosen += _spaced(np.flatnonzero(labels == label), SHEET_PICTURES).tolist()
    return {
        "images": _small(take_rows(native, rows[chosen].tolist())),
        "label": labels[chosen].astype(np.int64),
    }


def _small(images: np.ndarray) -> np.ndarray:
    size = (SHEET_SIDE, SHEET_SIDE)
    return np.stack(
        [
            np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
            for image in images
        ]
    )
