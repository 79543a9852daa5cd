"""The data path: preparing and resizing images, against hand-written loops.

usage: python -m benchmarks.data PART [--rounds 5] [--cores 2] [--images N]

PART      prepare   decode every image once, against a loop with Pillow and one with
torchvision,
          resize    resize every image once, against a loop with Pillow
          all       both, about ten minutes on two idle cores

Each part replaces its own section of benchmarks/data.md.
"""

import os
import shutil
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.harness import (
    RATE_HEAD,
    Contender,
    markdown,
    part_parser,
    rate_rows,
    run_interleaved,
    run_parts,
    shipped_config,
)
from benchmarks.training import folder_data
from resomap.config.data import Data
from resomap.data.store.prepare import prepare_store
from resomap.data.store.resize import resize_store

TITLE = "# The data path: what an image costs on its way to a training\n"
SIDE, RESIZED_SIDES = 224, (128, 64)
WIDTH, HEIGHT, NUM_PHOTOS = 500, 375, 1000
JPEG_QUALITY = 90
FIELD_SIDE = 2048
CONTRAST, COLOUR = 50, 15
PREPARE_NOTE = """\
Calls in one process after imports (in a process of its own some 0.4 s more). {images:,} JPEG
files of {width} x {height}, quality 90, {kib:.0f} KiB each ({photos:,} different files and
links to them), to {side} x {side} px; page cache warm. `prepare` is
`resomap.data.store.prepare.prepare_store` from the listing to the manifest, the start of its
workers included. `Pillow`: open, convert, resize bilinear, into an existing array.
`torchvision`: read_file, decode_jpeg, v2 resize bilinear with antialiasing on uint8, into the
same. Both loops have one thread, keep all in memory and write nothing. prepare also rotates
images upright, reports odd files, hashes the pixels as read (for duplicates) and as stored (for
the manifest), sums them (mean and deviation), writes and syncs them, computes spectra of a
sample, and writes a table of all images.
"""
RESIZE_NOTE = """\
`resize` is `resomap.data.store.resize.resize_store` of {images:,} images from {side} px, the
start of its workers and the sync to disk included. `Pillow` is a loop over the array in memory
into another one. Bilinear, page cache warm.
"""


def draw_photos(folder: Path, count: int, width: int, height: int) -> list[Path]:
    """Write `count` JPEG files that cost what photographs cost: crops of one field of noise."""
    generator = np.random.default_rng(0)
    field = _draw_field(generator)
    folder.mkdir(parents=True)
    paths = [folder / f"{number:06d}.jpg" for number in range(count)]
    for path in paths:
        left = generator.integers(FIELD_SIDE - width)
        top = generator.integers(FIELD_SIDE - height)
        crop = field[top : top + height, left : left + width]
        Image.fromarray(crop).save(path, quality=JPEG_QUALITY)
    return paths


def _draw_field(generator: np.random.Generator) -> np.ndarray:
    """Return noise of mostly grey with some colour, uint8 (FIELD_SIDE, FIELD_SIDE, 3)."""
    # The spectrum of photographs falls as 1/f, and it decides what a JPEG costs: white noise
    # would be far larger and slower to decode.
    frequency = np.hypot(np.fft.fftfreq(FIELD_SIDE)[:, None], np.fft.rfftfreq(FIELD_SIDE))
    frequency[0, 0] = np.inf
    waves = generator.standard_normal((2, 4, *frequency.shape)) / frequency
    grey, *colours = np.fft.irfft2(waves[0] + 1j * waves[1])
    noise = (CONTRAST * grey[..., None] + COLOUR * np.stack(colours, -1)) / grey.std()
    field: np.ndarray = np.clip(128 + noise, 0, 255).astype(np.uint8)
    return field


