"""One resize from the native resolution to each resolution of the sweep, antialiased and once a picture.

The filter is part of the experiment: of a grating with 0.65 cycles per target pixel, above Nyquist, box leaves 0.46 of the
contrast as moire, bilinear and bicubic 0.18, lanczos 0.07; without antialiasing all of it would stay.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from tqdm import tqdm

from resomap.data.store import SPLITS, writing

Filter = Literal["box", "bilinear", "bicubic", "lanczos"]
CHUNK = 64


def resize(images: np.ndarray, resolution: int, filter: Filter) -> np.ndarray:
    """Each of the pictures, uint8 (N, H, W, 3), brought whole to (N, resolution, resolution, 3) by Pillow's `filter`.

    Pictures that have that resolution already come back unchanged.
    """
    if images.shape[1:3] == (resolution, resolution):
        return images
    size, resampling = (resolution, resolution), Image.Resampling[filter.upper()]
    return np.stack([np.asarray(Image.fromarray(image).resize(size, resampling)) for image in images])


def resize_store(directory: Path, resolution: int, filter: Filter) -> None:
    """Write r{resolution}/{split}.npy beside {split}.npy for every split, a few pictures in memory at a time."""
    for split in SPLITS:
        native = np.load(directory / f"{split}.npy", mmap_mode="r", allow_pickle=False)
        with writing(directory / f"r{resolution}" / f"{split}.npy", (len(native), resolution, resolution, 3)) as resized:
            for start in tqdm(range(0, len(native), CHUNK), desc=f"{split} at {resolution} px", unit="chunk"):
                resized[start : start + CHUNK] = resize(native[start : start + CHUNK], resolution, filter)
