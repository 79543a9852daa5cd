"""The command `resomap`: check a configuration, plan a sweep, show its status, list devices."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from resomap.config.load import SHIPPED_CONFIG, build_config, load_config, read_yaml
from resomap.config.schema import Config
from resomap.errors import ConfigError, ResoMapError
from resomap.plan.forecast import estimate_minutes
from resomap.status.summary import read_status
from resomap.status.table import status_lines
from resomap.system.gpu_listing import Gpu, has_nvidia_device, list_gpus
from resomap.system.gpus import lease_holders
from resomap.workflow.data_digest import read_user_files
from resomap.workflow.lifecycle import RUN_CONFIG, start_message
from resomap.workflow.recipe_checks import recipe_warnings
from resomap.workflow.resources import gpus_per_job

OverlayFiles = Annotated[
    list[Path] | None,
    typer.Option(help="YAML file with your changes to config/. Repeat it for several files."),
]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def resomap() -> None:
    """Find the model and the input resolution for your images and your budget."""


@app.command()
def check(configfile: OverlayFiles = None) -> None:
    """Check the configuration, the environment, the disk space and every image.

    The exit code is 1 if anything is wrong. Nothing is trained.
    """
    # Imported here: pandas and seaborn take a second to load, and `status` does not need them.
    from resomap.check import check_data, check_recipe

    with _printed_errors():
        config = load_config(SHIPPED_CONFIG, configfile or [])
        # Before the first line: a missing folder leaves nothing else to check.
        read_user_files(config)
        cores = os.cpu_count() or 1
        minutes = estimate_minutes(config, cores)
        typer.echo(f"configuration: valid. {start_message(config, minutes, cores)}")
        for line in _describe_environment(gpus_per_job(config)):
            typer.echo(line)
        problems = check_recipe(config)
        lines, errors = check_data(config, os.cpu_count() or 1)
    for line in [*recipe_warnings(config), *lines]:
        typer.echo(line)
    for error in [*problems, *errors]:
        typer.echo(f"error: {error}", err=True)
    if problems or errors:
        raise typer.Exit(1)


@app.command()
def plan(
    configfile: OverlayFiles = None,
    gpus: Annotated[
        int | None,
        typer.Option(help="Number of GPUs for the sweep. Default: the GPUs of this machine."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(help="Number of parallel jobs on a CPU. Default: the number of cores."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Price per GPU hour, or per core hour on a CPU.")
    ] = None,
) -> None:
    """Estimate time and cost of the sweep from training steps measured on this machine.

    Each cell is measured once; later calls reuse the measurements.
    """
    from resomap.plan.measure import plan_sweep
    from resomap.plan.table import plan_lines

    with _printed_errors():
        config = load_config(SHIPPED_CONFIG, configfile or [])
        # Progress goes to stderr, so that the plan can be piped.
        estimate = plan_sweep(config, gpus, jobs, rate, lambda line: typer.echo(line, err=True))
    typer.echo("\n".join(plan_lines(estimate)))


@app.command()
def status(configfile: OverlayFiles = None) -> None:
    """Show the progress of the sweep in this directory, running or not.

    Without --configfile it shows the sweep that ran here last. Nothing is started or changed.
    """
    with _printed_errors():
        # The overlays of the last sweep are not repeated here, so its merged copy is read.
        if configfile or not RUN_CONFIG.exists():
            config = load_config(SHIPPED_CONFIG, configfile or [])
        else:
            config = _load_run_config()
        lines = list(status_lines(read_status(config)))
    typer.echo("\n".join(lines))


def _load_run_config() -> Config:
    """Return the configuration that the last sweep wrote into this directory."""
    try:
        values = read_yaml(RUN_CONFIG)
        missing = ", ".join(sorted(set(Config.model_fields) - set(values)))
        if missing:  # not to be filled with the shipped values of this version
            raise ConfigError(f"it lacks {missing}")
        return build_config(values)
    except ConfigError as error:
        raise ConfigError(
            f"{RUN_CONFIG} was written by another version: {error}\n"
            "pass the sweep's own files: --configfile mine.yaml"
        ) from error


@contextmanager
def _printed_errors() -> Iterator[None]:
    """Print a ResoMapError without a traceback, and exit with code 1."""
    try:
        yield
    except ResoMapError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


@app.command()
def devices() -> None:
    """List the GPUs of this machine and the jobs that lease them."""
    gpus = list_gpus()
    for gpu in gpus:
        typer.echo("\n".join(_describe_gpu(gpu)))
    if not gpus:
        typer.echo("no NVIDIA GPU found")


def _describe_gpu(gpu: Gpu) -> list[str]:
    head = f"{gpu.number}  {gpu.name}, {gpu.memory_mib} MiB, {gpu.uuid}"
    leases = []
    for owner in lease_holders(gpu.uuid):
        purpose, pid, since = (owner.get(name) for name in ("purpose", "pid", "since"))
        leases.append(f"   {purpose}: process {pid} since {since}")
    return [head, *(leases or ["   free"])]


def _describe_environment(num_gpus: int) -> Iterator[str]:
    """Yield the packages and the device; `num_gpus` is what a job of the sweep requests."""
    packages = ("torch", "torchvision", "snakemake")
    yield f"packages: {', '.join(f'{name} {version(name)}' for name in packages)}"
    yield _describe_device(num_gpus)
    if not _has_bytecode():
        yield (
            "packages: not compiled to bytecode, so every job starts about 2 s later; reinstall "
            "with `uv pip install --compile-bytecode`"
        )


def _describe_device(num_gpus: int) -> str:
    # Importing torch takes two seconds, and a machine without a GPU needs no answer of it.
    if not num_gpus and not has_nvidia_device():
        return "device: cpu"
    import torch

    if torch.cuda.is_available():
        return f"device: {torch.cuda.get_device_name()} x {torch.cuda.device_count()}"
    # torch silently falls back to the CPU if the driver is older than its CUDA version.
    return (
        f"device: cpu. A GPU is present or requested, but torch (CUDA {torch.version.cuda}) "
        "cannot use it; check the driver"
    )


def _has_bytecode() -> bool:
    """Return whether packages are compiled to bytecode, or will be at the first import."""
    # uv does not compile by default, and some machines forbid Python to write bytecode.
    package = find_spec("torch")
    assert package is not None
    assert package.origin is not None
    compiled = (Path(package.origin).parent / "__pycache__").glob("*.pyc")
    return not sys.dont_write_bytecode or any(compiled)