def link_photos(photos: list[Path], folder: Path, count: int, classes: int = 2) -> Path:
    """Link `count` files to `photos`, over and over, one folder per split and class."""
    splits = ["train"] * 8 + ["val", "test"]
    for number in range(count):
        split = splits[number // classes % len(splits)]
        target = folder / split / f"class{number % classes:02d}" / f"{number:07d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(photos[number % len(photos)], target)
    return folder


def run_prepare(options: Namespace, work: Path) -> str:
    """Time `prepare_store` against two loops; return the section."""
    import torch

    torch.set_num_threads(1)
    count = options.images or 2000
    photos = draw_photos(work / "photos", min(NUM_PHOTOS, count), WIDTH, HEIGHT)
    data = _linked_data(photos, work / "folder", count)
    files, store = sorted((work / "folder").glob("*/*/*.jpg")), work / "store"
    ours = [_preparing(count, data, store, workers) for workers in (1, options.cores)]
    pillow = Contender("Pillow", count, partial(_pillow_loop, files))
    torchvision = Contender("torchvision", count, partial(_torchvision_loop, files))
    _torchvision_loop(files[:2])  # the first call loads libraries
    contenders = [*ours, pillow, torchvision]
    run_interleaved(contenders, options.rounds)
    head = (*RATE_HEAD, "images/s / Pillow", "images/s / torchvision")
    table = markdown(head, rate_rows(contenders, pillow, torchvision))
    note = PREPARE_NOTE.format(
        images=count,
        photos=len(photos),
        kib=sum(path.stat().st_size for path in photos) / len(photos) / 1024,
        width=WIDTH,
        height=HEIGHT,
        side=SIDE,
    )
    return f"{note}\n{table}"


def _linked_data(photos: list[Path], folder: Path, count: int) -> Data:
    return folder_data(shipped_config().data, link_photos(photos, folder, count), SIDE)


def _preparing(count: int, data: Data, store: Path, workers: int) -> Contender:
    remove = partial(shutil.rmtree, store, ignore_errors=True)
    call = partial(prepare_store, data, store, workers=workers)
    return Contender(_named("prepare", workers), count, call, remove)


def _named(name: str, workers: int) -> str:
    return f"{name}, {workers} process{'es' * (workers > 1)}"


def _pillow_loop(files: Sequence[Path]) -> None:
    images = np.empty((len(files), SIDE, SIDE, 3), np.uint8)
    for row, path in enumerate(files):
        with Image.open(path) as image:
            resized = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            images[row] = np.asarray(resized)


def _torchvision_loop(files: Sequence[Path]) -> None:
    import torch
    from torchvision.io import decode_jpeg, read_file
    from torchvision.transforms.v2.functional import resize

    images = torch.empty((len(files), 3, SIDE, SIDE), dtype=torch.uint8)
    for row, path in enumerate(files):
        images[row] = resize(decode_jpeg(read_file(str(path))), [SIDE, SIDE], antialias=True)


def run_resize(options: Namespace, work: Path) -> str:
    """Time `resize_store` against a loop; return the section."""
    count = options.images or 10_000
    photos = draw_photos(work / "photos", min(NUM_PHOTOS, count), WIDTH, HEIGHT)
    data, store = _linked_data(photos, work / "folder", count), work / "store"
    prepare_store(data, store, workers=options.cores)
    native, groups = np.load(store / "native.npy"), []
    for side in RESIZED_SIDES:
        remove = partial(shutil.rmtree, store / f"r{side}", ignore_errors=True)
        group = []
        for workers in (1, options.cores):
            call = partial(resize_store, store / "manifest.json", side, data.filter, workers)
            group.append(Contender(_named(f"{side} px, resize", workers), count, call, remove))
        loop = partial(_resize_loop, native, side)
        groups.append([*group, Contender(f"{side} px, Pillow", count, loop)])
    run_interleaved([contender for group in groups for contender in group], options.rounds)
    rows = [row for group in groups for row in rate_rows(group, group[-1])]
    note = RESIZE_NOTE.format(images=count, side=SIDE)
    return f"{note}\n{markdown((*RATE_HEAD, 'images/s / Pillow'), rows)}"


def _resize_loop(images: np.ndarray, side: int) -> None:
    resized = np.empty((len(images), side, side, 3), np.uint8)
    for row, image in enumerate(images):
        small = Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)
        resized[row] = np.asarray(small)


PARTS = {"prepare": ("Preparing", run_prepare), "resize": ("Resizing", run_resize)}


def main() -> None:
    """Parse the command line and write the sections."""
    parser = part_parser(__doc__, PARTS, "data.md")
    parser.add_argument("--images", type=int, help="default: a minute to four for a part")
    run_parts(parser.parse_args(), TITLE, PARTS)


if __name__ == "__main__":
    main()
