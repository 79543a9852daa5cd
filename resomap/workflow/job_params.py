"""Jobs built from the configuration and the wildcards of a rule."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resomap.config.architecture import Architecture, is_own
from resomap.config.deploy import DEPLOY_KEY
from resomap.config.schema import Config
from resomap.config.sweep_checks import find_architecture
from resomap.errors import ConfigError, DataError
from resomap.system.files import file_sha256
from resomap.system.gpus import largest_memory_mib
from resomap.system.workflow_files import PACKAGE
from resomap.workflow import jobs, targets
from resomap.workflow.artifact_paths import RESULTS_FOLDER, file_in, receipt_path
from resomap.workflow.checked_files import read_json
from resomap.workflow.code_digest import combine_code, digest_code, digest_own_code
from resomap.workflow.data_digest import data_settings, digest_data_code, digest_user_files
from resomap.workflow.jobs import Job
from resomap.workflow.layout import STAGE_OF, artifact
from resomap.workflow.receipts import digest_job, is_receipt_of, read_receipt
from resomap.workflow.sweep_results import JOB_TYPES
from resomap.workflow.targets import swept_models

SCRIPTS = PACKAGE.parent / "workflow_scripts"
ENTRY_POINTS: dict[type[Job], Path] = {
    jobs.CheckNetworks: PACKAGE / "entry/check_networks.py",
    jobs.PrepareData: PACKAGE / "entry/prepare_data.py",
    jobs.ResizeData: PACKAGE / "entry/resize_data.py",
    jobs.Train: PACKAGE / "entry/train.py",
    jobs.Evaluate: PACKAGE / "entry/evaluate.py",
    jobs.Profile: PACKAGE / "entry/profile.py",
    jobs.Explain: PACKAGE / "entry/explain.py",
    jobs.CompareExplanations: PACKAGE / "entry/compare_explanations.py",
    jobs.Summarise: PACKAGE / "entry/summarise.py",
    jobs.Export: PACKAGE / "entry/export.py",
    jobs.Aggregate: SCRIPTS / "aggregate.py",
    jobs.Plot: SCRIPTS / "plot.py",
    jobs.BuildReport: SCRIPTS / "report.py",
    jobs.PartialReport: SCRIPTS / "partial_report.py",
    jobs.Track: SCRIPTS / "track.py",
    jobs.CompareExports: SCRIPTS / "compare_exports.py",
    jobs.CompareDevices: SCRIPTS / "compare_devices.py",
    jobs.ComparePreprocessing: PACKAGE / "entry/compare_preprocessing.py",
    jobs.TabulatePreprocessing: SCRIPTS / "tabulate_preprocessing.py",
    jobs.CheckPreprocessing: SCRIPTS / "check_preprocessing.py",
}
STAGE_JOBS: dict[str, type[Job]] = {
    **JOB_TYPES,
    "summarise": jobs.Summarise,
    "tables": jobs.Aggregate,
    "figures": jobs.Plot,
    "report": jobs.BuildReport,
    "export": jobs.Export,
    "deploy": jobs.CompareExports,
    "devices": jobs.CompareDevices,
    "parity": jobs.ComparePreprocessing,
    "preprocessing": jobs.TabulatePreprocessing,
    "limits": jobs.CheckPreprocessing,
}
"""The job type of every stage that writes a receipt."""


def images_per_pass(config: Config) -> int:
    """Return the fewest images that one process of a training gets in a step."""
    return config.training.batch_size // config.system.training.gpus


# Fields of a job that are no section of the configuration, and what their value is.
CONFIG_FIELDS: dict[str, Callable[[Config], Any]] = {
    "data": data_settings,
    "data_code": digest_data_code,
    "listing": digest_user_files,
    "models": swept_models,
    # Sorted: the order in which a user lists values must not change the identity of a job.
    "resolutions": lambda config: tuple(sorted(config.sweep.resolutions)),
    "seeds": lambda config: tuple(sorted(config.sweep.seeds)),
    "smallest_resolution": lambda config: min(config.sweep.resolutions),
    "images_per_pass": images_per_pass,
    "gradcam_layer": lambda config: config.explainability.gradcam_layer,
    "attribution_methods": lambda config: config.explainability.enabled_methods,
    "dropout": lambda config: config.training.dropout,
    "drop_path": lambda config: config.training.drop_path,
    "start": lambda config: config.training.start,
    "freeze_bn": lambda config: config.training.finetune.freeze_bn,
    "filter": lambda config: config.data.filter,
    "device": lambda config: config.system.device,
    "profiling": lambda config: config.system.profiling,
    "precision": lambda config: config.training.precision,
    "explain": lambda config: config.explainability.enabled,
    "methods": lambda config: config.explainability.methods,
    "confidence": lambda config: config.report.confidence,
    "precisions": targets.export_precisions,
    "measurements": targets.measurement_digests,
    "runtimes": targets.export_runtimes,
    "compared_precision": targets.compared_precision,
    "max_flips": lambda config: config.system.deploy and config.system.deploy.max_flips,
}
MEMORY_TOLERANCE = 1.05
"""Drivers report the memory of one GPU differently by less than this factor."""


def job_params(
    config: Config, results: Path = RESULTS_FOLDER
) -> Callable[[type[Job]], Callable[[Any], str]]:
    """Return the function `job` of the rules: `job(jobs.Train)` is a params function.

    The params function fills the fields that `Train` declares and returns the canonical JSON.
    `results` is the folder of the results.
    """

    # Snakemake calls a params function for each job while it builds the DAG, and records the value: a
    # job is run again when its canonical JSON differs from the recorded one.
    def job(job_type: type[Job]) -> Callable[[Any], str]:
        # One string: of several params Snakemake compares the values and not the names, so that
        # `epochs: 3 -> 32` goes unnoticed where another param is 32 already.
        return lambda wildcards: build_job(
            config, job_type, results=results, **dict(wildcards)
        ).to_json()

    return job


def build_job(
    config: Config, job_type: type[Job], *, results: Path = RESULTS_FOLDER, **wildcards: str
) -> Job:
    """Return the job of `job_type` for these wildcards (model, resolution, seed as text)."""
    values = {
        field: _field_value(config, job_type, field, wildcards, results)
        for field in job_type.model_fields
    }
    return job_type(**values)


def sweep_file(config: Config, stage: str) -> str:
    """Return the small file whose name identifies the job of a stage of the whole sweep."""
    digest = digest_job(build_job(config, STAGE_JOBS[stage])).whole[:16]
    return artifact("sweep").path.format(stage=stage, digest=digest)


def is_report_current(config: Config, results: Path) -> bool:
    """Return whether the existing report is that of the sweep as configured now."""
    return _is_current(config, "report", results)


def _is_current(config: Config, stage: str, results: Path) -> bool:
    """Return whether the results of a stage of the whole sweep are of this configuration."""
    path = receipt_path(results, STAGE_OF[stage], {})
    try:
        receipt = read_receipt(path)
    except DataError:
        return False
    expected = digest_job(build_job(config, STAGE_JOBS[stage]))
    return receipt is not None and is_receipt_of(path, receipt, expected)


def export_inputs(config: Config, pattern: str, results: Path) -> Callable[[Any], list[str]]:
    """Return an input function: the pattern for every run that is exported.

    It raises ConfigError where the exported cells are those of a decision that does not exist
    for this configuration.
    """

    def inputs(_: Any) -> list[str]:
        deploy = config.system.deploy
        if deploy and deploy.cells == "chosen" and not _is_current(config, "tables", results):
            raise ConfigError(
                f"{DEPLOY_KEY}.cells: chosen: the sweep as configured now has no decision yet: "
                "run `snakemake` first, then `snakemake deploy`, or set cells: all"
            )
        return targets.export_files(config, pattern, results / "tables")

    return inputs


def _field_value(
    config: Config, job_type: type[Job], field: str, wildcards: dict[str, str], results: Path
) -> Any:
    match field:
        case "code":
            own = _built_architectures(config, job_type, wildcards)
            return combine_code(digest_code(ENTRY_POINTS[job_type]), own)
        case "architecture":
            return _architecture(config, wildcards)
        case "retry_reason":
            return _retry_reason(config, wildcards, results)
        case "resolution" | "eval_resolution" | "seed":
            return int(wildcards[field])
        case "recipes":
            return _recipes(config)
        case "rounds":
            path = file_in(results, "rounds")
            return file_sha256(path) if path.exists() else ""
        case "tables":
            return str(digest_job(build_job(config, jobs.Aggregate)))
        case "figures":
            return str(digest_job(build_job(config, jobs.Plot)))
    if field in CONFIG_FIELDS:
        return CONFIG_FIELDS[field](config)
    return getattr(config, field)


def _built_architectures(
    config: Config, job_type: type[Job], wildcards: dict[str, str]
) -> tuple[Architecture, ...]:
    """Return the architectures that a job builds itself."""
    if "architecture" in job_type.model_fields:
        return (_architecture(config, wildcards),)
    return swept_models(config) if job_type in (jobs.CheckNetworks, jobs.Summarise) else ()


def _recipes(config: Config) -> jobs.Recipes:
    return jobs.Recipes(
        data=data_settings(config),
        data_code=digest_data_code(config),
        listing=digest_user_files(config),
        training=config.training,
        evaluation=config.evaluation,
        explainability=config.explainability if config.explainability.enabled else None,
        profiling=config.system.profiling,
        device=config.system.device,
        codes={stage: digest_code(ENTRY_POINTS[STAGE_JOBS[stage]]) for stage in JOB_TYPES},
        own_codes={
            model.name: digest_own_code([model])
            for model in swept_models(config)
            if is_own(model.builder)
        },
    )


def _architecture(config: Config, wildcards: dict[str, str]) -> Architecture:
    architecture = find_architecture(config.models, wildcards["model"])
    # A target on the command line may name any family, and would train the model twice.
    if wildcards["family"] != architecture.family:
        path = f"results/.../{wildcards['family']}/{architecture.name}"
        raise ConfigError(f"{path}: {architecture.name} is of family {architecture.family}")
    return architecture


def _retry_reason(config: Config, wildcards: dict[str, str], results: Path) -> str:
    """Return the reason of the last training of the run, or a new one if it would fit now.

    A run that did not fit stays a result until the device has more memory.
    """
    path = file_in(results, "metrics", **wildcards)
    if not path.exists():
        return ""
    try:
        return _reason_in(read_json(path), config)
    except (DataError, KeyError, TypeError):
        # It counts as missing: another reason is another job, so that the training runs again.
        print(f"warning: {path} is damaged: its training runs again", file=sys.stderr)
        return f"{path.name} was damaged"


def _reason_in(metrics: Any, config: Config) -> str:
    if metrics["status"] == "infeasible":
        memory_mib = metrics["device_memory_mib"]
        # A job equal to the recorded one would not be run again.
        if largest_memory_mib(config.system.device) > MEMORY_TOLERANCE * memory_mib:
            return f"{memory_mib} MiB were not enough"
    # The reason must stay, or the job of a retried run would differ from the recorded one again.
    return str(metrics["job"].get("retry_reason", ""))
