"""Listing pictures, decoding each once, reducing each once: against the loops that one would write, and where the time goes."""

import cProfile
import pstats
import shutil
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.photos import draw_photos, kib_each, lay_out
from benchmarks.pictures import of_folder
from benchmarks.processes import shipped_config
from benchmarks.tables import markdown, spread
from benchmarks.turns import HEAD, Way, rates_told, take_turns
from resomap.config.data import Data
from resomap.data.sources.user_files import list_images, listing_digest
from resomap.data.store.prepare import prepare_store
from resomap.data.store.resize import resize_store

SIDE, LARGEST, REDUCED = 224, 512, (128, 64)
WIDTH, HEIGHT, PHOTOS = 500, 375, 1000
PREPARE_NOTE = """Calls in one process that has imported what it needs (as a process of its own: some .4 s more). {pictures:,} JPEG files of {width} x {height}, quality
90, {kib:.0f} KiB each ({photos:,} different ones and links to them), to {side} x {side}; page cache warm. `prepare`: `resomap.data.store.prepare.prepare_store`, from the listing
to the manifest, the start of its workers included. `Pillow`: open, convert, resize bilinear, into an array that is there. `torchvision`: read_file,
decode_jpeg, v2 resize bilinear with antialiasing on uint8, into the same. Both loops are one thread, keep all in memory and write nothing. prepare
also turns pictures upright and notes what is odd about a file, hashes the pixels as read (for copies) and as kept (for the manifest), sums them (mean
and deviation), writes them and waits until they are on the disk, looks at the spectra of a sample, and writes a table of all pictures.
"""
PROFILE_NOTE = """Where the time of one process goes, in ms a picture, by cProfile over a run of its own, which slows it by 5 to 10 %; to {side} px, and {large} of the
pictures to {largest} px. The sample whose spectra are looked at, up to 64 a class of these two, grows no further than 4,096 pictures, or 4 a class.
"""
RESIZE_NOTE = """`resize`: `resomap.data.store.resize.resize_store` of {pictures:,} pictures from {side} px, its workers' start and the wait for the disk included.
`Pillow`: a loop over the array in memory into another one. Bilinear, page cache warm.
"""
LISTING_NOTE = """{pictures:,} files of 3 bytes in 100 folders, their directory entries in the cache: what a disk or a server that has to be asked adds is not in here.
"""
# What cProfile names, by what it is for.
SHARES = {
    "JPEG decoding": ("'decode' of 'ImagingDecoder'",),
    "resize": ("'resize' of 'ImagingCore'",),
    "sums of levels and their squares": (
        "'reduce' of 'numpy.ufunc'",
        "(_keep)",
        "'astype'",
        "'histogram'",
    ),
    "sha256 of the pixels as read and as kept": ("openssl_sha256",),
    "pixels out of Pillow": ("ImagingEncoder", "'join' of 'bytes'", "(tobytes)"),
    "writing": ("posix.pwrite",),
    "waiting for the disk": ("posix.fsync",),
    "spectra and contact sheet": ("numpy/fft", "(_share_below)", "'outer'"),
}
REST = "all else: opening and reading files, headers, tables, Python"


