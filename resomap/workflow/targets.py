"""The files of a sweep, as the inputs of rules: a path pattern for every run, model or cell."""

import csv
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

from resomap.config.architecture import Architecture
from resomap.config.deploy import DEPLOY_KEY, ONNX_RUNTIME, DeployPrecision, RuntimeName
from resomap.config.schema import Config
from resomap.config.sweep_checks import find_architecture
from resomap.errors import ConfigError
from resomap.system.files import file_sha256
from resomap.workflow.artifacts import Stage
from resomap.workflow.checked_files import read_json
from resomap.workflow.deploy_layout import DEPLOY_STAGES
from resomap.workflow.layout import ARTIFACTS, STAGES, artifact
from resomap.workflow.predictions import RAW
from resomap.workflow.receipts import check_content

TABLES_FOLDER = Path("results/tables")
DECIDED_NAMES = ("choice", "runner_up", "best", "certified", "frugal")
"""What choice.json names of the decision; None where there is no such cell."""


def swept_models(config: Config) -> tuple[Architecture, ...]:
    """Return the architectures that the sweep names, in its order."""
    return tuple(find_architecture(config.models, name) for name in config.sweep.models)


def swept_stages(config: Config) -> list[Stage]:
    """Return the stages that the sweep has."""
    # Exports are a target of their own.
    absent = {stage.name for stage in DEPLOY_STAGES}
    if not config.explainability.enabled:
        absent |= {"explain", "compare"}
    if not config.mlflow.enabled:
        absent.add("track")
    return [stage for stage in STAGES if stage.name not in absent]


def count_jobs(config: Config) -> int:
    """Return the number of jobs of the whole sweep."""
    sweep = config.sweep
    cells = len(sweep.models) * len(sweep.resolutions)
    counts = {
        "sweep": 1,
        "resolution": len(sweep.resolutions),
        "model": len(sweep.models),
        "cell": cells,
        "run": cells * len(sweep.seeds),
    }
    return sum(stage.jobs_per_scope * counts[stage.scope] for stage in swept_stages(config))


def run_files(config: Config, *patterns: str) -> list[str]:
    """Return each pattern for every run of the sweep, the most expensive resolution first."""
    # A long job that starts last would run alone at the end.
    resolutions = sorted(config.sweep.resolutions, reverse=True)
    runs = product(resolutions, swept_models(config), config.sweep.seeds, patterns)
    return [
        pattern.format(family=model.family, model=model.name, resolution=resolution, seed=seed)
        for resolution, model, seed, pattern in runs
    ]


def runs_of_model(config: Config, *patterns: str) -> Callable[[Any], list[str]]:
    """Return an input function: each pattern for every run of the model in the wildcards."""

    def inputs(wildcards: Any) -> list[str]:
        sweep = config.sweep.model_copy(update={"models": (wildcards.model,)})
        return run_files(config.model_copy(update={"sweep": sweep}), *patterns)

    return inputs


def model_files(config: Config, pattern: str) -> list[str]:
    """Return the pattern for every model of the sweep."""
    return [
        pattern.format(family=model.family, model=model.name) for model in swept_models(config)
    ]


def explanation_files(config: Config, run_pattern: str, model_pattern: str) -> list[str]:
    """Return a pattern for every run and one for every model; nothing without explanations."""
    if not config.explainability.enabled:
        return []
    return [*run_files(config, run_pattern), *model_files(config, model_pattern)]


def cell_files(config: Config, pattern: str) -> list[str]:
    """Return the pattern for every model at every resolution, in that order."""
    cells = product(swept_models(config), sorted(config.sweep.resolutions))
    return [
        pattern.format(family=model.family, model=model.name, resolution=resolution)
        for model, resolution in cells
    ]


def start_files(config: Config) -> list[str]:
    """Return the file of weights that trainings start from; ConfigError if it does not exist."""
    # Without this check Snakemake would take results of other weights for those of this sweep.
    for start in config.training.start_files:
        if start.is_dir():
            raise ConfigError(
                f"config/training.yaml: training.start: {start} is a folder: name a file in it, such "
                f"as {start / 'best.safetensors'}"
            )
        if not start.is_file():
            raise ConfigError(f"config/training.yaml: training.start: there is no file {start}")
    return list(map(str, config.training.start_files))


def tracking_files(config: Config) -> list[str]:
    """Return the record of the copy in MLflow, if every sweep is copied."""
    return [artifact("tracking").path] if config.mlflow.enabled else []


def run_outputs(config: Config, *stages: str) -> list[str]:
    """Return every file that these stages write for a run and the tables are made from.

    All of them are inputs of the tables: then a file that is deleted because it is damaged is
    made again.
    """
    patterns = [
        each.path
        for each in ARTIFACTS
        if each.writer in stages and each.name not in ("weights", "attributions")
    ]
    return run_files(config, *patterns)


def map_files(config: Config) -> list[str]:
    """Return the maps and the test logits of every run; nothing without explanations."""
    if not config.explainability.enabled:
        return []
    maps = artifact("attributions").path
    methods = config.explainability.methods
    patterns = [maps.replace("{method}", method) for method in methods]
    return run_files(config, *patterns, artifact("predictions").path)


