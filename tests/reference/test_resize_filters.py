"""Resizing against Pillow, and against what sampling theory predicts of gratings above Nyquist."""

import numpy as np
import pytest
from PIL import Image

from resomap.data.store.resize import resize_images

FILTERS = ("box", "bilinear", "bicubic", "lanczos")


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("resolution", [7, 24, 48, 96, 150])
def test_resize_equals_pillow(filter, resolution):
    images = np.random.default_rng(1).integers(0, 256, (3, 128, 128, 3), dtype=np.uint8)
    size, resampling = (resolution, resolution), Image.Resampling[filter.upper()]
    expected = [Image.fromarray(image).resize(size, resampling) for image in images]
    assert (resize_images(images, resolution, filter) == np.stack(expected)).all()


def grating(cycles: float, side: int, phase: float) -> np.ndarray:
    wave = 127.5 + 100 * np.sin(2 * np.pi * cycles * (np.arange(side) + 0.5) / side + phase)
    return np.broadcast_to(wave.round().astype(np.uint8)[:, None, None], (side, side, 3))


def remaining_contrast(filter: str, cycles_per_pixel: float, resolution: int = 64) -> float:
    """Return the amplitude of the moire of a grating, as a share of its own, over phases."""
    cycles = cycles_per_pixel * resolution
    phases = np.linspace(0, np.pi, 8, endpoint=False)
    images = np.stack([grating(cycles, 4 * resolution, phase) for phase in phases])
    resized = resize_images(images, resolution, filter)
    lines = resized[:, 4:-4, resolution // 2, 0].astype(float)
    angle = 2 * np.pi * cycles * (np.arange(resolution) + 0.5)[4:-4] / resolution
    waves = np.stack([np.sin(angle), np.cos(angle), np.ones_like(angle)], axis=1)
    sine, cosine, _ = np.linalg.lstsq(waves, lines.T, rcond=None)[0]
    return float(np.hypot(sine, cosine).mean() / 100)


@pytest.mark.parametrize(
    ("filter", "contrast"),
    [("box", 0.46), ("bilinear", 0.18), ("bicubic", 0.18), ("lanczos", 0.07)],
)
def test_moire_above_nyquist_depends_on_filter(filter, contrast):
    assert remaining_contrast(filter, 0.65) == pytest.approx(contrast, abs=0.01)


@pytest.mark.parametrize("cycles_per_pixel", [0.1, 0.25, 0.4, 0.65, 0.8])
def test_bilinear_leaves_squared_sinc(cycles_per_pixel):
    expected = np.sinc(cycles_per_pixel) ** 2
    assert remaining_contrast("bilinear", cycles_per_pixel) == pytest.approx(
        expected, abs=0.015
    )
