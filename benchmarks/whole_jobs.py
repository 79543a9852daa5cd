"""Whole training jobs against a textbook script: pictures a second, wall and CPU seconds of the process, accuracy."""

import csv
import json
import shutil
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.pictures import Pictures, draw_jpegs, prepare_and_resize, take
from benchmarks.processes import Cost, job_command, measure, module, shipped_config
from benchmarks.tables import markdown, ratios, spread
from resomap.config.load import find_architecture
from resomap.config.schema import Config
from resomap.system.files import read_json
from resomap.workflow import jobs
from resomap.workflow.job_params import build_job

CROP = {"scale": [0.08, 1.0], "ratio": [0.75, 1.3333]}
FLIP_ONLY: dict[str, Any] = dict.fromkeys(
    ("random_resized_crop", "color_jitter", "blur", "erasing")
) | {"rotation_degrees": 0.0}
# Pictures of one epoch on a CPU, so that every job ends in about ten seconds: fewer where a picture costs more.
PICTURES = {64: 2000, 128: 400, 224: 128}
DEAR = {64: 600, 128: 160, 224: 64}
HEAD = (
    *("model", "px", "pictures", "precision", "arm", "images/s", "whole wall s", "whole CPU s"),
    *("wall / textbook", "CPU / textbook", "wall / textbook fp32", "val accuracy"),
)
NOTE = """One process a job, from its start to its end, as Snakemake or a shell would start it. {epochs} epoch(s), batch {batch}, AdamW, lr 0.005,
decay 0.01, cosine after one epoch of warm-up, label smoothing 0.05, random resized crop (0.08-1, 3/4-4/3) and flip, validation on a fifth as many
pictures each epoch, the same network. `resomap` is the rule's command with its one thread, reading a store that is prepared once a sweep (its
cost is below); `resomap, n threads` the same with `--set-threads train_run=n`. `textbook` is benchmarks/textbook/train.py with torch's own number
of threads and {workers} workers. `x 2` are two jobs side by side, as Snakemake runs them on two cores: wall and CPU
of both, images/s of one. images/s is the last epoch's training loop alone. Ratios are round by round against `textbook` of the same precision
(`x 2`: against two textbook jobs one after the other, because side by side their threads crowd each other out) and of fp32. val accuracy is of
the weights kept; after one epoch it says little, and the sweep below compares whole trainings. resomap crops the stored picture of px x px, the
textbook the file of 256 px, so that its crops show detail that a picture of px x px does not hold. On a GPU the textbook's fp32 is torch's default,
whose convolutions round to TF32; resomap's fp32 does not.
"""


@dataclass
class Arm:
    """One way to train, started `count` at a time; what each round took."""

    name: str
    precision: str
    command: Callable[[Path], list[str]]
    result: Callable[[Path], tuple[float, float]]
    count: int = 1
    costs: list[Cost] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)

    def run(self, folder: Path) -> None:
        """Run once in `folder` and keep what came out."""
        shutil.rmtree(folder, ignore_errors=True)
        places = [folder / str(number) for number in range(self.count)]
        self.costs.append(measure(*(self.command(place) for place in places)))
        rate, accuracy = self.result(places[0])
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


Arms = Callable[[Namespace, str, int, Pictures], Iterator[Arm]]


def run_jobs(options: Namespace, work: Path, arms: Arms | None = None, note: str = "") -> str:
    """Every cell of models and resolutions by `arms`, as text for the page."""
    config = shipped_config()
    draw_jpegs(
        config.data,
        work / "jpeg",
        max(
            pictures_of(options, *cell) for cell in product(options.models, options.resolutions)
        ),
    )
    rows: list[tuple[object, ...]] = []
    stores: dict[tuple[int, int], Pictures] = {}
    for resolution in options.resolutions:
        for model in options.models:
            key = (resolution, pictures_of(options, model, resolution))
            stores[key] = stores.get(key) or store_of(config, work, *key)
            cell = (arms or build_arms)(options, model, resolution, stores[key])
            rows += run_cell(
                list(cell),
                options.rounds,
                (model, resolution, stores[key].train),
                work / "runs",
            )
    note = note or NOTE.format(
        epochs=options.epochs, batch=options.batch_size, workers=options.workers
    )
    took = [(*key, f"{made.wall:.1f}", f"{made.cpu:.1f}") for key, made in stores.items()]
    prepared = markdown(("px", "pictures", "store wall s", "store CPU s"), took)
    return f"{note}\n{markdown(HEAD, rows)}\nPreparing the store, once a sweep (decoding and one resize, one process; n = 1):\n\n{prepared}"


def pictures_of(options: Namespace, model: str, resolution: int) -> int:
    """Training pictures of one epoch of a cell."""
    table = DEAR if model.startswith(("resnet", "vgg")) else PICTURES
    return int(options.pictures or table.get(resolution, 512))


