"""What happens around the jobs of one invocation of Snakemake: environment, messages, clean-up."""

import atexit
import filecmp
import gc
import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from resomap.config.load import build_config, read_yaml
from resomap.config.schema import Config
from resomap.errors import ConfigError
from resomap.system import job_server
from resomap.system.files import TEMPORARY_NAME, write_text
from resomap.system.locks import try_lock
from resomap.system.workflow_files import PACKAGE, import_folder
from resomap.text import format_count
from resomap.workflow.artifact_paths import file_in
from resomap.workflow.layout import STATES_FOLDER, artifact

REPORT = Path(artifact("report").path)
RUN_CONFIG = Path(artifact("run_config").path)
GC_THRESHOLD = 50_000


def use_this_interpreter(own_environment: bool = False) -> None:
    """Let jobs find the Python and the package that run Snakemake; a conda environment still wins.

    `own_environment`: jobs run in an environment of conda, or in a container. ConfigError where
    the working directory holds other code of this name, which jobs would run.
    """
    _check_no_other_code(Path.cwd())
    # Without activation of its environment `python` would be another interpreter than that
    # of `.venv/bin/snakemake`.
    _put_first("PATH", str(Path(sys.executable).parent), os.defpath)
    folder = import_folder(own_environment)
    if folder is not None:
        _put_first("PYTHONPATH", str(folder))


def start_job_server(workflow: Any) -> None:
    """Start a server that runs jobs without importing PyTorch each time, where jobs run here.

    Not on a cluster, nor where jobs run in an environment of conda or in a container.
    """
    runs_elsewhere = workflow.non_local_exec or workflow.remote_exec
    if not runs_elsewhere and not workflow.deployment_settings.deployment_method:
        with suppress(OSError):  # without it, jobs import PyTorch themselves
            job_server.start_job_server()


def _check_no_other_code(directory: Path) -> None:
    # `python -m` looks into the working directory first. The digests of jobs are of this code.
    other = directory / "resomap"
    if (other / "__init__.py").exists() and not _is_same_code(PACKAGE, other):
        raise ConfigError(
            f"{directory}: holds a ResoMap of its own, and this is the one in {PACKAGE.parent}: run "
            "it in another directory, or use the Snakefile and the environment of the checkout"
        )


def _is_same_code(first: Path, second: Path) -> bool:
    """Return whether two packages are one folder, or equal file by file."""
    if first.samefile(second):
        return True
    names, others = (
        {path.relative_to(folder) for path in folder.rglob("*.py")}
        for folder in (first, second)
    )
    return names == others and all(
        filecmp.cmp(first / name, second / name, shallow=False) for name in names
    )


def _put_first(variable: str, folder: str, default: str = "") -> None:
    """Put `folder` before the others of a search path in the environment, once."""
    others = os.environ.get(variable, default).split(os.pathsep)
    kept = [each for each in others if each not in ("", folder)]
    os.environ[variable] = os.pathsep.join([folder, *kept])


def collect_garbage_rarely() -> None:
    """Raise the threshold of the garbage collector."""
    # It would take a sixth of the CPU time, and the objects of a DAG stay anyway.
    gc.set_threshold(GC_THRESHOLD)


def rerun_triggers(settings: Any) -> str:
    """Return what makes Snakemake run a job again, separated by commas; blank if not known."""
    # There are no settings when the rules are only listed or linted.
    return ",".join(sorted(map(str, settings.rerun_triggers))) if settings else ""


def start_message(config: Config, minutes: float | None = None, cores: int = 1) -> str:
    """Return the size of the sweep in one line, and the minutes that a plan estimates for it.

    `minutes` hold for `cores` jobs at once, and for the whole sweep, finished jobs included.
    """
    sweep = config.sweep
    counts = {"model": sweep.models, "resolution": sweep.resolutions, "seed": sweep.seeds}
    grid = " x ".join(format_count(len(values), noun) for noun, values in counts.items())
    runs = len(sweep.models) * len(sweep.resolutions) * len(sweep.seeds)
    message = f"ResoMap: {grid} = {format_count(runs, 'training')}"
    if minutes is None:
        return message
    duration = format_count(max(1, round(minutes)), "minute")
    return f"{message}; by its plan it takes about {duration} on {format_count(cores, 'core')}"


