"""One run of a sweep as text: recipe, scores, environment, time, files, and how to make it again."""

import csv
import shlex
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from resomap.config.load import build_config
from resomap.errors import DataError, ResoMapError
from resomap.status.find_run import read_run_key
from resomap.status.jobs import CHANGED
from resomap.status.remaining import recorded_seconds
from resomap.system.files import read_json
from resomap.system.logs import last_line
from resomap.text import align_columns, format_bytes, format_count, format_duration
from resomap.workflow import jobs
from resomap.workflow.artifacts import RUN_FOLDER
from resomap.workflow.job_params import build_job
from resomap.workflow.layout import STAGE_OF, artifact
from resomap.workflow.lifecycle import RUN_CONFIG, read_run_config
from resomap.workflow.snakemake_records import SNAKEMAKE_FOLDER, read_record
from resomap.workflow.sweep_results import SweepResults

RUN_STAGES = ("train", "evaluate", "explain")
SCORES = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss")
# Of the recipe, what the first lines name; all else is listed where it differs from what is shipped.
NAMED = ("epochs", "batch_size", "precision", "start")
NOT_VERSIONS = ("device", "machine", "execution", "precision", "processes")


def describe_run(directory: Path, name: str) -> Iterator[str]:
    """Yield what is known of the run `name` of the sweep in `directory`."""
    metrics = _read_metrics(directory, name)
    key = read_run_key(name)
    yield f"{key}: {_outcome(directory, name, metrics)}"
    if metrics:
        yield from _differs_from_sweep(directory, name)
        yield from _section("recipe", _recipe(metrics["job"]))
        yield from _section("scores", _scores(directory, name, metrics))
        yield from _section("environment", _environment(metrics["environment"]))
    yield from _section("time", _times(directory, name))
    yield from _section("files", _files(directory, name))
    yield from _section("run it again", _commands(directory, name))


def training_command(directory: Path, name: str) -> str:
    """Return the shell command that trained the run; DataError where Snakemake kept none."""
    record = read_record(_marker("train", name), directory / SNAKEMAKE_FOLDER)
    if not record.get("shellcmd"):
        raise DataError(
            f"{directory / SNAKEMAKE_FOLDER}: it has no record of the training {name}"
        )
    return str(record["shellcmd"])


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    listed = list(lines)
    if listed:
        yield from ("", title, *(f"  {line}" for line in listed))


def _read_metrics(directory: Path, name: str) -> dict[str, Any]:
    path = directory / _marker("train", name)
    return dict(read_json(path)) if path.exists() else {}


def _marker(stage: str, name: str) -> str:
    return STAGE_OF[stage].marker.format(**read_run_key(name)._asdict())


def _log(stage: str, name: str) -> Path:
    return Path(STAGE_OF[stage].log.format(**read_run_key(name)._asdict()))


def _outcome(directory: Path, name: str, metrics: Mapping[str, Any]) -> str:
    if not metrics:
        reason = last_line(directory / _log("train", name))
        return f"no result; its log ends with: {reason or 'nothing, it is empty'}"
    if metrics["status"] != "ok":
        return f"{metrics['status']} ({metrics['reason']})"
    scores = metrics["scores"]
    steps = format_count(metrics["optimizer_steps"], "step")
    return f"trained, {steps} of the optimizer; the weights are those of epoch {scores['epoch'] + 1}"


def _differs_from_sweep(directory: Path, name: str) -> Iterator[str]:
    """Yield a line where the last sweep in `directory` has this run otherwise, or not at all."""
    key = read_run_key(name)
    try:
        config = read_run_config(directory)
        sweep = config.sweep
        if (key.model, key.resolution, key.seed) not in product(
            sweep.models, sweep.resolutions, sweep.seeds
        ):
            yield f"not a part of the sweep of {directory / RUN_CONFIG}"
            return
        job = build_job(config, jobs.Aggregate)
        assert isinstance(job, jobs.Aggregate)
        if SweepResults(directory / "results", job).state("train", **key._asdict()) == "stale":
            yield f"stale: {CHANGED} than {directory / RUN_CONFIG}; a sweep trains it again"
    except ResoMapError:  # without a configuration, or without its images, there is no answer
        return


