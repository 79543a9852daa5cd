"""What a picture costs where no store of its resolution exists: reduced, or decoded, anew in every batch."""

from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.photos import draw_photos, kib_each
from benchmarks.processes import shipped_config
from benchmarks.tables import markdown
from benchmarks.turns import HEAD, Way, rates_told, take_turns
from resomap.data.store.resize import resize_images

SIDES = (224, 512)
PAIRS = ((224, 64), *((512, side) for side in (64, 128, 224, 256, 320, 384)))
COUNT = 256
NOTE = """One thread, one batch of {batch} in memory or in the page cache, bilinear. `array`: reduced from an array at a larger resolution, by
`resomap.data.store.resize.resize_images` (the bytes that are in the store) or by torch on uint8 with antialiasing (other bytes). `JPEG`: decoded from a file at that
resolution, not reduced; 1/f noise at quality 90, {sizes}.
"""


def run_ladder(options: Namespace, work: Path) -> str:
    """Every way, as text for the page."""
    import torch

    torch.set_num_threads(1)
    count, filter = options.pictures or COUNT, shipped_config().data.filter
    photos = {side: draw_photos(work / str(side), count, side, side) for side in SIDES}
    arrays = {
        side: np.stack([np.asarray(Image.open(path)) for path in files])
        for side, files in photos.items()
    }
    ways = [
        *(
            Way(
                f"array, {large} to {small} px, resize",
                count,
                partial(resize_images, arrays[large], small, filter),
            )
            for large, small in PAIRS
        ),
        *(
            Way(
                f"array, {large} to {small} px, torch",
                count,
                partial(torch_resize, arrays[large], small),
            )
            for large, small in PAIRS
        ),
        *(
            Way(f"JPEG, {side} px, Pillow", count, partial(decode_pillow, files))
            for side, files in photos.items()
        ),
        *(
            Way(f"JPEG, {side} px, torchvision", count, partial(decode_torchvision, files))
            for side, files in photos.items()
        ),
    ]
    for way in ways:
        way.call()  # what a first call loads
    take_turns(ways, options.rounds)
    sizes = ", ".join(
        f"{kib_each(files):.0f} KiB at {side} px" for side, files in photos.items()
    )
    return f"{NOTE.format(batch=count, sizes=sizes)}\n{markdown(HEAD, rates_told(ways))}"


def torch_resize(images: np.ndarray, side: int) -> None:
    """Reduce a batch by torch."""
    import torch

    torch.nn.functional.interpolate(
        torch.from_numpy(images).permute(0, 3, 1, 2),
        (side, side),
        mode="bilinear",
        antialias=True,
    )


def decode_pillow(files: Sequence[Path]) -> None:
    """Decode each file to RGB."""
    for path in files:
        with Image.open(path) as stored:
            np.asarray(stored.convert("RGB"))


def decode_torchvision(files: Sequence[Path]) -> None:
    """Decode each file."""
    from torchvision.io import decode_jpeg, read_file

    for path in files:
        decode_jpeg(read_file(str(path)))
