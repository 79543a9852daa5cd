"""Every job of a sweep and its state, from its output, its log, and the files of Snakemake.

A job is done when its output exists and its receipt is that of the job as configured now; else the
output is stale, and Snakemake makes it again.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import product
from pathlib import Path
from time import time
from typing import NamedTuple

from resomap.config.schema import Config
from resomap.errors import DataError
from resomap.status.snakemake_files import SnakemakeState, submission_time
from resomap.system.locks import read_lock_owner
from resomap.system.logs import read_tail
from resomap.workflow import jobs
from resomap.workflow.artifact_paths import receipt_path
from resomap.workflow.artifacts import RUN_FOLDER, Scope, Stage
from resomap.workflow.job_params import STAGE_JOBS, build_job
from resomap.workflow.layout import STAGE_OF, JobState, find_state, state_folder
from resomap.workflow.receipts import check_content, digest_job, is_receipt_of, read_receipt
from resomap.workflow.sweep_results import JOB_TYPES, SweepResults
from resomap.workflow.targets import swept_models, swept_stages

CHANGED = "made under another configuration or code"
TIMED_STAGES = ("train", "evaluate", "explain", "profile")
"""Stages whose jobs take a GPU or a core each, for a time that a plan knows."""
HIDDEN_STAGES = ("identify", "sweep")
"""Stages that write one line: not worth a row."""


class JobKey(NamedTuple):
    """Family, model, resolution and seed of a job; blank or -1 where it has none."""

    family: str = ""
    model: str = ""
    resolution: int = -1
    seed: int = -1

    def __str__(self) -> str:
        words = []
        if self.model:
            words.append(self.model)
        if self.resolution >= 0:
            words.append(f"{self.resolution} px")
        if self.seed >= 0:
            words.append(f"seed {self.seed}")
        return " ".join(words)


@dataclass(frozen=True)
class JobStatus:
    """One job of the sweep: its files, its state, and when it began.

    `since` is when it was submitted, or when a training took its lock (seconds since 1970); 0 if it has
    ended. `problem` is why an output is stale.
    """

    stage: str
    key: JobKey
    output: Path
    log: Path
    state: JobState
    since: float = 0.0
    problem: str = ""

    def __str__(self) -> str:
        return f"{self.stage} {self.key}".strip()


def read_jobs(config: Config, snakemake: SnakemakeState) -> tuple[JobStatus, ...]:
    """Return every job of the sweep in this directory, by stage, the most expensive resolution first."""
    first = next(job_keys(config, "run"))
    sweep = build_job(config, jobs.Aggregate)
    assert isinstance(sweep, jobs.Aggregate)
    results = SweepResults(Path("results"), sweep)
    statuses = []
    for stage in swept_stages(config):
        if stage.name not in HIDDEN_STAGES:
            for key in job_keys(config, stage.scope):
                status = _read_job(stage, key, first, snakemake)
                statuses.append(_mark_stale(status, config, results))
    return tuple(statuses)


def job_keys(config: Config, scope: Scope) -> Iterator[JobKey]:
    """Yield the keys of the jobs of a stage."""
    resolutions = sorted(config.sweep.resolutions, reverse=True)
    match scope:
        case "sweep":
            yield JobKey()
        case "resolution":
            for resolution in resolutions:
                yield JobKey(resolution=resolution)
        case "model":
            for model in swept_models(config):
                yield JobKey(model.family, model.name)
        case _:
            runs = product(resolutions, swept_models(config), config.sweep.seeds)
            for resolution, model, seed in runs:
                yield JobKey(model.family, model.name, resolution, seed)


def _read_job(stage: Stage, key: JobKey, first: JobKey, snakemake: SnakemakeState) -> JobStatus:
    # A job of the whole sweep is recognised by the output that it makes for the first run.
    fields = first._asdict()
    for name, value in key._asdict().items():
        if value != JobKey._field_defaults[name]:
            fields[name] = value
    output, log = Path(stage.marker.format(**fields)), Path(stage.log.format(**fields))
    # Only trainings keep a lock: it separates one that runs from one that was killed.
    lock = _state_folder(key) / "lock" if stage.name == "train" else None
    since = submission_time(str(output))
    state = find_state(
        output,
        log,
        lock,
        submitted=since > 0,
        snakemake_runs=snakemake in ("here", "elsewhere"),
    )
    if lock is not None and state == "running":
        since = _lock_time(lock) or since
    return JobStatus(stage.name, key, output, log, state, since)


def _mark_stale(job: JobStatus, config: Config, results: SweepResults) -> JobStatus:
    if job.state != "done" or job.stage not in STAGE_JOBS:
        return job
    try:
        problem = "" if _is_current(job, config, results) else CHANGED
        if job.stage == "train":
            for name in ("metrics.json", "timing.json"):
                check_content(job.output.with_name(name))
    except DataError as error:
        problem = str(error)
    except FileNotFoundError as error:
        problem = f"{error.filename} is missing"
    return replace(job, state="stale", problem=problem) if problem else job


def _is_current(job: JobStatus, config: Config, results: SweepResults) -> bool:
    wildcards = {
        name: value
        for name, value in job.key._asdict().items()
        if value != JobKey._field_defaults[name]
    }
    if job.stage in JOB_TYPES:
        return results.state(job.stage, **wildcards) == "current"
    path = receipt_path(results.folder, STAGE_OF[job.stage], wildcards)
    receipt = read_receipt(path)
    expected = digest_job(build_job(config, STAGE_JOBS[job.stage]))
    return receipt is not None and is_receipt_of(path, receipt, expected)


def _lock_time(lock: Path) -> float | None:
    """Return when the lock was taken (seconds since 1970); None if it is free."""
    owner = read_lock_owner(lock)
    if owner is None:
        return None
    if not owner:  # the owner is written a moment after the lock is taken
        return time()
    return datetime.fromisoformat(owner["since"]).timestamp()


def _state_folder(key: JobKey) -> Path:
    return state_folder(Path(RUN_FOLDER.format(**key._asdict())))


def has_saved_state(job: JobStatus) -> bool:
    """Return whether the job is a training that will resume from a saved step, or only publish."""
    if job.stage != "train":
        return False
    folder = _state_folder(job.key)
    # A finished state is published by the next try, which then trains nothing.
    finished = (folder / "done/fingerprint.txt").exists()
    return finished or any(folder.glob("*/state*.pt"))


def read_progress(log: Path) -> tuple[int, int] | None:
    """Return the epochs that a training has finished, and their number; None before the first."""
    # A progress bar returns to the start of its line instead of ending it.
    lines = re.sub(r"\r *", "\n", read_tail(log))
    epochs = re.findall(r"^epoch (\d+)/(\d+):", lines, re.MULTILINE)
    if not epochs:
        return None
    finished, total = epochs[-1]
    return int(finished), int(total)
