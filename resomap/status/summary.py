"""Where a sweep stands, read from the files that its jobs and Snakemake leave: nothing is started, and nothing is kept."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Any, Literal

from resomap.config.schema import Config
from resomap.status.jobs import MEASURED, Job, Place, read_jobs
from resomap.status.snakemake_files import Driver, find_driver, read_record
from resomap.system.files import read_json
from resomap.workflow.layout import JobState
from resomap.workflow.resources import planned_cells

SHORTEST = 0.5
"""Seconds that Python alone takes: of a job of a cluster, Snakemake 9.27 records its end as its start, too, give or take two clocks."""


@dataclass(frozen=True)
class Left:
    """Jobs that are not done: `seconds` of all of them, one after the other, and of how many they are `planned`, `averaged` or `unknown`."""

    seconds: float
    planned: int
    averaged: int
    unknown: int


@dataclass(frozen=True)
class Status:
    """A sweep as it stands."""

    config: Config
    driver: Driver
    jobs: tuple[Job, ...]
    now: float = field(default_factory=time.time)

    def of(self, stage: str, *states: JobState) -> list[Job]:
        """The jobs of a stage, or of all where it is blank, in one of `states`."""
        return [job for job in self.jobs if stage in ("", job.stage) and job.state in states]

    @cached_property
    def endings(self) -> Mapping[Place, dict[str, Any]]:
        """The metrics of every training that ended: status, reason, environment and more."""
        return {job.place: read_json(job.output) for job in self.of("train", "done")}

    @cached_property
    def seconds(self) -> Mapping[tuple[str, Place], float]:
        """What each measured job that is done took, where that is known; a training without its start-up."""
        done = [job for stage in MEASURED for job in self.of(stage, "done")]
        return {
            (job.stage, job.place): taken for job in done if (taken := _taken(job)) is not None
        }

    @property
    def unit(self) -> Literal["GPU", "core"]:
        """What trainings ran on."""
        return (
            "GPU"
            if any(told["environment"]["device"] != "cpu" for told in self.endings.values())
            else "core"
        )

    @property
    def hours(self) -> dict[str, float]:
        """GPU hours, or core hours, that the jobs of each stage took."""
        spent = defaultdict[str, float](float)
        for (stage, place), seconds in self.seconds.items():
            processes = (
                self.endings[place]["environment"]["processes"] if stage == "train" else 1
            )
            spent[stage] += processes * seconds / 3600
        return dict(spent)

    @cached_property
    def left(self) -> Left:
        """The work of jobs that are not done, as far as a plan or finished jobs of the same model and resolution tell.

        What an interrupted training has saved is not taken off.
        """
        planned, means = planned_seconds(self.config), self._means()
        known = means | planned
        seconds, counts = 0.0, Counter[str]()
        for job in self.of("", "running", "queued", "failed", "interrupted", "waiting"):
            key = (job.stage, *job.place[1:3])
            basis = "planned" if key in planned else "averaged" if key in means else "unknown"
            elapsed = self.now - job.since if job.state == "running" else 0.0
            seconds += max(0.0, known.get(key, 0.0) - elapsed)
            counts[basis] += 1
        return Left(seconds, counts["planned"], counts["averaged"], counts["unknown"])

    def _means(self) -> dict[tuple[str, str, int], float]:
        """Of what ended well, by stage, model and resolution: a run that diverged is short."""
        taken = defaultdict[tuple[str, str, int], list[float]](list)
        for (stage, place), seconds in self.seconds.items():
            if self.endings.get(place, {"status": "ok"})["status"] == "ok":
                taken[stage, place[1], place[2]].append(seconds)
        return {key: fmean(values) for key, values in taken.items()}


def read_status(config: Config) -> Status:
    """The sweep in this directory."""
    driver = find_driver()
    return Status(config, driver, read_jobs(config, driver))


def _taken(job: Job) -> float | None:
    """Seconds; of a training as it measured them, over all its tries."""
    if job.stage == "train":
        return float(read_json(job.output.with_name("timing.json"))["train_seconds"])
    record = read_record(str(job.output))
    seconds = record["endtime"] - record["starttime"] if record else 0.0
    return seconds if seconds > SHORTEST else None


def planned_seconds(config: Config) -> dict[tuple[str, str, int], float]:
    """Of one job by stage, model and resolution, where `resomap plan` planned these trainings; of a profile for the whole model."""
    return dict(_planned(planned_cells(config)))


def _planned(
    cells: Iterable[Mapping[str, Any]],
) -> Iterator[tuple[tuple[str, str, int], float]]:
    for cell in cells:
        for stage, seconds in {"train": cell["wall_seconds"], **cell["beside"]}.items():
            yield (
                (stage, cell["model"], -1 if stage == "profile" else cell["resolution"]),
                seconds,
            )
