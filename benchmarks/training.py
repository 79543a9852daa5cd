"""Whole training jobs of ResoMap against a textbook script: images per second, time, accuracy.

usage: python -m benchmarks.training jobs [--rounds 5] [--models ...] [--resolutions ...]

Writes its section of benchmarks/training.md; half an hour on two idle cores. On a GPU give
--device cuda and enough work: --batch-size 256 --images 16384 --epochs 3 --workers 16.
"""

import csv
import os
import shutil
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

from PIL import Image

from benchmarks.harness import (
    ProcessCost,
    job_command,
    markdown,
    module_command,
    part_parser,
    ratios,
    run_parts,
    run_processes,
    shipped_config,
    spread,
)
from resomap.config.data import Data, Folder
from resomap.config.sweep_checks import find_architecture
from resomap.data.reef import render
from resomap.data.store.prepare import prepare_store
from resomap.data.store.resize import resize_store
from resomap.data.store.store import open_store
from resomap.system.files import read_json
from resomap.workflow import jobs
from resomap.workflow.job_params import build_job

TITLE = "# Training: ResoMap against how people train\n"
NATIVE_RESOLUTION = 256
JPEG_QUALITY = 95
CROP = {"scale": [0.08, 1.0], "ratio": [0.75, 1.3333]}
AUGMENTATION: dict[str, Any] = {
    "random_resized_crop": CROP,
    "rotation_degrees": 0.0,
    "color_jitter": None,
    "blur": None,
    "erasing": None,
}
# Images of one epoch on a CPU, so that every job ends in about ten seconds.
EPOCH_IMAGES = {64: 2000, 128: 400, 224: 128}
EPOCH_IMAGES_LARGE_MODELS = {64: 600, 128: 160, 224: 64}
HEAD = (
    *("model", "px", "images", "precision", "contender", "images/s", "whole wall s"),
    *("whole CPU s", "wall / textbook", "CPU / textbook", "wall / textbook fp32"),
    "val accuracy",
)
NOTE = """\
One process per job, from start to end, as Snakemake or a shell starts it. Epochs: {epochs},
batch {batch}, AdamW, learning rate 0.005, decay 0.01, cosine after one epoch of warm-up, label
smoothing 0.05, random resized crop (0.08-1, 3/4-4/3) and flip, validation on a fifth as many
images each epoch, the same model. `resomap` is the command of the rule with its one thread,
reading a store that is prepared once per sweep (cost below); `resomap, n threads` is the same
with `--set-threads train_run=n`. `textbook` is benchmarks/textbook/train.py with torch's
default number of threads and {workers} workers. `x 2` are two jobs side by side, as Snakemake
runs them on two cores: wall and CPU of both, images/s of one. images/s is the training loop of
the last epoch. Ratios are round by round, against `textbook` of the same precision (`x 2`:
against two textbook jobs one after the other, because side by side their threads compete) and
of fp32. val accuracy is that of the saved weights; after one epoch it means little. resomap
crops the stored image of px x px, the textbook the file of 256 px, whose crops contain more
detail. On a GPU the textbook's fp32 is torch's default, whose convolutions round to TF32;
resomap's fp32 does not.
"""
STORE_NOTE = (
    "Preparing the store, once per sweep (decoding and one resize, one process; n = 1):\n"
)


@dataclass(frozen=True)
class Dataset:
    """The same images as JPEG files and as a store, and the time of making the store."""

    folder: Path
    manifest: Path
    train: int
    wall: float
    cpu: float


def split_sizes(train: int) -> dict[str, int]:
    """Return the images per split: a fifth for validation, a few unused test images."""
    return {"train": train, "val": train // 5, "test": 8}


def draw_jpegs(data: Data, folder: Path, train: int) -> None:
    """Draw reef images at NATIVE_RESOLUTION as JPEG files, one folder per split and class."""
    for split, count in split_sizes(train).items():
        number = 0
        for chunk in render.render_chunks(data.reef, split, count, NATIVE_RESOLUTION):
            for image, label in zip(chunk.images, chunk.labels, strict=True):
                path = folder / split / render.CLASSES[label] / f"{number:06d}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path, quality=JPEG_QUALITY)
                number += 1


def link_first(source: Path, folder: Path, train: int) -> None:
    """Link the first images of `source` into `folder`, `train` of them for training."""
    for split, count in split_sizes(train).items():
        paths = sorted((source / split).glob("*/*.jpg"), key=lambda path: path.name)
        for path in paths[:count]:
            target = folder / split / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)


