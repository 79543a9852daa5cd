"""`resomap` for people: is this configuration right, are the pictures whole, is this environment able, what will a sweep take, and where does it stand."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from resomap.config.load import build_config, load_config, read_yaml
from resomap.config.schema import Config
from resomap.errors import ConfigError, ResoMapError
from resomap.plan.forecast import estimate_minutes
from resomap.status.summary import read_status
from resomap.status.table import status_lines
from resomap.system.gpus import lease_holders, list_gpus
from resomap.workflow.code_digest import PACKAGE
from resomap.workflow.lifecycle import RUN_CONFIG, start_message
from resomap.workflow.resources import gpus_per_job

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
CONFIG = PACKAGE.parent / "config"


@app.callback()
def resomap() -> None:
    """Which model, at which resolution, for my pictures and my budget?"""


@app.command()
def check(
    configfile: Annotated[
        list[Path] | None, typer.Option(help="Your file on top of config/; may be given again.")
    ] = None,
) -> None:
    """Check the configuration, the environment and every picture, and say what the sweep would need; exit 1 when something is wrong."""
    from resomap.check import inspect, needs  # draws, so it loads pandas and seaborn

    with _one_error_boundary():
        config = load_config(CONFIG, configfile or [])
        typer.echo(f"configuration: fine. {start_message(config, estimate_minutes(config))}")
        typer.echo(
            f"packages: torch {version('torch')}, torchvision {version('torchvision')}, snakemake {version('snakemake')}"
        )
        for remark in [
            *_device_remarks(gpus_per_job(config)),
            *_bytecode_remarks(),
            *needs(config),
        ]:
            typer.echo(remark)
        told, bad = inspect(config, os.cpu_count() or 1)
    typer.echo("\n".join(told))
    if bad:
        typer.echo(
            "\n  ".join(
                [f"error: {len(bad)} of the files are no pictures that can be used:", *bad]
            ),
            err=True,
        )
        raise typer.Exit(1)


@app.command()
def plan(
    configfile: Annotated[
        list[Path] | None, typer.Option(help="Your file on top of config/; may be given again.")
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option(
            help="GPUs that the sweep will have, of this machine's kind; left out: as many as are here."
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(help="Without GPUs: jobs at once; left out: as many as there are cores."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Price of a GPU hour; without GPUs of a core hour.")
    ] = None,
) -> None:
    """Measure a training step of every cell on this machine (once: it is kept), and say what the sweep will take and cost."""
    from resomap.plan.measure import plan_sweep  # as above
    from resomap.plan.table import plan_lines

    with _one_error_boundary():
        config = load_config(CONFIG, configfile or [])
        told = plan_sweep(config, gpus, jobs, rate, lambda line: typer.echo(line, err=True))
    typer.echo("\n".join(plan_lines(told)))


@app.command()
def status(
    configfile: Annotated[
        list[Path] | None,
        typer.Option(
            help="The sweep's files on top of config/; left out: the sweep that ran here last."
        ),
    ] = None,
) -> None:
    """Say where the sweep in this directory stands: beside it or after it, here or on a cluster; nothing is started or changed."""
    with _one_error_boundary():
        config = (
            load_config(CONFIG, configfile or [])
            if configfile or not RUN_CONFIG.exists()
            else _config_that_ran()
        )
        told = list(status_lines(read_status(config)))
    typer.echo("\n".join(told))


def _config_that_ran() -> Config:
    try:
        return build_config(read_yaml(RUN_CONFIG))
    except ConfigError as error:
        raise ConfigError(
            f"{RUN_CONFIG}, which another version wrote: {error}\nname the sweep's own files: --configfile mine.yaml"
        ) from error


@contextmanager
def _one_error_boundary() -> Iterator[None]:
    try:
        yield
    except ResoMapError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


@app.command()
def devices() -> None:
    """The GPUs of this machine, and which jobs hold them."""
    gpus = list_gpus()
    for gpu in gpus:
        typer.echo(f"{gpu.number}  {gpu.name}, {gpu.memory_mib} MiB, {gpu.uuid}")
        holders = [
            f"   {told.get('purpose')}: process {told.get('pid')} since {told.get('since')}"
            for told in lease_holders(gpu.uuid)
        ]
        typer.echo("\n".join(holders) or "   free")
    if not gpus:
        typer.echo("no NVIDIA GPU here")


def _device_remarks(wanted: int) -> list[str]:
    import torch

    card = any(Path("/dev").glob("nvidia[0-9]*"))
    if torch.cuda.is_available():
        return [f"device: {torch.cuda.get_device_name()} x {torch.cuda.device_count()}"]
    if card or wanted:
        return [
            f"device: cpu. A GPU is present or asked for, but torch (CUDA {torch.version.cuda}) cannot use it: is the driver too old?"
        ]
    return ["device: cpu"]


def _bytecode_remarks() -> list[str]:
    import torch

    compiled = list((Path(torch.__file__).parent / "__pycache__").glob("*.pyc"))
    if compiled or not sys.dont_write_bytecode:
        return []
    return [
        "packages are not compiled to bytecode: every job starts about 2 s later; reinstall with `uv pip install --compile-bytecode`"
    ]
