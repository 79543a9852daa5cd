"""What a sweep will take, said before it runs: a training step of every cell is measured here, once, and the rest is arithmetic."""

import os
import platform
import re
import resource
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from resomap.check import bytes_of_store
from resomap.config.schema import Config
from resomap.data.sources.open import open_source
from resomap.data.store.splits import HELD_OUT_SPLITS
from resomap.errors import ConfigError, ResoMapError
from resomap.plan.forecast import Pictures, Record, Terms, forecast_cells, forecast_sweep
from resomap.system.files import read_json, write_json
from resomap.system.gpus import largest_memory_mib, list_gpus, visible_gpus
from resomap.workflow.code_digest import PACKAGE, code_digest
from resomap.workflow.jobs import MeasureSteps
from resomap.workflow.resources import PLAN, what_is_planned
from resomap.workflow.targets import gpus_wanted, swept_models, use_this_interpreter

ENTRY = PACKAGE / "entry" / "measure_steps.py"
KEPT = Path("results/.plan")
THREADS = 1  # of a training, as rules/train.smk has it
KILLED = {
    "status": "infeasible",
    "reason": "the process was killed, as Linux does where memory runs out",
}


@dataclass(frozen=True)
class Machine:
    """What trainings would run on here: a card, of which there are `gpus`, or without any the processor."""

    name: str
    gpus: int


def plan(
    config: Config,
    gpus: int | None,
    jobs: int | None,
    rate: float | None,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """What the sweep will take, as it is written to results/plan.json; `tell` hears what is being measured.

    ConfigError where an option is wrong for this machine; ResoMapError where a step cannot be measured.
    """
    machine = this_machine(config)
    terms = agree(machine, gpus, jobs, rate)
    pictures = count_pictures(config)
    cells, measured = [], {}
    for job in jobs_of(config, machine, pictures.classes):
        records = measure(job, tell)
        cells += forecast_cells(config, job.architecture, records, pictures)
        measured[job.architecture.name] = [
            record for record in records.values() if record["status"] == "ok"
        ]
    told = {
        "machine": machine.name,
        "of": what_is_planned(config),
        "pictures": asdict(pictures),
        "seeds": len(config.sweep.seeds),
        "cells": cells,
    }
    told["totals"] = forecast_sweep(config, measured, pictures, terms)
    write_json(PLAN, told)
    return told


def this_machine(config: Config) -> Machine:
    """Where trainings would run."""
    cards = visible_gpus(list_gpus()) if gpus_wanted(config) else []
    if cards:
        return Machine(f"{cards[0].name}, {cards[0].memory_mib} MiB", len(cards))
    told = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    name = told[1] if told else platform.machine()
    return Machine(
        f"{name}, {os.cpu_count()} cores, {round(largest_memory_mib('cpu') / 1024)} GiB", 0
    )


def agree(machine: Machine, gpus: int | None, jobs: int | None, rate: float | None) -> Terms:
    """The terms that the options ask for, else those of the machine."""
    for option, count in (("--gpus", gpus), ("--jobs", jobs)):
        if count is not None and count < 1:
            raise ConfigError(f"{option}: {count} is too few: give 1 or more")
    if machine.gpus and jobs is not None:
        raise ConfigError(
            f"--jobs: trainings would run on a GPU each ({machine.name}): give --gpus"
        )
    if not machine.gpus and gpus is not None:
        raise ConfigError(
            f"--gpus: trainings would run on the CPU here ({machine.name}): give --jobs, or plan where a GPU is"
        )
    if rate is not None and not 0 < rate < float("inf"):
        raise ConfigError(f"--rate: {rate} is no price of an hour: give a number above 0")
    return Terms(gpus or jobs or machine.gpus or os.cpu_count() or 1, machine.gpus > 0, rate)


def count_pictures(config: Config) -> Pictures:
    """How many there will be in each split (about, where they are still to be dealt), and the bytes that they will take."""
    source = open_source(config.data, download=config.data.download)
    listing = source.listing
    counts = Counter(entry.split or "train" for entry in listing.entries)
    dealt = {
        split: round(counts["train"] * getattr(config.data.splits, split))
        for split in HELD_OUT_SPLITS
        if not counts[split]
    }
    counts.update(dealt, train=-sum(dealt.values()))
    return Pictures(
        counts["train"],
        counts["val"],
        counts["test"],
        len(listing.classes),
        bytes_of_store(config, source),
    )


def jobs_of(config: Config, machine: Machine, classes: int) -> list[MeasureSteps]:
    """What is to be known of each model."""
    recipe = config.training.model_copy(
        update={"epochs": 1, "start": "random"}
    )  # a step costs the same under any of them
    return [
        MeasureSteps(
            code=code_digest(ENTRY),
            architecture=model,
            resolutions=tuple(sorted(config.sweep.resolutions)),
            classes=classes,
            training=recipe,
            runtime=config.system.training,
            device=config.system.device,
            machine=machine.name,
        )
        for model in swept_models(config)
    ]


def measure(job: MeasureSteps, tell: Callable[[str], None]) -> dict[int, Record]:
    """The record of each resolution: kept in results/.plan where it is of this very job, the others measured in one process."""
    missing = tuple(
        resolution for resolution in job.resolutions if not _is_kept(job, resolution)
    )
    if missing:
        tell(
            f"measuring a training step of {job.architecture.name} at {', '.join(map(str, missing))} px"
        )
        _run(job.model_copy(update={"resolutions": missing}))
    return {
        side: read_json(_kept(job, side)) if _is_kept(job, side) else KILLED
        for side in job.resolutions
    }


def _run(job: MeasureSteps) -> None:
    use_this_interpreter(str(PACKAGE.parent))
    cells = [_kept(job, resolution) for resolution in job.resolutions]
    asked = ["--job", job.to_json(), "--cells", *map(str, cells), "--threads", str(THREADS)]
    began = _spent()
    done = subprocess.run(
        [sys.executable, "-m", "resomap.entry.measure_steps", *asked],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        _add_end(cells, _spent() - began)
    elif done.returncode != -signal.SIGKILL:
        raise ResoMapError(
            f"{job.architecture.name}: {done.stderr.strip().splitlines()[-1].removeprefix('error: ')}"
        )


def _spent() -> np.ndarray:
    """Seconds on the wall, and CPU seconds of the processes that were started from here."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return np.array([monotonic(), usage.ru_utime + usage.ru_stime])


def _add_end(cells: Sequence[Path], spent: np.ndarray) -> None:
    """Put into the records what their process, which has `spent` so much in all, took to end: a training does too, and cannot tell."""
    records = [read_json(path) for path in cells]
    end = (spent - records[-1]["age_seconds"]).tolist()
    for path, record in zip(cells, records, strict=True):
        write_json(path, record | {"end_seconds": end})


def _kept(job: MeasureSteps, resolution: int) -> Path:
    return KEPT / job.architecture.family / job.architecture.name / f"r{resolution}.json"


def _is_kept(job: MeasureSteps, resolution: int) -> bool:
    path = _kept(job, resolution)
    return path.exists() and bool(
        read_json(path)["job"] == job.of_cell(resolution).model_dump(mode="json")
    )
