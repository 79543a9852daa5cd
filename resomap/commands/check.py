"""The command `resomap check`: configuration, environment, disk space and images."""

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

import typer

from resomap.commands.options import OverlayFiles

if TYPE_CHECKING:
    from resomap.config.schema import Config


def check(configfile: OverlayFiles = None) -> None:
    """Check the configuration, the packages, the disk and every image.

    The exit code is 1 if anything is wrong. Nothing is trained.

    Example: resomap check --configfile mine.yaml
    """
    from resomap.check import check_data, check_recipe
    from resomap.config.load import load_user_config
    from resomap.plan.forecast import estimate_minutes
    from resomap.workflow.checks.recipe_checks import recipe_warnings
    from resomap.workflow.data_digest import read_user_files
    from resomap.workflow.lifecycle import start_message
    from resomap.workflow.resources import gpus_per_job

    config = load_user_config(configfile)
    # Before the first line: a missing folder leaves nothing else to check.
    read_user_files(config)
    cores = os.cpu_count() or 1
    minutes = estimate_minutes(config, cores)
    typer.echo(f"configuration: valid. {start_message(config, minutes, cores)}")
    for line in _describe_environment(gpus_per_job(config)):
        typer.echo(line)
    notes, problems = check_recipe(config)
    problems = [*_device_problems(config), *problems]
    lines, errors = check_data(config, os.cpu_count() or 1)
    for line in [*recipe_warnings(config), *notes, *lines]:
        typer.echo(line)
    for error in [*problems, *errors]:
        typer.echo(f"error: {error}", err=True)
    if problems or errors:
        raise typer.Exit(1)


def _device_problems(config: "Config") -> list[str]:
    """Return what is wrong with the device of the configuration on this machine."""
    from resomap.system.gpu_listing import has_nvidia_device

    # The machine that submits to a cluster often has no GPU.
    if config.system.device != "cuda" or has_nvidia_device() or which("sbatch"):
        return []
    return [
        "config/system.yaml: system.device: cuda, but this machine has no NVIDIA GPU: use auto "
        "or cpu"
    ]


def _describe_environment(num_gpus: int) -> Iterator[str]:
    """Yield the packages and the device; `num_gpus` is what a job of the sweep requests."""
    from importlib.metadata import version

    packages = ("torch", "torchvision", "snakemake")
    yield f"packages: {', '.join(f'{name} {version(name)}' for name in packages)}"
    yield _describe_device(num_gpus)
    if not _has_bytecode():
        yield (
            "packages: not compiled to bytecode, so every job starts about 2 s later; reinstall "
            "with `uv pip install --compile-bytecode`"
        )


def _describe_device(num_gpus: int) -> str:
    from resomap.system.gpu_listing import has_nvidia_device

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
