"""The progress of a sweep, read from files: no job is started and no file is written."""

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Any, Literal

from resomap.cluster.queue import HeldJob, read_held_jobs
from resomap.config.schema import Config
from resomap.status.jobs import TIMED_STAGES, JobKey, JobStatus, read_jobs
from resomap.status.remaining import (
    RemainingWork,
    TimeKey,
    estimate_work,
    planned_seconds,
    recorded_seconds,
)
from resomap.status.snakemake_files import SnakemakeState, find_snakemake
from resomap.system.files import read_json
from resomap.workflow.layout import JobState

UNFINISHED: tuple[JobState, ...] = (
    "stale",
    "running",
    "queued",
    "failed",
    "interrupted",
    "waiting",
)


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
                duration = recorded_seconds(job.stage, job.output)
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
        unfinished = []
        for job in self.select("", *UNFINISHED):
            elapsed = self.now - job.since if job.state == "running" else 0.0
            unfinished.append((TimeKey(job.stage, job.key.model, job.key.resolution), elapsed))
        return estimate_work(unfinished, planned_seconds(self.config), self._averages())

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
