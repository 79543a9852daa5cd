"""Random batches out of an array on disk, row by row and through a memory map, in the page cache and not."""

import os
import warnings
from argparse import Namespace
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import markdown
from benchmarks.turns import HEAD, Way, rates_told, take_turns

SIDE, READERS = 224, 8
BATCH = 256
FAR, FAR_BATCH = 512, 64
NOTE = """Pictures of {side} px, {kib:.0f} KiB each, in batches in random order: what TrainLoader asks for, without a network. {pictures:,} of them make the file,
{mib:,.0f} MiB. Cold: the file is dropped from the page cache before every round (fsync, posix_fadvise DONTNEED); what lies below this machine's virtual
disk may keep a cache of its own. The system reads {ahead} KiB ahead on this disk. {readers} readers stand for `system.training.num_workers: {readers}`.
Training takes 9 (resnet18) to 66 (mobilenet_v3_small) pictures of 224 px a second with one thread of this machine (training.md); resnet18 takes 33,000
on an H200, on paper.
"""
HELD_NOTE = """A file that memory holds, {pictures:,} pictures that lie together, all of them in batches of {batch}. `in memory` is what placement.place_images
gives where they fit; `rows` is its DiskImages, for where they do not: a `pread` a picture; `map` would be a memory map. Cold is a first epoch.
"""
FAR_NOTE = """A file that memory does not hold, {pictures:,} pictures out of all, in batches of {batch}, cold: each has to come from the disk, as in every epoch over such a
file. KiB: what the disk was asked for (n = 1).
"""


def run_mapped(options: Namespace, work: Path) -> str:
    """A file that memory holds and one that it does not, as text for the page."""
    import torch

    torch.set_num_threads(1)
    count, path, size = options.pictures or 40_000, work / "train.npy", 3 * SIDE**2
    write_noise(path, count)
    about = {"side": SIDE, "kib": size / 1024, "pictures": count, "mib": count * size / 2**20}
    note = NOTE.format(**about, ahead=read_ahead(path), readers=READERS)
    return (
        f"{note}\n{held(path, count // 5, options.rounds)}\n{far(path, count, options.rounds)}"
    )


def held(path: Path, count: int, rounds: int) -> str:
    """Whole epochs over the first `count` pictures of `path`."""
    import torch

    from resomap.data.loading.placement import place_images, take_images

    resident, epoch = (
        place_images(np.load(path, mmap_mode="r")[:count], torch.device("cpu"), False),
        partial(read, count, count, BATCH),
    )
    ways = [
        Way("in memory", count, lambda: epoch(1, partial(take_images, resident))),
        Way("map, warm", count, lambda: epoch(1, mapped(path)), lambda: epoch(1, mapped(path))),
        Way("map, cold", count, lambda: epoch(1, mapped(path)), partial(drop, path)),
        Way(
            "rows, warm", count, lambda: epoch(1, by_row(path)), lambda: epoch(1, by_row(path))
        ),
        Way("rows, cold", count, lambda: epoch(1, by_row(path)), partial(drop, path)),
        Way(
            f"rows, cold, {READERS} readers",
            count,
            lambda: epoch(READERS, by_row(path)),
            partial(drop, path),
        ),
    ]
    take_turns(ways, rounds)
    return f"{HELD_NOTE.format(pictures=count, batch=BATCH)}\n{markdown((*HEAD, 'pictures/s / in memory'), rates_told(ways, ways[0]))}"


def far(path: Path, rows: int, rounds: int) -> str:
    """A few pictures out of all, none of which is in the cache."""
    count = min(FAR, rows)
    scattered = partial(read, rows, count, FAR_BATCH)
    ways = [
        Way(
            name + more,
            count,
            lambda readers=readers, take=take: scattered(readers, take(path)),
            partial(drop, path),
        )  # type: ignore[misc]
        for name, take in (("map", mapped), ("rows", by_row))
        for readers, more in ((1, ""), (READERS, f", {READERS} readers"))
    ]
    take_turns(ways, rounds)
    body = (
        (*row, asked(way, path))
        for way, row in zip(ways, rates_told(ways, ways[0]), strict=True)
    )
    return f"{FAR_NOTE.format(pictures=count, batch=FAR_BATCH)}\n{markdown((*HEAD, 'pictures/s / map', 'KiB a picture'), body)}"


def write_noise(path: Path, count: int) -> None:
    """An array of `count` pictures of SIDE px; the same few over and over, which no disk knows."""
    array = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.uint8, shape=(count, SIDE, SIDE, 3)
    )
    noise = np.random.default_rng(0).integers(0, 256, (BATCH, SIDE, SIDE, 3), np.uint8)
    for start in range(0, count, BATCH):
        array[start : start + BATCH] = noise[: count - start]
    array.flush()


def mapped(path: Path) -> Callable[[Any], Any]:
    """What takes pictures by index out of a new map of `path`."""
    import torch

    with warnings.catch_warnings():  # the map is read-only, and nothing here writes
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.load(path, mmap_mode="r")).__getitem__


def by_row(path: Path) -> Callable[[Any], Any]:
    """What takes pictures by index with a read for each, as a training does."""
    from resomap.data.loading.placement import DiskImages

    return DiskImages(path).__getitem__


def read(rows: int, count: int, batch: int, readers: int, take: Callable[[Any], Any]) -> None:
    """Take `count` of the first `rows` pictures, in batches that nobody keeps."""
    import torch

    batches = torch.randperm(rows)[:count].split(batch)
    with ThreadPoolExecutor(readers) as pool:
        list(pool.map(lambda index: len(take(index)), batches))


def drop(path: Path) -> None:
    """Take a file out of the page cache."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def device(path: Path) -> tuple[str, str]:
    """The two numbers of the disk of `path`."""
    number = path.stat().st_dev
    return str(os.major(number)), str(os.minor(number))


def read_ahead(path: Path) -> str:
    """KiB that the system reads at most when it is asked for less, in words."""
    told = Path("/sys/class/bdi", ":".join(device(path)), "read_ahead_kb")
    return told.read_text().strip() if told.exists() else "an unknown number of"


def asked(way: Way, path: Path) -> str:
    """KiB that the disk gave a picture, in a run of its own; blank where the system does not count them."""
    way.before()
    before = sectors_read(path)
    way.call()
    kib = (sectors_read(path) - before) / 2 / way.pictures
    return f"{kib:,.0f}" if kib else ""


def sectors_read(path: Path) -> int:
    """Half KiB that the disk of `path` has given, to anyone, since the machine started."""
    lines = [line.split() for line in Path("/proc/diskstats").read_text().splitlines()]
    return next((int(line[5]) for line in lines if tuple(line[:2]) == device(path)), 0)