def end_message(results: Path) -> str:
    """Return the path of the report and its first sentence; nothing while there is no report."""
    report, headline = file_in(results, "report"), file_in(results, "headline")
    if not (report.exists() and headline.exists()):
        return ""
    return f"Report: {report.resolve()}\n{headline.read_text(encoding='utf-8').strip()}"


def show_report_of_idle_run(
    workflow: Any, results: Path, is_current: Callable[[], bool]
) -> None:
    """Print at the end where the report is, if `is_current`, and nothing was to be done."""

    # `onsuccess` runs only after jobs.
    def show() -> None:
        was_built = workflow.scheduler is not None and not workflow.dryrun
        if was_built and not len(workflow.dag) and is_current():
            print(end_message(results), flush=True)

    if workflow.is_main_process:
        atexit.register(show)


def write_run_config(values: dict[str, Any], path: Path = RUN_CONFIG) -> None:
    """Write the merged configuration that this sweep uses."""
    # Snakemake reads a JSON file into OrderedDicts, which YAML refuses.
    plain = json.loads(json.dumps(values, default=str))
    write_text(path, yaml.safe_dump(plain, sort_keys=False))


def read_run_config(directory: Path) -> Config:
    """Return the configuration of the last sweep that ran in `directory`.

    ConfigError where none ran there, or one of another version of ResoMap.
    """
    return read_recorded_config(directory / RUN_CONFIG.parent)


def read_recorded_config(results: Path) -> Config:
    """Return the configuration of the last sweep whose results are in the folder `results`.

    ConfigError where there is none, or one of another version of ResoMap.
    """
    path = results / RUN_CONFIG.name
    if not path.exists():
        raise ConfigError(
            f"{path}: not found: no sweep ran in this directory; give the one that holds results/, "
            "and where another workflow uses ResoMap as a module, call its onstart (docs/module.md)"
        )
    values = read_yaml(path)
    try:
        missing = ", ".join(sorted(set(Config.model_fields) - set(values)))
        if missing:  # not to be filled with the shipped values of this version
            raise ConfigError(f"it lacks {missing}")
        return build_config(values)
    except ConfigError as error:
        raise ConfigError(f"{path} was written by another version: {error}") from error


def clean_up(results: Path) -> None:
    """Remove what a finished sweep needs no more: states of its trainings, temporary files."""
    clear_finished_states(results / Path(STATES_FOLDER).name)
    sweep_leftovers(results)


def sweep_leftovers(folder: Path) -> None:
    """Remove the temporary files of killed writers, once no job of the sweep writes any more.

    Those of states and of the partial report stay: a training or a report may be running beside.
    """
    kept = {Path(STATES_FOLDER).name, Path(artifact("partial").path).parent.name}
    for path in folder.rglob(".*"):
        is_temporary = TEMPORARY_NAME.fullmatch(path.name) and path.is_file()
        if is_temporary and path.relative_to(folder).parts[0] not in kept:
            path.unlink(missing_ok=True)


def clear_finished_states(folder: Path) -> None:
    """Remove the states of trainings whose results are published, except of those still running."""
    cleared = folder / "cleared"
    for fingerprint in sorted(folder.glob("train/**/done/fingerprint.txt")):
        state = fingerprint.parents[1]
        lock = try_lock(state / "lock")
        if lock is None:
            continue
        with lock:
            # Moved aside under its lock, so that no job finds half of a state.
            cleared.mkdir(exist_ok=True)
            state.rename(cleared / uuid4().hex)
        with suppress(OSError):  # the folders above it that are not empty stay
            os.removedirs(state.parent)
    # Removed only after the locks are closed: NFS keeps an open file under another name (.nfs...), so
    # that its folder cannot be removed. What another node has open goes after the next sweep.
    shutil.rmtree(cleared, ignore_errors=True)
    with suppress(OSError):
        folder.rmdir()