def store_of(config: Config, work: Path, resolution: int, count: int) -> Pictures:
    """The pictures of a cell, as files and as a store."""
    folder = work / f"jpeg{count}"
    if not folder.exists():
        take(work / "jpeg", folder, count)
    return prepare_and_resize(
        folder, work / f"store{count}_{resolution}", config.data, resolution
    )


def run_cell(
    arms: list[Arm], rounds: int, cell: tuple[str, int, int], folder: Path
) -> Iterator[tuple[object, ...]]:
    """Rows of one cell (model, px, pictures), its arms interleaved."""
    for number in range(rounds):
        for arm in arms:
            arm.run(folder)
            print(
                f"{cell[0]} {cell[1]} px, round {number + 1}, {arm.precision} {arm.name}: {arm.costs[-1].wall:.1f} s",
                file=sys.stderr,
            )
    by_name = {(arm.precision, arm.name): arm for arm in arms}
    for arm in arms:
        base, plain = by_name[arm.precision, "textbook"], by_name["fp32", "textbook"]
        against = (
            ""
            if arm is base
            else spread(ratios(arm.walls, [arm.count * wall for wall in base.walls])),
            ""
            if arm is base
            else spread(ratios(arm.cpus, [arm.count * cpu for cpu in base.cpus])),
            "" if base is plain else spread(ratios(arm.walls, plain.walls)),
        )
        took = (spread(arm.rates, 0), spread(arm.walls), spread(arm.cpus), *against)
        yield *cell, arm.precision, arm.name, *took, f"{median(arm.accuracies):.3f}"


def build_arms(
    options: Namespace, model: str, resolution: int, pictures: Pictures
) -> Iterator[Arm]:
    """The arms of one cell: at 64 px also bf16, and on a CPU all its threads and two jobs at once."""
    ours = partial(our_command, options, model, resolution, pictures.manifest)
    theirs = partial(textbook_command, options, model, resolution, pictures.folder)
    yield Arm("resomap", "fp32", ours, our_result)
    yield Arm("textbook", "fp32", theirs, textbook_result)
    if options.brief or (options.device == "cpu" and resolution > 64):
        return
    yield Arm("resomap", "bf16", partial(ours, precision="bf16"), our_result)
    yield Arm("textbook", "bf16", partial(theirs, more=("--amp",)), textbook_result)
    if options.device == "cpu":
        yield Arm(
            f"resomap, {options.cores} threads",
            "fp32",
            partial(ours, threads=options.cores),
            our_result,
        )
        yield Arm("resomap x 2", "fp32", ours, our_result, count=2)


def our_command(
    options: Namespace,
    model: str,
    resolution: int,
    manifest: Path,
    out: Path,
    precision: str = "fp32",
    threads: int = 1,
) -> list[str]:
    """The command of the rule `train_run`."""
    training = {
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "precision": precision,
    }
    recipe = {"augmentation": {**FLIP_ONLY, "random_resized_crop": CROP}}
    config = shipped_config(
        {"system": {"device": options.device}, "training": {**training, **recipe}}
    )
    family = find_architecture(config.models, model).family
    job = build_job(
        config, jobs.Train, family=family, model=model, resolution=str(resolution), seed="0"
    )
    files = {
        "weights": out / "kept" / "best.safetensors",
        **{name: out / name for name in ("metrics", "history", "timing", "state")},
    }
    return job_command(
        job,
        data=manifest,
        **files,
        runtime=config.system.training.model_dump_json(),
        threads=threads,
    )


def our_result(out: Path) -> tuple[float, float]:
    """Images a second of the last epoch, and the validation accuracy of the weights kept."""
    return read_json(out / "timing")["epochs"][-1]["images_per_second"], read_json(
        out / "metrics"
    )["scores"]["val_accuracy"]


def textbook_command(
    options: Namespace,
    model: str,
    resolution: int,
    folder: Path,
    out: Path,
    more: tuple[Any, ...] = (),
) -> list[str]:
    """The command of a user."""
    size = (
        "--model",
        model,
        "--size",
        resolution,
        "--epochs",
        options.epochs,
        "--batch-size",
        options.batch_size,
    )
    machine = ("--workers", options.workers, "--device", options.device, "--out", out)
    return module("benchmarks.textbook.train", folder, *size, *machine, *more)


def textbook_result(out: Path) -> tuple[float, float]:
    """The same of the textbook script's history."""
    with (out / "history.csv").open(newline="") as stream:
        rows = [
            {name: float(value) for name, value in row.items()}
            for row in csv.DictReader(stream)
        ]
    return rows[-1]["images_per_second"], min(rows, key=lambda row: row["val_loss"])[
        "val_accuracy"
    ]


def reported(cost: Cost) -> dict[str, Any]:
    """What a program printed as JSON on its last line."""
    last: dict[str, Any] = json.loads(cost.output.strip().splitlines()[-1])
    return last
