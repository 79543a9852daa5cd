"""Resizing against Pillow, and against what sampling theory leaves of a grating above Nyquist."""

import numpy as np
import pytest
from PIL import Image

from resomap.data.store.resize import resize_images

FILTERS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("resolution", [7, 24, 48, 96, 150])
def test_a_resize_is_pillows(filter, resolution):
    images = np.random.default_rng(1).integers(0, 256, (3, 128, 128, 3), dtype=np.uint8)
    expected = [
        np.asarray(Image.fromarray(image).resize((resolution, resolution), FILTERS[filter]))
        for image in images
    ]
    assert (resize_images(images, resolution, filter) == np.stack(expected)).all()


def grating(cycles: float, side: int, phase: float) -> np.ndarray:
    wave = 127.5 + 100 * np.sin(2 * np.pi * cycles * (np.arange(side) + 0.5) / side + phase)
    return np.broadcast_to(wave.round().astype(np.uint8)[:, None, None], (side, side, 3))


def contrast_left(filter: str, cycles_per_pixel: float, resolution: int = 64) -> float:
    """Amplitude of the moire that a grating leaves, as a share of its own, averaged over phases."""
    cycles = cycles_per_pixel * resolution
    images = np.stack(
        [
            grating(cycles, 4 * resolution, phase)
            for phase in np.linspace(0, np.pi, 8, endpoint=False)
        ]
    )
    lines = resize_images(images, resolution, filter)[:, 4:-4, resolution // 2, 0].astype(float)
    angle = 2 * np.pi * cycles * (np.arange(resolution) + 0.5)[4:-4] / resolution
    waves = np.stack([np.sin(angle), np.cos(angle), np.ones_like(angle)], axis=1)
    sine, cosine, _ = np.linalg.lstsq(waves, lines.T, rcond=None)[0]
    return float(np.hypot(sine, cosine).mean() / 100)


@pytest.mark.parametrize(
    ("filter", "left"),
    [("box", 0.46), ("bilinear", 0.18), ("bicubic", 0.18), ("lanczos", 0.07)],
)
def test_the_moire_above_nyquist_is_the_filters(filter, left):
    assert contrast_left(filter, 0.65) == pytest.approx(left, abs=0.01)


@pytest.mark.parametrize("cycles_per_pixel", [0.1, 0.25, 0.4, 0.65, 0.8])
def test_bilinear_leaves_the_squared_sinc(cycles_per_pixel):
    assert contrast_left("bilinear", cycles_per_pixel) == pytest.approx(
        np.sinc(cycles_per_pixel) ** 2, abs=0.015
    )
