"""What the rules ask: job parameters, the files of the sweep, resources."""

import gc
import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from resomap.config.load import find_architecture
from resomap.config.schema import Architecture, Config, Sweep
from resomap.errors import ConfigError
from resomap.system.files import read_json, write_text
from resomap.system.gpus import largest_memory_mib
from resomap.system.locks import try_lock
from resomap.workflow.code_digest import PACKAGE, code_digest
from resomap.workflow.data_digest import code_of_data, digest_of_files, files_of, named_data
from resomap.workflow.jobs import (
    Aggregate,
    BuildReport,
    CompareExplanations,
    Evaluate,
    Explain,
    Job,
    PartialReport,
    Plot,
    PrepareData,
    Profile,
    ResizeData,
    Summarise,
    Track,
    Train,
)
from resomap.workflow.layout import artifact

ENTRY = PACKAGE / "entry"
SCRIPTS = PACKAGE.parent / "workflow_scripts"
# Of one core with AVX-512, measured on the default sweep within a factor of two: docs/LOG.md.
CPU_MACS_PER_SECOND = 40e9
TRAINING_FORWARDS = 3  # a training step costs about three forward passes
RUN_OVERHEAD_SECONDS = 20  # start-up of train, evaluate and explain, and their own work
REPORT = Path("results/report")
STATES = Path("results/.state")
RUN_CONFIG = Path(artifact("run_config").path)
MAINS: dict[type[Job], Path] = {
    PrepareData: ENTRY / "prepare_data.py",
    ResizeData: ENTRY / "resize_data.py",
    Train: ENTRY / "train.py",
    Evaluate: ENTRY / "evaluate.py",
    Profile: ENTRY / "profile.py",
    Explain: ENTRY / "explain.py",
    CompareExplanations: ENTRY / "compare_explanations.py",
    Summarise: ENTRY / "summarise.py",
    Aggregate: SCRIPTS / "aggregate.py",
    Plot: SCRIPTS / "plot.py",
    BuildReport: SCRIPTS / "report.py",
    PartialReport: SCRIPTS / "partial_report.py",
    Track: SCRIPTS / "track.py",
}


PARTS: dict[str, Callable[[Config], Any]] = {
    "explain": lambda config: config.explainability.enabled,
    "methods": lambda config: config.explainability.methods,
    "smallest": lambda config: min(config.sweep.resolutions),
    "confidence": lambda config: config.report.confidence,
    "precision": lambda config: config.training.precision,
}
"""Fields of a job that are one value out of a section."""


def job_params(config: Config) -> Callable[[type[Job]], Callable[[Any], str]]:
    """`job(jobs.Train)` for the rules: a params function that fills the fields `Train` declares, as canonical JSON."""

    def job(kind: type[Job]) -> Callable[[Any], str]:
        return lambda wildcards: build_job(config, kind, **dict(wildcards)).to_json()

    return job


def build_job(config: Config, kind: type[Job], **wildcards: str) -> Job:
    """The job of `kind` for these wildcards (model, resolution, seed as text)."""
    return kind(
        **{field: _field(config, kind, field, wildcards) for field in kind.model_fields}
    )


def _field(config: Config, kind: type[Job], field: str, wildcards: dict[str, str]) -> Any:
    match field:
        case "code":
            return code_digest(MAINS[kind])
        case "data" | "data_code" | "listing":
            return {"data": named_data, "data_code": code_of_data, "listing": digest_of_files}[
                field
            ](config)
        case "architecture":
            return _architecture(config, wildcards)
        case "room":
            return _room(config, wildcards)
        case "resolution" | "seed":
            return int(wildcards[field])
        case "models":
            return swept_models(config)
        case "resolutions" | "seeds":
            return tuple(sorted(getattr(config.sweep, field)))
        case "device" | "profiling":
            return getattr(config.system, field)
        case _:
            return PARTS[field](config) if field in PARTS else getattr(config, field)


def _architecture(config: Config, wildcards: dict[str, str]) -> Architecture:
    architecture = find_architecture(config.models, wildcards["model"])
    if wildcards["family"] != architecture.family:
        raise ConfigError(
            f"results/.../{wildcards['family']}/{architecture.name}: {architecture.name} is of family {architecture.family}"
        )
    return architecture


def _room(config: Config, wildcards: dict[str, str]) -> str:
    """What the run's last training was told, unless it did not fit and the device is larger now by more than drivers disagree."""
    path = Path(artifact("metrics").path.format(**wildcards))
    if not path.exists():
        return ""
    metrics = read_json(path)
    if (
        metrics["status"] == "infeasible"
        and largest_memory_mib(config.system.device) > 1.05 * metrics["device_memory_mib"]
    ):
        return f"{metrics['device_memory_mib']} MiB were not enough"
    return str(metrics["job"]["room"])


def swept_models(config: Config) -> tuple[Architecture, ...]:
    """The architectures that the sweep names, in its order."""
    return tuple(find_architecture(config.models, name) for name in config.sweep.models)


def run_files(config: Config, *patterns: str) -> list[str]:
    """Each pattern for every run of the sweep, the costliest resolution first."""
    return [
        pattern.format(family=model.family, model=model.name, resolution=resolution, seed=seed)
        for resolution in sorted(config.sweep.resolutions, reverse=True)
        for model in swept_models(config)
        for seed in config.sweep.seeds
        for pattern in patterns
    ]