def folder_data(data: Data, folder: Path, side: int) -> Data:
    """Return the section `data` for the images in `folder`, stored at `side` px."""
    section = Folder(path=str(folder), masks=None, group=None)
    changes = {"dataset": "folder", "native_resolution": side, "folder": section, "reef": None}
    return data.model_copy(update=changes)


def prepare_and_resize(folder: Path, store: Path, data: Data, resolution: int) -> Dataset:
    """Prepare the images of `folder` in this process and resize them to `resolution`."""
    wall, cpu, manifest = perf_counter(), process_time(), store / "manifest.json"
    prepare_store(folder_data(data, folder, NATIVE_RESOLUTION), store)
    resize_store(manifest, resolution, data.filter)
    train = open_store(manifest).counts["train"]
    return Dataset(folder, manifest, train, perf_counter() - wall, process_time() - cpu)


@dataclass
class TrainingMethod:
    """One way to train, `count` processes at a time, and the results of every round.

    `command` and `result` take the output folder of one process; the result is its images per
    second and validation accuracy.
    """

    name: str
    precision: str
    command: Callable[[Path], list[str]]
    result: Callable[[Path], tuple[float, float]]
    count: int = 1
    costs: list[ProcessCost] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)

    def run(self, folder: Path) -> None:
        """Train once in `folder` and record the round."""
        shutil.rmtree(folder, ignore_errors=True)
        outputs = [folder / str(number) for number in range(self.count)]
        cost = run_processes(*map(self.command, outputs))
        rate, accuracy = self.result(outputs[0])
        self.costs.append(cost)
        self.rates.append(rate)
        self.accuracies.append(accuracy)

    @property
    def walls(self) -> list[float]:
        """Wall seconds of every round."""
        return [cost.wall for cost in self.costs]

    @property
    def cpus(self) -> list[float]:
        """CPU seconds of every round."""
        return [cost.cpu for cost in self.costs]


def run_jobs(options: Namespace, work: Path) -> str:
    """Train every cell of models and resolutions in all ways; return the section."""
    data = shipped_config().data
    cells = list(product(options.resolutions, options.models))
    counts = {cell: epoch_images(options, *cell) for cell in cells}
    draw_jpegs(data, work / "jpeg", max(counts.values()))
    rows: list[tuple[object, ...]] = []
    datasets: dict[tuple[int, int], Dataset] = {}
    for resolution, model in cells:
        key = resolution, counts[resolution, model]
        if key not in datasets:
            datasets[key] = _make_dataset(data, work, *key)
        methods = list(training_methods(options, model, resolution, datasets[key]))
        cell = (model, resolution, datasets[key].train)
        rows += _run_cell(methods, options.rounds, cell, work / "runs")
    note = NOTE.format(epochs=options.epochs, batch=options.batch_size, workers=options.workers)
    made = [(*key, f"{data.wall:.1f}", f"{data.cpu:.1f}") for key, data in datasets.items()]
    stores = markdown(("px", "images", "store wall s", "store CPU s"), made)
    return f"{note}\n{markdown(HEAD, rows)}\n{STORE_NOTE}\n{stores}"


def epoch_images(options: Namespace, resolution: int, model: str) -> int:
    """Return the training images of one epoch of a cell."""
    large = model.startswith(("resnet", "vgg"))
    table = EPOCH_IMAGES_LARGE_MODELS if large else EPOCH_IMAGES
    return int(options.images or table.get(resolution, 512))


def _make_dataset(data: Data, work: Path, resolution: int, count: int) -> Dataset:
    folder = work / f"jpeg{count}"
    if not folder.exists():
        link_first(work / "jpeg", folder, count)
    return prepare_and_resize(folder, work / f"store{count}_{resolution}", data, resolution)


def _run_cell(
    methods: list[TrainingMethod], rounds: int, cell: tuple[str, int, int], folder: Path
) -> Iterator[tuple[object, ...]]:
    """Yield the rows of one cell (model, px, images), its methods interleaved."""
    for number in range(rounds):
        for method in methods:
            method.run(folder)
            name = f"{cell[0]} {cell[1]} px, {method.precision} {method.name}"
            print(f"round {number + 1}, {name}: {method.costs[-1].wall:.1f} s", file=sys.stderr)
    by_name = {(method.precision, method.name): method for method in methods}
    for method in methods:
        base, fp32 = by_name[method.precision, "textbook"], by_name["fp32", "textbook"]
        relative = ["", "", ""]
        if method is not base:
            walls, cpus = (
                [method.count * value for value in values] for values in (base.walls, base.cpus)
            )
            relative[0] = spread(ratios(method.walls, walls))
            relative[1] = spread(ratios(method.cpus, cpus))
        if base is not fp32:
            relative[2] = spread(ratios(method.walls, fp32.walls))
        measured = spread(method.rates, 0), spread(method.walls), spread(method.cpus)
        accuracy = f"{median(method.accuracies):.3f}"
        yield *cell, method.precision, method.name, *measured, *relative, accuracy


