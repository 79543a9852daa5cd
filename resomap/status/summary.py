"""The progress of a sweep, read from files: no job is started and no file is written."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Any, Literal, NamedTuple

from resomap.cluster.queue import HeldJob, read_held_jobs
from resomap.config.schema import Config
from resomap.status.jobs import TIMED_STAGES, JobKey, JobStatus, read_jobs
from resomap.status.snakemake_files import SnakemakeState, find_snakemake
from resomap.system.files import read_json
from resomap.workflow.layout import JobState
from resomap.workflow.resources import planned_cells
from resomap.workflow.snakemake_records import read_record

SHORTEST_SECONDS = 0.5
"""Shorter than any job. Of a cluster's jobs, Snakemake 9.27 records the end as the start too."""
UNFINISHED: tuple[JobState, ...] = (
    "stale",
    "running",
    "queued",
    "failed",
    "interrupted",
    "waiting",
)


class TimeKey(NamedTuple):
    """Stage, model and resolution: the jobs that take about the same time."""

    stage: str
    model: str
    resolution: int


@dataclass(frozen=True)
class RemainingWork:
    """The jobs that are not done: `seconds` one after the other, and how many are estimated from what.

    `planned` jobs are estimated from a plan, `averaged` ones from finished jobs; `unknown` ones are not.
    """

    seconds: float
    planned: int
    averaged: int
    unknown: int


@dataclass(frozen=True)
class SweepStatus:
    """The jobs of a sweep at the time `now`, and what is computed from them."""

    config: Config
    snakemake: SnakemakeState
    jobs: tuple[JobStatus, ...]
    now: float = field(default_factory=time.time)
    held: tuple[HeldJob, ...] = ()
    """Jobs in the queue of SLURM that can never start."""

    def select(self, stage: str, *states: JobState) -> list[JobStatus]:
        """Return the jobs of a stage, or of all if it is blank, in one of `states`."""
        return [job for job in self.jobs if stage in ("", job.stage) and job.state in states]

    @cached_property
    def metrics(self) -> Mapping[JobKey, dict[str, Any]]:
        """Return the metrics.json of every training that ended."""
        return {job.key: read_json(job.output) for job in self.select("train", "done")}

    @cached_property
    def seconds(self) -> Mapping[tuple[str, JobKey], float]:
        """Return the time of each timed job that is done, of trainings without start-up."""
        seconds = {}
        for stage in TIMED_STAGES:
            for job in self.select(stage, "done"):
                duration = _duration(job)
                if duration is not None:
                    seconds[job.stage, job.key] = duration
        return seconds

    @property
    def unit(self) -> Literal["GPU", "core"]:
        """Return what trainings ran on."""
        devices = {metrics["environment"]["device"] for metrics in self.metrics.values()}
        return "GPU" if devices - {"cpu"} else "core"

    @property
    def hours(self) -> dict[str, float]:
        """Return the GPU hours, or core hours, of the finished jobs of each stage."""
        hours = defaultdict[str, float](float)
        for (stage, key), seconds in self.seconds.items():
            processes = 1
            if stage == "train":  # on several GPUs, one process each
                processes = self.metrics[key]["environment"]["processes"]
            hours[stage] += processes * seconds / 3600
        return dict(hours)

    @cached_property
    def remaining(self) -> RemainingWork:
        """Return the estimate for jobs that are not done."""
        planned, averages = planned_seconds(self.config), self._averages()
        known = averages | planned
        seconds, counts = 0.0, Counter[str]()
        for job in self.select("", *UNFINISHED):
            key = TimeKey(job.stage, job.key.model, job.key.resolution)
            expected = known.get(key, 0.0)
            if job.state == "running":
                expected -= self.now - job.since
            # A job that takes longer than estimated must not shorten the rest. What an
            # interrupted training has saved is not known from outside, so not subtracted.
            seconds += max(0.0, expected)
            if key in planned:
                counts["planned"] += 1
            elif key in averages:
                counts["averaged"] += 1
            else:
                counts["unknown"] += 1
        return RemainingWork(seconds, counts["planned"], counts["averaged"], counts["unknown"])

    def _averages(self) -> dict[TimeKey, float]:
        durations = defaultdict[TimeKey, list[float]](list)
        for (stage, key), seconds in self.seconds.items():
            # A run that diverged is shorter than others.
            if self.metrics.get(key, {"status": "ok"})["status"] == "ok":
                durations[TimeKey(stage, key.model, key.resolution)].append(seconds)
        return {key: fmean(values) for key, values in durations.items()}


def read_status(config: Config) -> SweepStatus:
    """Return the status of the sweep in this directory."""
    snakemake = find_snakemake()
    held = tuple(read_held_jobs())
    return SweepStatus(config, snakemake, read_jobs(config, snakemake), held=held)


def _duration(job: JobStatus) -> float | None:
    """Return the seconds of a job; of a training as it measured them, over all its tries."""
    if job.stage == "train":
        return float(read_json(job.output.with_name("timing.json"))["train_seconds"])
    # Snakemake's record has the last try only; timing.json adds up all tries of a training.
    record = read_record(str(job.output))
    if not record:
        return None
    seconds = float(record["endtime"] - record["starttime"])
    return seconds if seconds > SHORTEST_SECONDS else None


def planned_seconds(config: Config) -> dict[TimeKey, float]:
    """Return the planned seconds of a job, if `resomap plan` planned these trainings."""
    return dict(_planned_seconds(config))


def _planned_seconds(config: Config) -> Iterator[tuple[TimeKey, float]]:
    for cell in planned_cells(config):
        seconds = {"train": cell["wall_seconds"], **cell["other_wall_seconds"]}
        for stage, value in seconds.items():
            # A profile is one job for all resolutions of a model.
            resolution = -1 if stage == "profile" else cell["resolution"]
            yield TimeKey(stage, cell["model"], resolution), value