def runs_of_model(config: Config, *patterns: str) -> Callable[[Any], list[str]]:
    """Each pattern for every run of the model that the wildcards name: an input function."""
    return lambda wildcards: run_files(
        config.model_copy(update={"sweep": _sweep_of(config, wildcards.model)}), *patterns
    )


def _sweep_of(config: Config, model: str) -> Sweep:
    return config.sweep.model_copy(update={"models": (model,)})


def explained(config: Config, run_pattern: str, model_pattern: str) -> list[str]:
    """One pattern for every run and one for every model, where runs are explained at all."""
    return (
        [*run_files(config, run_pattern), *model_files(config, model_pattern)]
        if config.explainability.enabled
        else []
    )


def model_files(config: Config, pattern: str) -> list[str]:
    """The pattern for every model of the sweep."""
    return [
        pattern.format(family=model.family, model=model.name) for model in swept_models(config)
    ]


def summary_files(config: Config, suffix: str) -> list[str]:
    """A summary for every model at every resolution, in that order."""
    places = product(swept_models(config), sorted(config.sweep.resolutions))
    return [
        f"results/model_summaries/{model.name}/r{resolution}/summary.{suffix}"
        for model, resolution in places
    ]


def start_files(config: Config) -> list[str]:
    """The file of weights that trainings start from, if one is named: when it changes, they are trained again.

    ConfigError when it is not there: Snakemake would take finished trainings for what was asked.
    """
    for start in config.training.start_files:
        if not start.is_file():
            raise ConfigError(f"config/training.yaml: training.start: there is no file {start}")
    return list(map(str, config.training.start_files))


def tracked(config: Config) -> list[str]:
    """The record of the copy in MLflow, where every sweep is to be copied."""
    return ["results/tracking.json"] if config.mlflow.enabled else []


def any_of(values: Any) -> str:
    """A wildcard constraint that admits exactly `values`."""
    return "|".join(str(value) for value in values)


def gpus_wanted(config: Config) -> int:
    """GPUs a job asks for: none on `cpu`, one on `cuda`; `auto` looks for an NVIDIA device on this machine."""
    here = any(Path("/dev").glob("nvidia[0-9]*"))
    return int(config.system.device == "cuda" or (config.system.device == "auto" and here))


def use_this_interpreter(basedir: str) -> None:
    """Let jobs find the Python and the package that run Snakemake; a conda environment still comes before."""
    os.environ["PATH"] = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    )
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [basedir, os.environ.get("PYTHONPATH")])
    )


def collect_rarely() -> None:
    """Let Python look for unreachable objects seldom: a DAG is objects that stay, and to look through them takes a sixth of its CPU."""
    gc.set_threshold(50_000)


def opening(config: Config, *, here: bool = True) -> str:
    """What the sweep holds, said before it runs; where it runs `here`, and without a GPU, about how long it takes."""
    sweep = config.sweep
    models, resolutions, seeds = len(sweep.models), len(sweep.resolutions), len(sweep.seeds)
    count = f"{models} models x {resolutions} resolutions x {seeds} seeds = {models * resolutions * seeds} trainings"
    return f"ResoMap: {count}{_estimate(config) if here else ''}"


def _estimate(config: Config) -> str:
    cells = [
        (model.mmacs_224, resolution)
        for model in swept_models(config)
        for resolution in config.sweep.resolutions
    ]
    trained = (
        config.data.reef.train
        if config.data.reef
        else files.trained
        if (files := files_of(config))
        else 0
    )
    if gpus_wanted(config) or not trained or any(mmacs is None for mmacs, _ in cells):
        return ""
    pictures = TRAINING_FORWARDS * config.training.epochs * trained
    work = sum(
        1e6 * (mmacs or 0) * (resolution / 224) ** 2 * pictures / CPU_MACS_PER_SECOND
        for mmacs, resolution in cells
    )
    seconds = len(config.sweep.seeds) * (work + len(cells) * RUN_OVERHEAD_SECONDS)
    return f", about {max(1, round(seconds / 60 / (os.cpu_count() or 1)))} minutes on {os.cpu_count()} idle cores"


def closing(
    report: Path = REPORT / "index.html", headline: Path = REPORT / "headline.txt"
) -> str:
    """Where the report lies and its first sentence; nothing where there is none yet."""
    if not (report.exists() and headline.exists()):
        return ""
    return f"Report: {report.resolve()}\n{headline.read_text(encoding='utf-8').strip()}"


def clear_finished_states(folder: Path = STATES) -> None:
    """Remove what trainings kept for the case of a kill, once their results are out; a training that is at work is left alone."""
    cleared = folder / "cleared"
    for mark in sorted(folder.glob("train/**/done/fingerprint.txt")):
        state = mark.parents[1]
        lock = try_lock(state / "lock")
        if lock is not None:
            with lock:
                cleared.mkdir(exist_ok=True)
                state.rename(cleared / uuid4().hex)
            with suppress(OSError):  # the folders above it, as far as they are empty
                os.removedirs(state.parent)
    # Only now: on NFS a file that is open, as a lock is, keeps a name (.nfs...), and its folder cannot be removed.
    shutil.rmtree(
        cleared, ignore_errors=True
    )  # what another node has open is removed after the next sweep
    with suppress(OSError):
        folder.rmdir()


def write_run_config(values: dict[str, Any], path: Path = RUN_CONFIG) -> None:
    """Write the merged configuration that this run uses."""
    plain = json.loads(
        json.dumps(values, default=str)
    )  # Snakemake reads a JSON file into OrderedDicts, which YAML refuses
    write_text(path, yaml.safe_dump(plain, sort_keys=False))
