"""The command `resomap`: check, plan and watch a sweep, choose from its results, list devices."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from resomap.choosing import choose
from resomap.config.flags import apply_flags
from resomap.config.library_names import (
    INSTALL_TIMM,
    find_model,
    matching_names,
    only_name,
    registered_names,
)
from resomap.config.load import SHIPPED_CONFIG, load_config
from resomap.config.schema import Config
from resomap.errors import ConfigError, ResoMapError
from resomap.packing import measure_pack
from resomap.parity import parity
from resomap.plan.forecast import estimate_minutes
from resomap.shipping.command import ship
from resomap.status.summary import read_status
from resomap.status.table import status_lines
from resomap.system.gpu_listing import Gpu, has_nvidia_device, list_gpus
from resomap.system.gpus import lease_holders
from resomap.text import format_count
from resomap.workflow.checks.recipe_checks import recipe_warnings
from resomap.workflow.data_digest import read_user_files
from resomap.workflow.lifecycle import RUN_CONFIG, read_run_config, start_message
from resomap.workflow.resources import gpus_per_job

OverlayFiles = Annotated[
    list[Path] | None,
    typer.Option(help="YAML file with your changes to config/. Repeat it for several files."),
]

CARD_SIDES = (64, 128, 224)

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
        notes, problems = check_recipe(config)
        lines, errors = check_data(config, os.cpu_count() or 1)
    for line in [*recipe_warnings(config), *notes, *lines]:
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
    from resomap.analysis.decision.outlook import SweepSize
    from resomap.plan.measure import plan_sweep
    from resomap.plan.table import plan_lines
    from resomap.report.text.outlook import describe_outlook

    with _printed_errors():
        config = load_config(SHIPPED_CONFIG, configfile or [])
        # Progress goes to stderr, so that the plan can be piped.
        estimate = plan_sweep(config, gpus, jobs, rate, lambda line: typer.echo(line, err=True))
    size = SweepSize(
        cells=len(config.sweep.models) * len(config.sweep.resolutions),
        seeds=len(config.sweep.seeds),
        val=estimate["images"]["val"],
        test=estimate["images"]["test"],
    )
    typer.echo("\n".join([*plan_lines(estimate), *describe_outlook(size, config.report)]))


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
        return read_run_config(Path())
    except ConfigError as error:
        raise ConfigError(
            f"{error}\npass the sweep's own files: --configfile mine.yaml"
        ) from error


@contextmanager
def _printed_errors() -> Iterator[None]:
    """Print errors that a user can correct without a traceback, and exit with code 1."""
    try:
        yield
    except ResoMapError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        # One that names no file is no mistake in a path.
        if error.filename is None:
            raise
        typer.echo(f"error: {error.filename}: {error.strerror}", err=True)
        raise typer.Exit(1) from None


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Directory of a sweep.")],
    second: Annotated[Path, typer.Argument(help="Directory of the other sweep.")],
    confidence: Annotated[
        float | None, typer.Option(help="Confidence level. Default: that of the first sweep.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two sweeps of the same test images: what differs, and by how much."""
    from resomap.analysis.sweep_comparison import compare_sweeps, read_runs
    from resomap.report.text.comparison import comparison_lines

    with _printed_errors():
        config, other = read_run_config(first), read_run_config(second)
        rules = apply_flags(config.report, {"confidence": confidence})
        sweeps = read_runs(first, config), read_runs(second, other)
        record = compare_sweeps(*sweeps, rules.confidence)
    typer.echo(json.dumps(record, indent=1) if as_json else "\n".join(comparison_lines(record)))


for _command in (choose, parity, ship, measure_pack):
    app.command()(_printed_errors()(_command))


@app.command()
def models(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATTERN]", help="A name, part of one, or a pattern with *."),
    ] = None,
    resolutions: Annotated[
        list[int] | None,
        typer.Option(help="Sides in pixels, at which one model is described: 64 128 224."),
    ] = None,
    configfile: OverlayFiles = None,
) -> None:
    """List the models that can be built, or describe one at several resolutions.

    Parameters and multiply-accumulates are those of a classifier of 1000 classes.
    """
    # `--resolutions 64 128`: the first belongs to the option, the others follow as words.
    sides = [*(resolutions or []), *(int(word) for word in words or () if word.isdecimal())]
    patterns = [word for word in words or () if not word.isdecimal()]
    with _printed_errors():
        if len(patterns) > 1:
            raise ConfigError(f"give one name or pattern, not {' '.join(patterns)}")
        if min(sides, default=1) < 1:
            raise ConfigError(f"--resolutions: {min(sides)} is no side in pixels")
        pattern = patterns[0] if patterns else "*"
        known = load_config(SHIPPED_CONFIG, configfile or []).models
        model = find_model(pattern, known)
        names = [] if model else matching_names(pattern, known)
        if sides and names:
            model = find_model(only_name(names, "--resolutions"), known)
        if model is None:
            typer.echo("\n".join(names))
            count = format_count(len(names), "model")
            typer.echo(f"{count}; `resomap models NAME` describes one", err=True)
            if not registered_names("timm"):
                typer.echo(f"timm is not installed: {INSTALL_TIMM}", err=True)
            return
        # Imported here: it loads torch, which takes a second.
        from resomap.network_card import card_lines

        typer.echo("\n".join(card_lines(model, sides or CARD_SIDES)))


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
