"""Every job of a sweep, and how far it is: read from its output, its log, and what Snakemake leaves.

A job whose output is there is done; whether it is still what the configuration asks for, `snakemake -n` says.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import time
from typing import Any

from resomap.config.schema import Config
from resomap.status.snakemake_files import Driver, marked_since
from resomap.system.locks import read_lock_owner
from resomap.workflow.layout import (
    STAGES,
    STATE_FOLDER,
    JobState,
    Scope,
    Stage,
    find_state,
    read_tail,
)
from resomap.workflow.targets import swept_models

Place = tuple[str, str, int, int]
"""Family, model, resolution and seed of a job, as far as it has them; else blank or -1."""
NOWHERE: Place = ("", "", -1, -1)
MEASURED = ("train", "evaluate", "explain", "profile")
"""Stages whose jobs take a GPU or a core each, for a time that a plan knows."""


@dataclass(frozen=True)
class Job:
    """One job of the sweep: its `state`, and when it was given out, if it has not ended (seconds since 1970); a training, when it began."""

    stage: str
    place: Place
    output: Path
    log: Path
    state: JobState
    since: float = 0.0


def read_jobs(config: Config, driver: Driver) -> tuple[Job, ...]:
    """Every job of the sweep in this directory, stage by stage, the costliest resolution first."""
    first = next(places(config, "run"))
    return tuple(
        _job(stage, place, first, driver)
        for stage in stages(config)
        for place in places(config, stage.scope)
    )


def stages(config: Config) -> list[Stage]:
    """Those that the sweep has."""
    left_out = (
        {"identify"} if config.explainability.enabled else {"identify", "explain", "compare"}
    )
    return [
        stage
        for stage in STAGES
        if stage.name not in left_out | (set() if config.mlflow.enabled else {"track"})
    ]


def places(config: Config, scope: Scope) -> Iterator[Place]:
    """Where a stage has its jobs."""
    models = [(model.family, model.name) for model in swept_models(config)]
    resolutions = sorted(config.sweep.resolutions, reverse=True)
    match scope:
        case "sweep":
            yield NOWHERE
        case "resolution":
            yield from (("", "", resolution, -1) for resolution in resolutions)
        case "model":
            yield from ((family, model, -1, -1) for family, model in models)
        case "run":
            yield from (
                (*model, resolution, seed)
                for resolution in resolutions
                for model in models
                for seed in config.sweep.seeds
            )


def _job(stage: Stage, place: Place, first: Place, driver: Driver) -> Job:
    fields = zip(("family", "model", "resolution", "seed"), place, NOWHERE, first, strict=True)
    where = {name: other if own == none else own for name, own, none, other in fields}
    output, log = Path(stage.marker.format(**where)), Path(stage.log.format(**where))
    lock = _state_folder(place) / "lock" if stage.name == "train" else None
    given_out = marked_since(str(output))
    state = find_state(
        output,
        log,
        lock,
        submitted=given_out > 0,
        snakemake_runs=driver in ("here", "elsewhere"),
    )
    trains = read_lock_owner(lock) if lock else None
    return Job(
        stage.name,
        place,
        output,
        log,
        state,
        given_out if trains is None else _began(trains),
    )


def _began(lock: Mapping[str, Any]) -> float:
    return (
        datetime.fromisoformat(lock["since"]).timestamp() if lock else time()
    )  # a lock is signed a moment after it is taken


def _state_folder(place: Place) -> Path:
    family, model, resolution, seed = place
    return Path(
        STATE_FOLDER.format(family=family, model=model, resolution=resolution, seed=seed)
    )


def keeps_state(job: Job) -> bool:
    """Whether the job is a training that will go on from a step that was saved, or has only its results to publish."""
    folder = _state_folder(job.place)
    return job.stage == "train" and any(
        path
        for name in ("state*.safetensors", "done/fingerprint.txt")
        for path in folder.glob(name)
    )


def reached(log: Path) -> tuple[int, int] | None:
    """The last epoch that a training has finished, and how many there will be at most; None before the first."""
    told = re.findall(
        r"^epoch (\d+)/(\d+):", re.sub(r"\r *", "\n", read_tail(log)), re.MULTILINE
    )
    return (int(told[-1][0]), int(told[-1][1])) if told else None
