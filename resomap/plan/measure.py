"""Measurement of a training step of every cell on this machine, once, and the plan made from it."""

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

from resomap.check import STORE_FOLDER, count_store_bytes
from resomap.config.schema import Config
from resomap.config.start import Start
from resomap.data.sources.open import open_source
from resomap.data.store.native_resolution import choose_native_resolution
from resomap.data.store.splits import HELD_OUT_SPLITS
from resomap.errors import ConfigError, DataError, ResoMapError
from resomap.plan.forecast import (
    Capacity,
    CellRecord,
    ImageCounts,
    forecast_cells,
    forecast_sweep,
)
from resomap.system.files import read_json, write_json
from resomap.system.gpu_listing import list_gpus, visible_gpus
from resomap.system.gpus import largest_memory_mib
from resomap.system.workflow_files import PACKAGE
from resomap.text import format_count
from resomap.workflow.code_digest import combine_code, digest_code
from resomap.workflow.jobs import MeasureSteps
from resomap.workflow.lifecycle import use_this_interpreter
from resomap.workflow.resources import PLAN, gpus_per_job, plan_settings
from resomap.workflow.targets import swept_models

ENTRY_POINT = PACKAGE / "entry" / "measure_steps.py"
RECORDS = Path("results/.plan")
# Two trainings of one thread beat one of two threads by 1.6 to 1.8 times.
THREADS = 1
"""Threads of a training, as in rules/train.smk."""
KILLED = {
    "status": "infeasible",
    "reason": "the process was killed, as Linux does when memory runs out",
}


@dataclass(frozen=True)
class Machine:
    """Where trainings would run: on one of `gpus` GPUs, or on the processor if there are none."""

    name: str
    gpus: int