def run_prepare(options: Namespace, work: Path) -> str:
    """`prepare` against two loops, and where its time goes, as text for the page."""
    import torch

    torch.set_num_threads(1)
    count = options.pictures or 2000
    photos = draw_photos(work / "photos", min(PHOTOS, count), WIDTH, HEIGHT)
    data = of_folder(shipped_config().data, lay_out(photos, work / "folder", count), SIDE)
    files, store = sorted((work / "folder").glob("*/*/*.jpg")), work / "store"
    ours = [
        _preparing(name, count, data, store, workers)
        for name, workers in _by_processes("prepare", options.cores)
    ]
    pillow, torchvision = (
        Way("Pillow", count, partial(_pillow_loop, files)),
        Way("torchvision", count, partial(_torchvision_loop, files)),
    )
    _torchvision_loop(files[:2])  # what a first call loads
    ways = [*ours, pillow, torchvision]
    take_turns(ways, options.rounds)
    table = markdown(
        (*HEAD, "pictures/s / Pillow", "pictures/s / torchvision"),
        rates_told(ways, pillow, torchvision),
    )
    large = of_folder(data, lay_out(photos, work / "large", count // 4), LARGEST)
    parts = [
        _shares(way) for way in (ours[0], _preparing("large", count // 4, large, store, 1))
    ]
    profile = markdown(
        ("", f"{SIDE} px", "share", f"{LARGEST} px", "share"),
        ((part, *parts[0][part], *parts[1][part]) for part in parts[0]),
    )
    about = {
        "pictures": count,
        "photos": len(photos),
        "kib": kib_each(photos),
        "width": WIDTH,
        "height": HEIGHT,
        "side": SIDE,
    }
    return f"{PREPARE_NOTE.format(**about)}\n{table}\n{PROFILE_NOTE.format(side=SIDE, large=count // 4, largest=LARGEST)}\n{profile}"


def _preparing(name: str, count: int, data: Data, store: Path, workers: int) -> Way:
    return Way(
        name,
        count,
        partial(prepare_store, data, store, workers=workers),
        partial(shutil.rmtree, store, ignore_errors=True),
    )


def _by_processes(name: str, cores: int) -> list[tuple[str, int]]:
    return [(f"{name}, 1 process", 1), (f"{name}, {cores} processes", cores)]


def _pillow_loop(files: Sequence[Path]) -> None:
    kept = np.empty((len(files), SIDE, SIDE, 3), np.uint8)
    for row, path in enumerate(files):
        with Image.open(path) as stored:
            kept[row] = np.asarray(
                stored.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            )


def _torchvision_loop(files: Sequence[Path]) -> None:
    import torch
    from torchvision.io import decode_jpeg, read_file
    from torchvision.transforms.v2.functional import resize

    kept = torch.empty((len(files), 3, SIDE, SIDE), dtype=torch.uint8)
    for row, path in enumerate(files):
        kept[row] = resize(decode_jpeg(read_file(str(path))), [SIDE, SIDE], antialias=True)


def _shares(way: Way) -> dict[str, tuple[str, str]]:
    """Each part of `way` by its own time: ms a picture and its share; what no part claims is the rest."""
    way.before()
    profile = cProfile.Profile()
    profile.runcall(way.call)
    stats: Any = pstats.Stats(profile)
    own = {f"{file}({name})": times[2] for (file, _, name), times in stats.stats.items()}
    parts = {
        part: sum(own.pop(name) for name in list(own) if any(mark in name for mark in marks))
        for part, marks in SHARES.items()
    }
    found = {**parts, REST: sum(own.values())}
    return {
        part: (f"{1000 * seconds / way.pictures:.2f}", f"{seconds / stats.total_tt:.0%}")
        for part, seconds in found.items()
    }


def run_resize(options: Namespace, work: Path) -> str:
    """`resize_store` against a loop, as text for the page."""
    count = options.pictures or 10_000
    photos = draw_photos(work / "photos", min(PHOTOS, count), WIDTH, HEIGHT)
    data, store = (
        of_folder(shipped_config().data, lay_out(photos, work / "folder", count), SIDE),
        work / "store",
    )
    prepare_store(data, store, workers=options.cores)
    native, by_side = np.load(store / "native.npy"), []
    for side in REDUCED:
        again = partial(shutil.rmtree, store / f"r{side}", ignore_errors=True)
        ours = [
            Way(
                name,
                count,
                partial(resize_store, store / "manifest.json", side, data.filter, workers),
                again,
            )
            for name, workers in _by_processes(f"{side} px, resize", options.cores)
        ]
        by_side.append(
            [*ours, Way(f"{side} px, Pillow", count, partial(_reduce_loop, native, side))]
        )
    take_turns([way for ways in by_side for way in ways], options.rounds)
    rows = [row for ways in by_side for row in rates_told(ways, ways[-1])]
    return f"{RESIZE_NOTE.format(pictures=count, side=SIDE)}\n{markdown((*HEAD, 'pictures/s / Pillow'), rows)}"


def _reduce_loop(images: np.ndarray, side: int) -> None:
    kept = np.empty((len(images), side, side, 3), np.uint8)
    for row, image in enumerate(images):
        kept[row] = np.asarray(
            Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)
        )


def run_listing(options: Namespace, work: Path) -> str:
    """Listing and digest of many files, as text for the page."""
    count = options.pictures or 100_000
    for number in range(count):
        path = work / "folder" / f"class{number % 100:03d}" / f"{number:07d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"jpg")
    data = of_folder(shipped_config().data, work / "folder", SIDE)
    listing = list_images(data)
    assert listing is not None
    ways = [
        Way("list_images", count, partial(list_images, data)),
        Way("listing_digest", count, partial(listing_digest, listing)),
    ]
    take_turns(ways, options.rounds)
    table = markdown(
        ("", "s", "files/s"),
        ((way.name, spread(way.walls), spread(way.rates, 0)) for way in ways),
    )
    return f"{LISTING_NOTE.format(pictures=count)}\n{table}"
