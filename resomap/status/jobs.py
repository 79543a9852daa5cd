"""Every job of a sweep, and how far it is: read from its output, its log, and what Snakemake leaves.

A job whose output is there is done; whether it is still what the configuration asks for, `snakemake -n` says.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import time
from typing import Any, Literal

from resomap.config.schema import Config
from resomap.status.snakemake_files import Driver, marked_since
from resomap.system.locks import read_lock_owner
from resomap.workflow.targets import swept_models

State = Literal["done", "running", "queued", "failed", "interrupted", "waiting"]
Over = Literal["sweep", "resolution", "model", "run"]
Place = tuple[str, str, int, int]
"""Family, model, resolution and seed of a job, as far as it has them; else blank or -1."""
NOWHERE: Place = ("", "", -1, -1)
RUN = "{family}/{model}/r{resolution}/seed{seed}"
TAIL_BYTES = 2**14


@dataclass(frozen=True)
class Stage:
    """The jobs of a rule: where each writes the output that tells that it is done, and its log; there is one for each of `over`.

    One for the whole sweep is known by what it makes for the first run.
    """

    name: str
    output: str
    log: str
    over: Over = "sweep"


STAGES = (
    Stage("prepare", "results/data/manifest.json", "logs/data/prepare.log"),
    Stage(
        "resize",
        "results/data/r{resolution}/train.npy",
        "logs/data/r{resolution}.log",
        "resolution",
    ),
    Stage("train", f"results/runs/{RUN}/metrics.json", f"logs/train/{RUN}.log", "run"),
    Stage("evaluate", f"results/runs/{RUN}/evaluation.csv", f"logs/evaluate/{RUN}.log", "run"),
    Stage(
        "explain",
        f"results/runs/{RUN}/explanations/localisation.csv",
        f"logs/explain/{RUN}.log",
        "run",
    ),
    Stage(
        "compare",
        "results/agreement/{family}/{model}.csv",
        "logs/compare/{family}/{model}.log",
        "model",
    ),
    Stage(
        "profile",
        "results/profiles/{family}/{model}.json",
        "logs/profile/{family}/{model}.log",
        "model",
    ),
    Stage(
        "summarise",
        "results/model_summaries/{model}/r{resolution}/summary.json",
        "logs/summarise.log",
    ),
    Stage("tables", "results/tables/choice.json", "logs/aggregate.log"),
    Stage("figures", "results/figures/accuracy_by_resolution.svg", "logs/plot.log"),
    Stage("report", "results/report/index.html", "logs/report.log"),
    Stage("track", "results/tracking.json", "logs/track.log"),
)
MEASURED = ("train", "evaluate", "explain", "profile")
"""Stages whose jobs take a GPU or a core each, for a time that a plan knows."""


@dataclass(frozen=True)
class Job:
    """One job of the sweep: its `state`, and when it was given out, if it has not ended (seconds since 1970); a training, when it began."""

    stage: str
    place: Place
    output: Path
    log: Path
    state: State
    since: float = 0.0


def read_jobs(config: Config, driver: Driver) -> tuple[Job, ...]:
    """Every job of the sweep in this directory, stage by stage, the costliest resolution first."""
    first = next(places(config, "run"))
    return tuple(
        _job(stage, place, first, driver)
        for stage in stages(config)
        for place in places(config, stage.over)
    )


def stages(config: Config) -> list[Stage]:
    """Those that the sweep has."""
    left_out = set() if config.explainability.enabled else {"explain", "compare"}
    return [
        stage
        for stage in STAGES
        if stage.name not in left_out | (set() if config.mlflow.enabled else {"track"})
    ]


def places(config: Config, over: Over) -> Iterator[Place]:
    """Where a stage has its jobs."""
    models = [(model.family, model.name) for model in swept_models(config)]
    resolutions = sorted(config.sweep.resolutions, reverse=True)
    match over:
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
    output, log = stage.output.format(**where), Path(stage.log.format(**where))
    trains = read_lock_owner(_state_folder(place) / "lock") if stage.name == "train" else None
    given_out = marked_since(output)
    state = _state(Path(output), log, given_out > 0, driver, trains is not None)
    return Job(
        stage.name,
        place,
        Path(output),
        log,
        state,
        given_out if trains is None else _began(trains),
    )


def _state(output: Path, log: Path, marked: bool, driver: Driver, trains: bool) -> State:
    if trains:  # whoever started it: what Snakemake leaves behind when it is killed trains on
        return "running"
    if marked:
        at_work = driver in ("here", "elsewhere")
        return "interrupted" if not at_work else "running" if log.exists() else "queued"
    if output.exists():
        return "done"
    if log.exists():
        return "interrupted" if last_line(log).startswith("stopped by ") else "failed"
    return "waiting"


def _began(lock: Mapping[str, Any]) -> float:
    return (
        datetime.fromisoformat(lock["since"]).timestamp() if lock else time()
    )  # a lock is signed a moment after it is taken


def _state_folder(place: Place) -> Path:
    family, model, resolution, seed = place
    return Path(
        "results/.state/train",
        RUN.format(family=family, model=model, resolution=resolution, seed=seed),
    )


def keeps_state(job: Job) -> bool:
    """Whether the job is a training that will go on from a step that was saved, or has only its results to publish."""
    folder = _state_folder(job.place)
    return job.stage == "train" and any(
        path
        for name in ("state*.safetensors", "done/fingerprint.txt")
        for path in folder.glob(name)
    )


def last_line(log: Path) -> str:
    """What a job said last; its error, where it named one."""
    lines = [line.strip() for line in re.split(r"[\r\n]", _tail(log)) if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return [*lines, *errors][-1] if lines else ""


def reached(log: Path) -> tuple[int, int] | None:
    """The last epoch that a training has finished, and how many there will be at most; None before the first."""
    told = re.findall(r"^epoch (\d+)/(\d+):", re.sub(r"\r *", "\n", _tail(log)), re.MULTILINE)
    return (int(told[-1][0]), int(told[-1][1])) if told else None


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - TAIL_BYTES))
            return stream.read().decode(errors="replace")
    except FileNotFoundError:  # Snakemake removes it before each try
        return ""
