"""Batches a second without a network: the loader of ResoMap against ImageFolder and a DataLoader with workers, crops and flips alike."""

import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time

from benchmarks.pictures import Pictures, draw_jpegs
from benchmarks.processes import shipped_config
from benchmarks.tables import markdown, ratios, spread
from benchmarks.whole_jobs import CROP, FLIP_ONLY, pictures_of, store_of
from resomap.config.training import Augmentation

SECONDS = 1.0
HEAD = (
    "px",
    "arm",
    "batches/s",
    "images/s",
    "images a CPU s",
    "batches/s / textbook",
    "images a CPU s / textbook",
)
NOTE = """Random resized crop (0.08-1, 3/4-4/3), flip, normalise, batch {batch}, float32 batches {where}, no network. `textbook`:
ImageFolder of 256 px JPEG files, Pillow, DataLoader with {workers} persistent workers, its first epoch not counted. `resomap`: TrainLoader over
the store in memory, {threads}. Each round is whole epochs of {pictures} pictures for at least {seconds:.0f} s. CPU seconds are of the process
and of its workers.
"""


@dataclass
class Arm:
    """One loader; what each round gave."""

    name: str
    loader: Iterable
    batches: list[float] = field(default_factory=list)
    images: list[float] = field(default_factory=list)
    per_cpu: list[float] = field(default_factory=list)


def run_batches(options: Namespace, work: Path) -> str:
    """Every resolution, as text for the page."""
    import torch

    torch.set_num_threads(1)
    config = shipped_config()
    count = pictures_of(options, "tiny_cnn", min(options.resolutions))
    draw_jpegs(config.data, work / "jpeg", count)
    rows: list[tuple[object, ...]] = []
    for resolution in options.resolutions:
        rows += run_resolution(options, resolution, store_of(config, work, resolution, count))
    where = "on the GPU" if options.device == "cuda" else "in memory"
    threads = "batches made on the GPU" if options.device == "cuda" else "one thread"
    about = {
        "batch": options.batch_size,
        "workers": options.workers,
        "pictures": count,
        "seconds": SECONDS,
    }
    return f"{NOTE.format(where=where, threads=threads, **about)}\n{markdown(HEAD, rows)}"


def run_resolution(
    options: Namespace, resolution: int, pictures: Pictures
) -> Iterator[tuple[object, ...]]:
    """Rows of one resolution, both loaders interleaved."""
    ours, theirs = (
        Arm("resomap", our_loader(options, resolution, pictures)),
        Arm("textbook", textbook_loader(options, resolution, pictures)),
    )
    for arm in (ours, theirs):
        _drain(arm.loader, options.device)
    for number in range(options.rounds):
        for arm in (ours, theirs):
            measure_epochs(arm, options.device)
            print(
                f"{resolution} px, round {number + 1}, {arm.name}: {arm.images[-1]:,.0f} images/s",
                file=sys.stderr,
            )
    for arm in (ours, theirs):
        against = (
            (
                spread(ratios(arm.batches, theirs.batches), 1),
                spread(ratios(arm.per_cpu, theirs.per_cpu), 1),
            )
            if arm is ours
            else ("", "")
        )
        yield (
            resolution,
            arm.name,
            spread(arm.batches, 0),
            spread(arm.images, 0),
            spread(arm.per_cpu, 0),
            *against,
        )


def measure_epochs(arm: Arm, device: str) -> None:
    """Whole epochs for at least SECONDS."""
    batches, images, wall, cpu = 0, 0, perf_counter(), _cpu_seconds()
    while perf_counter() - wall < SECONDS:
        made, seen = _drain(arm.loader, device)
        batches, images = batches + made, images + seen
    seconds, cpu_seconds = perf_counter() - wall, _cpu_seconds() - cpu
    arm.batches.append(batches / seconds)
    arm.images.append(images / seconds)
    arm.per_cpu.append(images / cpu_seconds)


def _drain(loader: Iterable, device: str) -> tuple[int, int]:
    """Batches and pictures of one epoch, all of them on the device when this returns."""
    import torch

    sizes = []
    for images, labels in loader:
        images.to(device, non_blocking=True)
        labels.to(device, non_blocking=True)
        sizes.append(len(labels))
    if device == "cuda":
        torch.cuda.synchronize()
    return len(sizes), sum(sizes)


def _cpu_seconds() -> float:
    """Of this process and of its living workers."""
    import multiprocessing

    ticks = 0
    for worker in multiprocessing.active_children():
        fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return process_time() + ticks / os.sysconf("SC_CLK_TCK")


def our_loader(options: Namespace, resolution: int, pictures: Pictures) -> Iterable:
    """What a training job of ResoMap iterates over."""
    import torch

    from resomap.data.loading.loader import Normalise, TrainLoader, to_device
    from resomap.data.loading.placement import place_images
    from resomap.data.store.store import open_store

    store, device = open_store(pictures.manifest), torch.device(options.device)
    augmentation = Augmentation.model_validate(
        {"horizontal_flip": 0.5, **FLIP_ONLY, "random_resized_crop": CROP}, strict=False
    )
    images, labels = (
        place_images(store.images("train", resolution), device, True),
        to_device(store.labels("train"), device),
    )
    return TrainLoader(
        images,
        labels,
        Normalise(store.mean, store.std, device),
        options.batch_size,
        0,
        augmentation,
    )


def textbook_loader(options: Namespace, resolution: int, pictures: Pictures) -> Iterable:
    """What the textbook script iterates over."""
    from benchmarks.textbook.train import get_args, get_loader

    size = [
        "--size",
        resolution,
        "--batch-size",
        options.batch_size,
        "--workers",
        options.workers,
        "--device",
        options.device,
    ]
    return get_loader(
        get_args([str(word) for word in [pictures.folder, "--out", "unused", *size]]),
        "train",
        resolution,
    )