def plan_sweep(
    config: Config,
    gpus: int | None,
    jobs: int | None,
    rate: float | None,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Return the plan of the sweep, which is also written to results/plan.json.

    ConfigError where an option does not suit this machine; ResoMapError where a step cannot be measured.
    """
    machine = detect_machine(config)
    capacity = resolve_capacity(machine, gpus, jobs, rate)
    images = count_images(config)
    cells, measured = [], {}
    for job in measurement_jobs(config, machine, images):
        records = measure_cells_of_model(job, log)
        cells += forecast_cells(config, job.architecture, records, images)
        measured[job.architecture.name] = [
            record for record in records.values() if record["status"] == "ok"
        ]
    plan = {
        "machine": machine.name,
        "settings": plan_settings(config),
        "images": asdict(images),
        "seeds": len(config.sweep.seeds),
        "cells": cells,
        "totals": forecast_sweep(config, measured, images, capacity),
    }
    write_json(PLAN, plan)
    return plan


def detect_machine(config: Config) -> Machine:
    """Return the machine that trainings would run on."""
    cards = visible_gpus(list_gpus()) if gpus_per_job(config) else []
    if cards:
        return Machine(f"{cards[0].name}, {cards[0].memory_mib} MiB", len(cards))
    cpu_info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    match = re.search(r"model name\s*: (.+)", cpu_info)
    name = match[1] if match else platform.machine()
    cores = format_count(os.cpu_count() or 1, "core")
    memory_gib = round(largest_memory_mib("cpu") / 1024)
    return Machine(f"{name}, {cores}, {memory_gib} GiB", 0)


def resolve_capacity(
    machine: Machine, gpus: int | None, jobs: int | None, rate: float | None
) -> Capacity:
    """Return the capacity that the options describe, else that of the machine."""
    for option, count in (("--gpus", gpus), ("--jobs", jobs)):
        if count is not None and count < 1:
            raise ConfigError(f"{option}: {count} is too few: give 1 or more")
    if machine.gpus and jobs is not None:
        raise ConfigError(
            f"--jobs: each training would run on a GPU ({machine.name}): give --gpus"
        )
    if not machine.gpus and gpus is not None:
        raise ConfigError(
            f"--gpus: trainings would run on the CPU ({machine.name}): give --jobs, or plan on a "
            "machine with a GPU"
        )
    if rate is not None and not 0 < rate < float("inf"):
        raise ConfigError(f"--rate: {rate} is not a price: give a number above 0")
    workers = gpus or jobs or machine.gpus or os.cpu_count() or 1
    return Capacity(workers, machine.gpus > 0, rate)


def count_images(config: Config) -> ImageCounts:
    """Return the number of images in each split, and the bytes that they will take."""
    source = open_source(config.data, download=config.data.download)
    listing = source.listing
    counts = Counter(entry.split or "train" for entry in listing.entries)
    # Splits are assigned when the data is prepared, which a plan does not wait for.
    candidates = counts["train"]
    for split in HELD_OUT_SPLITS:
        if not counts[split]:
            counts[split] = round(candidates * getattr(config.data.splits, split))
            counts["train"] -= counts[split]
    return ImageCounts(
        counts["train"],
        counts["val"],
        counts["test"],
        len(listing.classes),
        count_store_bytes(config, source),
        choose_native_resolution(config.data, source, STORE_FOLDER),
    )


def measurement_jobs(
    config: Config, machine: Machine, images: ImageCounts
) -> list[MeasureSteps]:
    """Return the measurement of each model."""
    # The number of epochs and the initial weights do not change the cost of a step, so that a plan with
    # others needs no new measurement.
    training = config.training.model_copy(update={"epochs": 1, "start": Start()})
    return [
        MeasureSteps(
            code=combine_code(digest_code(ENTRY_POINT), [model]),
            architecture=model,
            resolutions=tuple(sorted(config.sweep.resolutions)),
            native_side=images.native_side if training.augmentation.crops_native else None,
            classes=images.classes,
            training=training,
            runtime=config.system.training,
            device=config.system.device,
            machine=machine.name,
        )
        for model in swept_models(config)
    ]


def measure_cells_of_model(
    job: MeasureSteps, log: Callable[[str], None]
) -> dict[int, CellRecord]:
    """Return the record of each resolution, measured unless results/.plan has it for this job."""
    missing = tuple(side for side in job.resolutions if _kept_record(job, side) is None)
    if missing:
        sides = ", ".join(map(str, missing))
        # In one process, so that its start-up is paid once for all missing resolutions.
        log(f"measuring a training step of {job.architecture.name} at {sides} px")
        _measure(job.model_copy(update={"resolutions": missing}))
    return {side: _kept_record(job, side) or KILLED for side in job.resolutions}


def _measure(job: MeasureSteps) -> None:
    use_this_interpreter()
    paths = [_record_path(job, resolution) for resolution in job.resolutions]
    options = ["--job", job.to_json(), "--cells", *map(str, paths), "--threads", str(THREADS)]
    start = _children_seconds()
    # A process of its own: where memory runs out, Linux kills it and not the plan.
    process = subprocess.run(
        [sys.executable, "-m", "resomap.entry.measure_steps", *options],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if process.returncode == 0:
        _add_end_seconds(paths, _children_seconds() - start)
    # Linux kills the process with SIGKILL when memory runs out: then its last records are missing.
    elif process.returncode != -signal.SIGKILL:
        error = process.stderr.strip().splitlines()[-1].removeprefix("error: ")
        raise ResoMapError(f"{job.architecture.name}: {error}")


def _children_seconds() -> np.ndarray:
    """Return wall seconds, and CPU seconds of the processes that were started from here."""
    # Counts only children that were waited for, as after subprocess.run.
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return np.array([monotonic(), usage.ru_utime + usage.ru_stime])


def _add_end_seconds(paths: Sequence[Path], total: np.ndarray) -> None:
    """Add to the records the time that their process took to exit, which it cannot measure itself.

    `total` is the time of the whole process.
    """
    records = [read_json(path) for path in paths]
    end = (total - records[-1]["age_seconds"]).tolist()
    for path, record in zip(paths, records, strict=True):
        write_json(path, record | {"end_seconds": end})


def _record_path(job: MeasureSteps, resolution: int) -> Path:
    return RECORDS / job.architecture.family / job.architecture.name / f"r{resolution}.json"


def _kept_record(job: MeasureSteps, resolution: int) -> CellRecord | None:
    """Return the record of this very job; None where there is none, or one of other settings."""
    path = _record_path(job, resolution)
    if not path.exists():
        return None
    try:
        record: CellRecord = read_json(path)
    except DataError:  # it is measured again
        return None
    same = record["job"] == job.for_resolution(resolution).model_dump(mode="json")
    return record if same else None