def training_methods(
    options: Namespace, model: str, resolution: int, dataset: Dataset
) -> Iterator[TrainingMethod]:
    """Yield the methods of a cell; at 64 px also bf16, all threads, and two jobs at once."""
    ours = partial(our_command, options, model, resolution, dataset.manifest)
    theirs = partial(textbook_command, options, model, resolution, dataset.folder)
    yield TrainingMethod("resomap", "fp32", ours, our_result)
    yield TrainingMethod("textbook", "fp32", theirs, textbook_result)
    if options.brief or (options.device == "cpu" and resolution > 64):
        return
    yield TrainingMethod("resomap", "bf16", partial(ours, precision="bf16"), our_result)
    yield TrainingMethod("textbook", "bf16", partial(theirs, more=("--amp",)), textbook_result)
    if options.device == "cpu":
        name, threaded = (
            f"resomap, {options.cores} threads",
            partial(ours, threads=options.cores),
        )
        yield TrainingMethod(name, "fp32", threaded, our_result)
        yield TrainingMethod("resomap x 2", "fp32", ours, our_result, count=2)


def our_command(
    options: Namespace,
    model: str,
    resolution: int,
    manifest: Path,
    out: Path,
    precision: str = "fp32",
    threads: int = 1,
) -> list[str]:
    """Return the command of the rule `train_run`."""
    training = {
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "precision": precision,
        "augmentation": AUGMENTATION,
    }
    config = shipped_config({"system": {"device": options.device}, "training": training})
    wildcards = {"family": find_architecture(config.models, model).family, "model": model}
    job = build_job(config, jobs.Train, **wildcards, resolution=str(resolution), seed="0")
    return job_command(
        job,
        data=manifest,
        weights=out / "weights" / "best.safetensors",
        **{name: out / name for name in ("metrics", "history", "timing", "state")},
        runtime=config.system.training.model_dump_json(),
        threads=threads,
    )


def our_result(out: Path) -> tuple[float, float]:
    """Return images per second of the last epoch, and accuracy of the saved weights."""
    rate = read_json(out / "timing")["epochs"][-1]["images_per_second"]
    return rate, read_json(out / "metrics")["scores"]["val_accuracy"]


def textbook_command(
    options: Namespace,
    model: str,
    resolution: int,
    folder: Path,
    out: Path,
    more: tuple[Any, ...] = (),
) -> list[str]:
    """Return the command of the textbook script."""
    arguments = [folder, "--model", model, "--size", resolution, "--out", out]
    for name in ("epochs", "batch_size", "workers", "device"):
        arguments += [f"--{name.replace('_', '-')}", getattr(options, name)]
    return module_command("benchmarks.textbook.train", *arguments, *more)


def textbook_result(out: Path) -> tuple[float, float]:
    """Return the same two values from the history of the textbook script."""
    with (out / "history.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    best = min(rows, key=lambda row: float(row["val_loss"]))
    return float(rows[-1]["images_per_second"]), float(best["val_accuracy"])


def main() -> None:
    """Parse the command line and write the section."""
    parts = {"jobs": ("Whole training jobs", run_jobs)}
    parser = part_parser(__doc__, parts, "training.md")
    models = ["tiny_cnn", "resnet18", "mobilenet_v3_small"]
    parser.add_argument("--models", nargs="+", default=models)
    parser.add_argument("--resolutions", nargs="+", type=int, default=[64, 128, 224])
    parser.add_argument("--images", type=int, help="of one epoch; default: ten seconds' worth")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2, help="of the textbook's DataLoader")
    parser.add_argument("--brief", action="store_true", help="float32 only")
    options = parser.parse_args()
    device = options.device
    titled = {name: (f"{title} ({device})", run) for name, (title, run) in parts.items()}
    run_parts(options, TITLE, titled)


if __name__ == "__main__":
    main()
