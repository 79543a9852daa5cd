"""JPEG files that cost what photographs cost: noise whose spectrum falls as 1/f, as theirs does; and folders of many links to them."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

QUALITY = 90
FIELD = 2048
CONTRAST, COLOUR = 50, 15


def draw_photos(folder: Path, count: int, width: int, height: int) -> list[Path]:
    """Cut `count` pictures out of one field of noise."""
    generator = np.random.default_rng(0)
    field = draw_field(generator)
    folder.mkdir(parents=True)
    paths = [folder / f"{number:06d}.jpg" for number in range(count)]
    for path in paths:
        left, top = generator.integers(FIELD - width), generator.integers(FIELD - height)
        Image.fromarray(field[top : top + height, left : left + width]).save(
            path, quality=QUALITY
        )
    return paths


def draw_field(generator: np.random.Generator) -> np.ndarray:
    """Light with a little colour, uint8 (FIELD, FIELD, 3)."""
    frequency = np.hypot(np.fft.fftfreq(FIELD)[:, None], np.fft.rfftfreq(FIELD))
    frequency[0, 0] = np.inf
    waves = generator.standard_normal((2, 4, *frequency.shape)) / frequency
    light, *colours = np.fft.irfft2(waves[0] + 1j * waves[1])
    noise = (
        CONTRAST * light[..., None] / light.std() + COLOUR * np.stack(colours, -1) / light.std()
    )
    field: np.ndarray = np.clip(128 + noise, 0, 255).astype(np.uint8)
    return field


def lay_out(photos: list[Path], folder: Path, count: int, classes: int = 2) -> Path:
    """`count` links to `photos`, over and over, in a folder a class, four fifths of them under train/, the rest under val/ and test/."""
    splits = ["train"] * 8 + ["val", "test"]
    for number in range(count):
        target = (
            folder
            / splits[number // classes % len(splits)]
            / f"class{number % classes:02d}"
            / f"{number:07d}.jpg"
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(photos[number % len(photos)], target)
    return folder


def kib_each(photos: list[Path]) -> float:
    """The mean size of the files."""
    return sum(path.stat().st_size for path in photos) / len(photos) / 1024