def _recipe(job: Mapping[str, Any]) -> Iterator[str]:
    training, optimizer = job["training"], job["training"]["optimizer"]
    architecture, data = job["architecture"], job["data"]
    yield f"network    {architecture['name']} ({architecture['builder']}), {job['resolution']} px"
    yield f"images     {_describe_data(data)}"
    yield (
        f"training   {format_count(training['epochs'], 'epoch')}, batches of "
        f"{training['batch_size']}, {training['precision']}, start {training['start']}"
    )
    yield (
        f"optimizer  {optimizer['type']}, learning rate {optimizer['learning_rate']:g}, "
        f"weight decay {optimizer['weight_decay']:g}, {training['schedule']['type']} schedule"
    )
    shown = {f"optimizer.{key}" for key in ("type", "learning_rate", "weight_decay")}
    shown |= {*NAMED, "schedule.type"}
    shipped = dict(_flatten(build_config({}).training.model_dump(mode="json")))
    changed = [
        f"{key} {value}"
        for key, value in _flatten(training)
        if key not in shown and shipped.get(key) != value
    ]
    yield f"changed    {', '.join(changed) or 'nothing else of config/training.yaml'}"


def _describe_data(data: Mapping[str, Any]) -> str:
    options = data.get(data["dataset"]) or data.get("torchvision") or {}
    place = options.get("path") or options.get("root") or options.get("file")
    source = f"{data['dataset']} ({place})" if place else str(data["dataset"])
    return f"{source}, aspect {data['aspect']}, filter {data['filter']}"


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the keys below `values` with dots, and their values."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _scores(directory: Path, name: str, metrics: Mapping[str, Any]) -> Iterator[str]:
    if metrics["status"] != "ok":
        return
    scores = metrics["scores"]
    yield f"validation: accuracy {scores['val_accuracy']:.3f}, loss {scores['val_loss']:.3f}"
    table = directory / _marker("evaluate", name)
    if not table.exists():
        yield "test: not evaluated yet"
        return
    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    yield f"test, {format_count(int(rows[0]['n']), 'image')}:"
    head = ("images of", "mode", *(each.replace("_", " ") for each in SCORES))
    cells = [head]
    for row in rows:
        numbers = (f"{float(row[each]):.3f}" if row[each] else "-" for each in SCORES)
        cells.append((f"{row['eval_resolution']} px", row["mode"], *numbers))
    yield from (f"  {line}" for line in align_columns(cells))


def _environment(environment: Mapping[str, Any]) -> Iterator[str]:
    processes = environment.get("processes", 1)
    device = str(environment["device"])
    yield f"device     {f'{processes} x {device}' if processes > 1 else device}"
    yield f"machine    {environment.get('machine', '')}, execution {environment.get('execution', '')}"
    versions = [
        f"{key} {value}" for key, value in environment.items() if key not in NOT_VERSIONS
    ]
    yield f"versions   {', '.join(versions)}"


def _times(directory: Path, name: str) -> Iterator[str]:
    parts = []
    for stage in RUN_STAGES:
        marker = directory / _marker(stage, name)
        if marker.exists():
            seconds = recorded_seconds(stage, marker)
            if seconds is not None:
                parts.append(f"{stage} {format_duration(seconds)}")
    if parts:
        yield ", ".join(parts)


def _files(directory: Path, name: str) -> Iterator[str]:
    fields = read_run_key(name)._asdict()
    weights = directory / artifact("weights").path.format(**fields)
    folder = directory / RUN_FOLDER.format(**fields)
    if folder.exists():
        yield f"results       {folder}"
    if weights.exists():
        yield f"weights       {weights} ({format_bytes(weights.stat().st_size)})"
    for stage in RUN_STAGES:
        log = directory / _log(stage, name)
        if log.exists():
            yield f"{f'{stage} log':<13} {log}"


def _commands(directory: Path, name: str) -> Iterator[str]:
    target = _marker("train", name)
    command = ["snakemake", "--force", target, "--configfile", str(RUN_CONFIG)]
    if directory != Path():
        command += ["--directory", str(directory)]
    yield shlex.join(command)
    if read_record(target, directory / SNAKEMAKE_FOLDER).get("shellcmd"):
        yield f"resomap show {name} --command   # prints the command of the training alone"