def table_inputs(config: Config) -> list[str]:
    """Return the files that the tables are made from, and the receipts of their jobs."""
    stages, model_stages = ["train", "evaluate"], ["profile"]
    if config.explainability.enabled:
        stages.append("explain")
        model_stages.append("compare")
    inputs = run_outputs(config, *stages)
    for each in ARTIFACTS:
        if each.writer in model_stages:
            inputs += model_files(config, each.path)
    return inputs


def export_precisions(config: Config) -> tuple[DeployPrecision, ...]:
    """Return the precisions in which runs are exported; fp32 where none are configured."""
    deploy = config.system.deploy
    return deploy.precisions if deploy else ("fp32",)


def export_runtimes(config: Config) -> tuple[RuntimeName, ...]:
    """Return the runtimes in which exports are proven; ONNX Runtime where none are configured."""
    deploy = config.system.deploy
    return deploy.runtimes if deploy else (ONNX_RUNTIME,)


def compared_precision(config: Config) -> DeployPrecision:
    """Return the precision of the networks that are given other preprocessings."""
    precisions = export_precisions(config)
    return "fp32" if "fp32" in precisions else precisions[0]


def export_files(config: Config, pattern: str, tables: Path = TABLES_FOLDER) -> list[str]:
    """Return the pattern for every run that `system.deploy` exports.

    ConfigError where nothing is configured, or the chosen network is no trained one.
    """
    deploy = config.system.deploy
    if deploy is None:
        raise ConfigError(
            f"{DEPLOY_KEY}: null exports nothing: set runtimes, precisions, cells, max_flips and "
            "measurements"
        )
    if deploy.cells == "all":
        sides = sorted(config.sweep.resolutions, reverse=True)
        cells = [
            (model.family, model.name, side, side)
            for side, model in product(sides, swept_models(config))
        ]
    else:
        cells = _decided_cells(tables)
    return [
        pattern.format(
            family=family, model=model, resolution=side, eval_resolution=tested, seed=seed
        )
        for (family, model, side, tested), seed in product(cells, config.sweep.seeds)
    ]


def _decided_cells(tables: Path) -> list[tuple[str, str, int, int]]:
    """Return family, model, training and test resolution of what the decision is between."""
    record = read_json(tables / "choice.json")
    named = [record[name] for name in DECIDED_NAMES if record[name]]
    if record["choice"] and record["choice"]["mode"] != RAW:
        raise ConfigError(
            f"{DEPLOY_KEY}.cells: chosen: the chosen network is adapted to other images "
            f"({record['choice']['mode']}), and only trained ones are exported: set cells: all"
        )
    cells = [
        (one["family"], one["model"], one["resolution"], one["eval_resolution"])
        for one in named
        if one["mode"] == RAW
    ]
    cells += _front(tables / "cells.csv")
    if not cells:
        raise ConfigError(
            f"{DEPLOY_KEY}.cells: chosen: no cell of the sweep has a result, so that there is "
            "nothing to export: see results/tables/runs.csv"
        )
    return list(dict.fromkeys(cells))


def _front(table: Path) -> Iterator[tuple[str, str, int, int]]:
    """Yield the cells that no faster cell reaches in validation accuracy, the fastest first."""
    check_content(table)
    with table.open(newline="", encoding="utf-8") as stream:
        rows = [
            row
            for row in csv.DictReader(stream)
            if row["latency_ms_p50"] and row["val_accuracy"]
        ]
    best = -1.0
    for row in sorted(rows, key=lambda row: float(row["latency_ms_p50"])):
        if float(row["val_accuracy"]) > best:
            best, side = float(row["val_accuracy"]), int(row["resolution"])
            yield row["family"], row["model"], side, side


def measurement_files(config: Config) -> list[str]:
    """Return the measurements of other devices; ConfigError where a file does not exist."""
    deploy = config.system.deploy
    paths = [Path(each) for each in deploy.measurements] if deploy else []
    missing = [f"there is no file {path}" for path in paths if not path.is_file()]
    if missing:
        raise ConfigError(f"{DEPLOY_KEY}.measurements: {'; '.join(missing)}")
    return list(map(str, paths))


def measurement_digests(config: Config) -> dict[str, str]:
    """Return the sha256 of each file of measurements: another content is another job."""
    return {path: file_sha256(Path(path)) for path in measurement_files(config)}


def device_files(config: Config, *outputs: str) -> list[str]:
    """Return the files about other devices; nothing where none was measured."""
    return list(outputs) if measurement_files(config) else []


def any_of(values: Iterable[object]) -> str:
    """Return a wildcard constraint that admits exactly `values`."""
    # Nothing needs an escape: names are identifiers, the others numbers.
    return "|".join(str(value) for value in values)


def native_files(config: Config) -> list[str]:
    """Return the file of native images where trainings cut crops from them."""
    is_read = config.training.augmentation.crops_native
    return [artifact("native").path] if is_read else []
