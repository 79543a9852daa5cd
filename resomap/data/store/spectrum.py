"""How much detail the images hold: their spectra by frequency, and a contact sheet."""

from pathlib import Path

import numpy as np
from PIL import Image

from resomap.data.store.npy_file import read_rows

LUMA_BYTES = np.array([0.299, 0.587, 0.114]) / 255  # ITU-R BT.601
MIN_CONTRAST = 1e-9
MAX_SAMPLED, MAX_PER_CLASS, MIN_PER_CLASS = 4096, 64, 4
SHEET_CLASSES, SHEET_IMAGES, SHEET_SIDE = 24, 10, 96


def sample_per_class(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return indices of a few images of each class, evenly spaced, in the order of classes."""
    count = int(np.clip(MAX_SAMPLED // num_classes, MIN_PER_CLASS, MAX_PER_CLASS))
    return np.concatenate(
        [_evenly_spaced(np.flatnonzero(labels == label), count) for label in range(num_classes)]
    )


def _evenly_spaced(values: np.ndarray, count: int) -> np.ndarray:
    return values[np.linspace(0, len(values) - 1, min(count, len(values))).astype(np.int64)]


def cumulative_spectra(
    native: Path, rows: np.ndarray, labels: np.ndarray, class_counts: np.ndarray
) -> np.ndarray:
    """Return the share of the energy up to each frequency: (1 + classes, side // 2 + 1).

    The first row is the mean over all classes, weighted by `class_counts`; then one row per
    class, the mean over its images among `rows` of `native`. A class without contrast is NaN.
    """
    # One image at a time: thousands at native size would fill memory.
    shares = np.stack([_energy_below(read_rows(native, [row])[0]) for row in rows])
    has_contrast = ~np.isnan(shares[:, -1])
    blank = np.full(shares.shape[1], np.nan)
    means, weights = [], []
    for label, count in enumerate(class_counts):
        members = shares[has_contrast & (labels == label)]
        means.append(members.mean(0) if len(members) else blank)
        weights.append(count * (len(members) > 0))
    # The sample holds as many images of small classes as of large ones, hence the weights.
    total = np.sum(weights)
    overall = np.array(weights) @ np.nan_to_num(np.stack(means)) / total if total else blank
    return np.concatenate([overall[None], np.stack(means)])


def _energy_below(image: np.ndarray) -> np.ndarray:
    """Return the share of the luma's energy up to 0, 1, ... side // 2 cycles per image.

    The mean is removed. A flat image is NaN.
    """
    luma, side = image @ LUMA_BYTES, image.shape[0]
    # A Hann window, or the jump from one edge to the opposite one would count as detail.
    window = np.hanning(side + 1)[:side]
    energy = np.abs(np.fft.fft2((luma - luma.mean()) * np.outer(window, window))) ** 2
    cycles = np.abs(np.fft.fftfreq(side, 1 / side)).astype(np.int64)
    # r pixels hold up to r / 2 cycles in each direction: the larger of both decides.
    larger = np.maximum.outer(cycles, cycles)
    below = np.cumsum(np.bincount(larger.ravel(), energy.ravel(), side // 2 + 1))
    return below / (below[-1] if below[-1] > MIN_CONTRAST else np.nan)


def contact_sheet(native: Path, rows: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Return up to ten small images of each of the first 24 classes.

    images uint8 (k, 96, 96, 3) and label int64 (k,).
    """
    chosen: list[int] = []
    for label in range(SHEET_CLASSES):
        chosen += _evenly_spaced(np.flatnonzero(labels == label), SHEET_IMAGES).tolist()
    return {
        "images": _shrink(read_rows(native, rows[chosen].tolist())),
        "label": labels[chosen].astype(np.int64),
    }


def _shrink(images: np.ndarray) -> np.ndarray:
    size = (SHEET_SIDE, SHEET_SIDE)
    return np.stack(
        [
            np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
            for image in images
        ]
    )
