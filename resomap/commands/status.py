"""The command `resomap status`: the progress of the sweep in this directory."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resomap.commands.options import OverlayFiles
from resomap.errors import ConfigError

if TYPE_CHECKING:
    from resomap.config.schema import Config
    from resomap.status.summary import SweepStatus

DEFAULT_SECONDS = 5.0
SHORTEST_SECONDS = 0.2


def status(
    seconds: Annotated[
        float | None,
        typer.Argument(
            metavar="SECONDS",
            min=SHORTEST_SECONDS,
            help=f"With --watch: seconds between two views, {DEFAULT_SECONDS:g} by default.",
            show_default=False,
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again until the sweep is done or ends.")
    ] = False,
    configfile: OverlayFiles = None,
) -> None:
    """Show the progress of the sweep in this directory.

    Without --configfile it shows the sweep that ran here last, running or not.
    Nothing is started or changed.

    Example: resomap status --watch 10
    """
    if seconds is not None and not watch:
        raise ConfigError(f"{seconds:g} seconds between two views need --watch")
    views = _views(configfile, seconds or DEFAULT_SECONDS)
    if not watch:
        typer.echo(next(views))
    elif sys.stdout.isatty():
        redraw(views)
    else:
        _print_changes(views)


def _views(configfile: list[Path] | None, seconds: float) -> Iterator[str]:
    """Yield the status as text, again and again until nothing more can change."""
    from resomap.status.summary import read_status
    from resomap.status.table import status_lines
    from resomap.workflow.receipts import forget_reads

    while True:
        forget_reads()  # else a file that changed since would count as read
        status = read_status(_load_config(configfile))
        yield "\n".join(status_lines(status))
        if _is_over(status):
            return
        time.sleep(seconds)


def _is_over(status: "SweepStatus") -> bool:
    is_running = status.snakemake in ("here", "elsewhere")
    return not is_running or len(status.select("", "done")) == len(status.jobs)


def redraw(views: Iterator[str]) -> None:
    """Show each view in place of the one before; Ctrl-C ends it."""
    from rich.live import Live
    from rich.text import Text

    try:
        with Live(auto_refresh=False, vertical_overflow="crop") as live:
            for view in views:
                live.update(Text(view), refresh=True)
    except KeyboardInterrupt:
        return


def _print_changes(views: Iterator[str]) -> None:
    """Print each view that differs from the one before, with an empty line between them."""
    before = ""
    for view in views:
        if view != before:
            typer.echo(f"\n{view}" if before else view)
        before = view


def _load_config(configfile: list[Path] | None) -> "Config":
    """Return the given configuration, or the one that the last sweep wrote into this directory."""
    from resomap.config.load import load_user_config
    from resomap.workflow.lifecycle import RUN_CONFIG, read_run_config

    # The overlays of the last sweep are not repeated here, so its merged copy is read.
    if configfile or not RUN_CONFIG.exists():
        return load_user_config(configfile)
    try:
        return read_run_config(Path())
    except ConfigError as error:
        raise ConfigError(
            f"{error}\npass the sweep's own files: --configfile mine.yaml"
        ) from error
