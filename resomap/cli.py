"""The command `resomap`: its subcommands are the modules of `resomap.commands`.

Neither this module nor those of the subcommands import more than typer and the standard library
at their top, so that `resomap --help` starts at once: what a command needs, it imports itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from resomap.commands.check import check
from resomap.commands.choose import choose
from resomap.commands.compare import compare
from resomap.commands.devices import devices
from resomap.commands.measure_pack import measure_pack
from resomap.commands.models import models
from resomap.commands.parity import parity
from resomap.commands.plan import plan
from resomap.commands.ship import ship
from resomap.commands.status import status
from resomap.errors import ResoMapError

COMMANDS = (check, plan, status, choose, compare, models, parity, ship, measure_pack, devices)

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def resomap() -> None:
    """Find the model and the input resolution for your images and your budget."""


@contextmanager
def printed_errors() -> Iterator[None]:
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


for _command in COMMANDS:
    app.command()(printed_errors()(_command))
