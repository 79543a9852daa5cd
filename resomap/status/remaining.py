"""The time that is left of a sweep, from a plan and from jobs that have finished."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from resomap.config.schema import Config
from resomap.system.files import read_json
from resomap.workflow.resources import planned_cells
from resomap.workflow.snakemake_records import read_record

SHORTEST_SECONDS = 0.5
"""Shorter than any job. Of a cluster's jobs, Snakemake 9.27 records the end as the start too."""


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


def estimate_work(
    unfinished: Iterable[tuple[TimeKey, float]],
    planned: Mapping[TimeKey, float],
    averages: Mapping[TimeKey, float],
) -> RemainingWork:
    """Return the estimate for `unfinished` jobs, given with the seconds that each has run."""
    known = {**averages, **planned}
    seconds, counts = 0.0, Counter[str]()
    for key, elapsed in unfinished:
        # A job that takes longer than estimated must not shorten the rest. What an
        # interrupted training has saved is not known from outside, so not subtracted.
        seconds += max(0.0, known.get(key, 0.0) - elapsed)
        if key in planned:
            counts["planned"] += 1
        elif key in averages:
            counts["averaged"] += 1
        else:
            counts["unknown"] += 1
    return RemainingWork(seconds, counts["planned"], counts["averaged"], counts["unknown"])


def extrapolate(
    keys: Iterable[TimeKey], known: Mapping[TimeKey, float]
) -> dict[TimeKey, float]:
    """Return rough seconds for those of `keys` that are not `known`, from jobs of their stage.

    Time is taken as proportional to the side in pixels: between the start of a process, which
    does not depend on it, and the work on an image, which grows with its square.
    """
    rough = {}
    for key in set(keys) - set(known):
        similar = []
        for other, seconds in known.items():
            if other.stage == key.stage:
                similar.append(seconds * key.resolution / other.resolution)
        if similar:
            rough[key] = fmean(similar)
    return rough


def recorded_seconds(stage: str, output: Path) -> float | None:
    """Return the seconds of a finished job; of a training as it measured them, over all its tries."""
    if stage == "train":
        return float(read_json(output.with_name("timing.json"))["train_seconds"])
    # Snakemake's record has the last try only; timing.json adds up all tries of a training.
    record = read_record(str(output))
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
