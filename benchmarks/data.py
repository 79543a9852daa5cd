"""The data path: listing, preparing and resizing images, against hand-written loops.

usage: python -m benchmarks.data PART [--rounds 5] [--cores 2] [--images N]

PART      prepare   decode every image once, against a loop with Pillow and one with
torchvision,
                    and where the time goes
          resize    resize every image once, against a loop with Pillow
          listing   list 100,000 files, and compute their digest
          all       all of them, about ten minutes on two idle cores

Each part replaces its own section of benchmarks/data.md.
"""

import cProfile
import os
import pstats
import shutil
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

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
    spread,
)
from benchmarks.training import folder_data
from resomap.config.data import Data
from resomap.data.sources.user_files import list_images, listing_digest
from resomap.data.store.prepare import prepare_store
from resomap.data.store.resize import resize_store

TITLE = "# The data path: what an image costs on its way to a training\n"
SIDE, LARGEST_SIDE, RESIZED_SIDES = 224, 512, (128, 64)
WIDTH, HEIGHT, NUM_PHOTOS = 500, 375, 1000
JPEG_QUALITY = 90
FIELD_SIDE = 2048
CONTRAST, COLOUR = 50, 15
PREPARE_NOTE = """Calls in one process after imports (in a process of its own some 0.4 s more). {images:,} JPEG files
of {width} x {height}, quality 90, {kib:.0f} KiB each ({photos:,} different files and links to
them), to {side} x {side} px; page cache warm. `prepare` is
`resomap.data.store.prepare.prepare_store` from the listing to the manifest, the start of its
workers included. `Pillow`: open, convert, resize bilinear, into an existing array.
`torchvision`: read_file, decode_jpeg, v2 resize bilinear with antialiasing on uint8, into the
same. Both loops have one thread, keep all in memory and write nothing. prepare also rotates
images upright, reports odd files, hashes the pixels as read (for duplicates) and as stored (for
the manifest), sums them (mean and deviation), writes and syncs them, computes spectra of a
sample, and writes a table of all images.
"""
PROFILE_NOTE = """Time of one process in ms per image, by cProfile in a separate run, which it slows by 5 to 10 %; to
{side} px, and {large} of the images to {largest} px. The sample for the spectra, up to 64
images per class of these two, grows no further than 4,096 images, or 4 per class.
"""
RESIZE_NOTE = """`resize` is `resomap.data.store.resize.resize_store` of {images:,} images from {side} px, the start of
its workers and the sync to disk included. `Pillow` is a loop over the array in memory into
another one. Bilinear, page cache warm.
"""
LISTING_NOTE = """{images:,} files of 3 bytes in 100 folders, directory entries in the cache: the latency of a disk or
file server comes on top.
"""
# Functions as cProfile names them, by their purpose.
PROFILE_PARTS = {
    "JPEG decoding": ("'decode' of 'ImagingDecoder'",),
    "resize": ("'resize' of 'ImagingCore'",),
    "sums of levels and their squares": (
        *("'reduce' of 'numpy.ufunc'", "(_store)", "'astype'", "'histogram'"),
    ),
    "sha256 of the pixels as read and as stored": ("openssl_sha256",),
    "pixels out of Pillow": ("ImagingEncoder", "'join' of 'bytes'", "(tobytes)"),
    "writing": ("posix.pwrite",),
    "waiting for the disk": ("posix.fsync",),
    "spectra and contact sheet": ("numpy/fft", "(_energy_below)", "'outer'"),
}  # fmt: skip
OTHER_PART = "all else: opening and reading files, headers, tables, Python"


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
    """Time `prepare_store` against two loops and profile it; return the section."""
    import torch

    torch.set_num_threads(1)
    count = options.images or 2000
    photos = draw_photos(work / "photos", min(NUM_PHOTOS, count), WIDTH, HEIGHT)
    data = _linked_data(photos, work / "folder", count, SIDE)
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
    large = _linked_data(photos, work / "large", count // 4, LARGEST_SIDE)
    profile = _profile_table(ours[0], _preparing(count // 4, large, store, 1))
    about = PROFILE_NOTE.format(side=SIDE, large=count // 4, largest=LARGEST_SIDE)
    return f"{note}\n{table}\n{about}\n{profile}"


def _linked_data(photos: list[Path], folder: Path, count: int, side: int) -> Data:
    return folder_data(shipped_config().data, link_photos(photos, folder, count), side)


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


def _profile_table(small: Contender, large: Contender) -> str:
    parts = profile_parts(small), profile_parts(large)
    head = ("", f"{SIDE} px", "share", f"{LARGEST_SIDE} px", "share")
    return markdown(head, ((name, *parts[0][name], *parts[1][name]) for name in parts[0]))


def profile_parts(contender: Contender) -> dict[str, tuple[str, str]]:
    """Return for each part its time without subcalls: ms per image, and its share."""
    contender.before()
    profile = cProfile.Profile()
    profile.runcall(contender.call)
    stats: Any = pstats.Stats(profile)
    seconds = {f"{file}({name})": times[2] for (file, _, name), times in stats.stats.items()}
    by_part = {}
    for part, patterns in PROFILE_PARTS.items():
        names = [name for name in seconds if any(pattern in name for pattern in patterns)]
        by_part[part] = sum(seconds.pop(name) for name in names)
    by_part[OTHER_PART] = sum(seconds.values())
    return {
        part: (f"{1000 * time / contender.images:.2f}", f"{time / stats.total_tt:.0%}")
        for part, time in by_part.items()
    }


def run_resize(options: Namespace, work: Path) -> str:
    """Time `resize_store` against a loop; return the section."""
    count = options.images or 10_000
    photos = draw_photos(work / "photos", min(NUM_PHOTOS, count), WIDTH, HEIGHT)
    data, store = _linked_data(photos, work / "folder", count, SIDE), work / "store"
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


def run_listing(options: Namespace, work: Path) -> str:
    """Time the listing of many files and its digest; return the section."""
    count = options.images or 100_000
    for number in range(count):
        path = work / "folder" / f"class{number % 100:03d}" / f"{number:07d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"jpg")
    data = folder_data(shipped_config().data, work / "folder", SIDE)
    files = list_images(data)
    assert files is not None
    contenders = [
        Contender("list_images", count, partial(list_images, data)),
        Contender("listing_digest", count, partial(listing_digest, files)),
    ]
    run_interleaved(contenders, options.rounds)
    rows = ((one.name, spread(one.walls), spread(one.rates, 0)) for one in contenders)
    return f"{LISTING_NOTE.format(images=count)}\n{markdown(('', 's', 'files/s'), rows)}"


PARTS = {
    "prepare": ("Preparing", run_prepare),
    "resize": ("Resizing", run_resize),
    "listing": ("Listing", run_listing),
}


def main() -> None:
    """Parse the command line and write the sections."""
    parser = part_parser(__doc__, PARTS, "data.md")
    parser.add_argument("--images", type=int, help="default: a minute to four for a part")
    run_parts(parser.parse_args(), TITLE, PARTS)


if __name__ == "__main__":
    main()
