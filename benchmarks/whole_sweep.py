"""The whole default sweep against a shell loop over textbook scripts, and the share of it that is not compute."""

import csv
import json
import os
import shutil
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.processes import ROOT, Cost, measure, module, shipped_config
from benchmarks.startup import measure_starts, start_name
from benchmarks.tables import markdown, ratios, spread
from benchmarks.whole_jobs import reported
from resomap.config.load import find_architecture
from resomap.config.schema import Config
from resomap.system.files import read_json
from resomap.workflow import jobs

NOTE = """`resomap`: `snakemake --cores {cores}` in an empty directory: draws and stores the pictures, {trainings} trainings ({cells}), scores each
at every resolution, profiles, explains, then tables, figures and the report. `textbook`: benchmarks/textbook/sweep.sh, one process after the
other, each with torch's own number of threads: the same cells, epochs, batch, optimizer and flips on the same pictures as PNG files, which are
made for it before its clock starts; the training script scores the best weights on the test pictures at every resolution, one profiling process
a model, one explaining process a run (Grad-CAM by pytorch_grad_cam, Integrated Gradients and saliency by captum); no tables, figures or report.
Not compute is Snakemake's own CPU and, for every job, the CPU of the same entry point on next to nothing (see the start-up section).
"""
HEAD = ("", "wall s", "CPU s", "wall / textbook", "CPU / textbook")


def run_sweep(options: Namespace, work: Path) -> str:
    """Both sweeps, their accuracies, and where the CPU of ours went, as text for the page."""
    config = swept(options)
    ours: list[Cost] = []
    theirs: list[Cost] = []
    own: list[float] = []
    for number in range(options.rounds):
        ours.append(our_sweep(options, work))
        own.append(reported(ours[-1])["own"])
        print(
            f"round {number + 1}, resomap: {ours[-1].wall:.0f} s, {ours[-1].cpu:.0f} CPU s",
            file=sys.stderr,
        )
        export_pictures(work / "ours" / "results" / "data", work / "png")
        theirs.append(textbook_sweep(config, work))
        print(
            f"round {number + 1}, textbook: {theirs[-1].wall:.0f} s, {theirs[-1].cpu:.0f} CPU s",
            file=sys.stderr,
        )
    starts = start_costs(options, work / "starts", config)
    both = markdown(HEAD, sweep_rows(ours, theirs))
    accuracy = markdown(
        ("model", "px", "test accuracy, resomap", "textbook"), accuracies(config, work)
    )
    share = shares(starts, own, [cost.cpu for cost in ours])
    return f"{note(config)}\n{both}\n{accuracy}\n{share}"


def swept(options: Namespace) -> Config:
    """The default configuration on this device; with changes, for a trial of this benchmark."""
    changes: dict[str, Any] = json.loads(options.changes)
    return shipped_config({"system": {"device": options.device}}, changes)


def note(config: Config) -> str:
    """What was compared."""
    sweep = config.sweep
    cells = f"{', '.join(sweep.models)} at {', '.join(map(str, sweep.resolutions))} px, {len(sweep.seeds)} seeds"
    trainings = len(sweep.models) * len(sweep.resolutions) * len(sweep.seeds)
    return NOTE.format(cores=len(os.sched_getaffinity(0)), trainings=trainings, cells=cells)


def our_sweep(options: Namespace, work: Path) -> Cost:
    """The sweep through Snakemake, from nothing."""
    directory, changes = work / "ours", work / "changes.json"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    changes.write_text(
        json.dumps({"system": {"device": options.device}} | json.loads(options.changes))
    )
    where = (
        "--snakefile",
        ROOT / "Snakefile",
        "--directory",
        directory,
        "--cores",
        len(os.sched_getaffinity(0)),
    )
    return measure(module("benchmarks.own_cpu", *where, "--configfile", changes))


def textbook_sweep(config: Config, work: Path) -> Cost:
    """The same cells by the shell loop."""
    out, sweep = work / "theirs", config.sweep
    shutil.rmtree(out, ignore_errors=True)
    words = {
        "MODELS": sweep.models,
        "SIZES": sweep.resolutions,
        "SEEDS": sweep.seeds,
        "EPOCHS": [config.training.epochs],
    }
    settings = [f"{name}={' '.join(map(str, values))}" for name, values in words.items()]
    script = [
        "bash",
        str(ROOT / "benchmarks" / "textbook" / "sweep.sh"),
        str(work / "png"),
        str(out),
        config.system.device,
    ]
    return measure(["env", f"PYTHON={sys.executable}", *settings, *script])


def export_pictures(data: Path, folder: Path) -> None:
    """The pictures of a store as PNG files in a folder a class, once."""
    if folder.exists():
        return
    classes = read_json(data / "manifest.json")["classes"]
    native = np.load(data / "native.npy", mmap_mode="r")
    for split in ("train", "val", "test"):
        rows, labels = (
            np.load(data / f"rows_{split}.npy"),
            np.load(data / f"labels_{split}.npy"),
        )
        for number, (row, label) in enumerate(zip(rows, labels, strict=True)):
            path = folder / split / classes[label] / f"{number:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(native[row]).save(path)


def sweep_rows(ours: list[Cost], theirs: list[Cost]) -> Iterator[tuple[str, ...]]:
    """One row a way to sweep."""
    walls, cpus = (
        [[getattr(cost, what) for cost in costs] for costs in (ours, theirs)]
        for what in ("wall", "cpu")
    )
    yield (
        "resomap",
        spread(walls[0], 0),
        spread(cpus[0], 0),
        spread(ratios(*walls)),
        spread(ratios(*cpus)),
    )
    yield "textbook", spread(walls[1], 0), spread(cpus[1], 0), "", ""


def accuracies(config: Config, work: Path) -> Iterator[tuple[str, ...]]:
    """Test accuracy of the last round at the resolution of the training, mean over the seeds."""
    for name in config.sweep.models:
        family = find_architecture(config.models, name).family
        for side in config.sweep.resolutions:
            ours = [
                work
                / "ours"
                / "results"
                / "runs"
                / family
                / name
                / f"r{side}"
                / f"seed{s}"
                / "evaluation.csv"
                for s in config.sweep.seeds
            ]
            theirs = [
                work / "theirs" / name / str(side) / str(s) / "test.csv"
                for s in config.sweep.seeds
            ]
            means = (
                fmean(_accuracy(*where, side) for where in found)
                for found in (
                    [(path, "eval_resolution", "accuracy") for path in ours],
                    [(path, "size", "test_accuracy") for path in theirs],
                )
            )
            yield name, str(side), *(f"{mean:.3f}" for mean in means)


def _accuracy(path: Path, key: str, column: str, side: int) -> float:
    with path.open(newline="") as stream:
        return next(
            float(row[column]) for row in csv.DictReader(stream) if int(row[key]) == side
        )


def start_costs(options: Namespace, work: Path, config: Config) -> list[tuple[str, int, float]]:
    """Name, number of jobs in the sweep, and CPU seconds of one start, of every kind of job."""
    work.mkdir()
    costs = measure_starts(Namespace(**{**vars(options), "rounds": 3}), work)
    models, sides = len(config.sweep.models), len(config.sweep.resolutions)
    runs = models * sides * len(config.sweep.seeds)
    counts = {
        jobs.PrepareData: 1,
        jobs.ResizeData: sides,
        jobs.Train: runs,
        jobs.Evaluate: runs,
        jobs.Explain: runs,
    }
    counts |= {jobs.Profile: models, jobs.Aggregate: 1, jobs.Plot: 1, jobs.BuildReport: 1}
    return [
        (start_name(kind), count, median(cost.cpu for cost in costs[start_name(kind)]))
        for kind, count in counts.items()
    ]


def shares(starts: list[tuple[str, int, float]], own: list[float], cpus: list[float]) -> str:
    """Where the CPU that is not compute went, and its share of all."""
    started = sum(count * each for _, count, each in starts)
    rows = [(name, count, f"{each:.2f}", f"{count * each:.1f}") for name, count, each in starts]
    table = markdown(
        ("start-up of", "jobs", "CPU s each", "CPU s"),
        [*rows, ("Snakemake itself", 1, spread(own), spread(own, 1))],
    )
    share = [(mine + started) / cpu for mine, cpu in zip(own, cpus, strict=True)]
    return f"Not compute: {spread(share)} of the CPU of the sweep.\n\n{table}"
