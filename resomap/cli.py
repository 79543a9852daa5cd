"""The command `resomap`: its subcommands are the modules of `resomap.commands`.

Neither this module nor those of the subcommands import more than typer and the standard library
at their top, so that `resomap --help` starts at once: what a command needs, it imports itself.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from resomap.commands.check import check
from resomap.commands.choose import choose
from resomap.commands.compare import compare
from resomap.commands.devices import devices
from resomap.commands.init import init
from resomap.commands.measure_pack import measure_pack
from resomap.commands.models import models
from resomap.commands.parity import parity
from resomap.commands.plan import plan
from resomap.commands.run import run
from resomap.commands.ship import ship
from resomap.commands.show import show
from resomap.commands.snakefile import snakefile
from resomap.commands.status import status
from resomap.commands.try_images import try_images
from resomap.errors import ResoMapError

# Of click, of which newer versions of typer have a copy of their own.
UsageError: Any = typer.BadParameter.__base__
COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    "Start": {"init": init, "try": try_images},
    "Before a sweep": {"check": check, "plan": plan, "models": models, "devices": devices},
    "Run it": {"run": run, "snakefile": snakefile},
    "While it runs": {"status": status, "show": show},
    "From its results": {"choose": choose, "compare": compare},
    "For another device": {"parity": parity, "measure-pack": measure_pack, "ship": ship},
}
"""The commands by name, in the groups of `resomap --help`."""


class PlainErrors(TyperGroup):
    """A group of commands that prints wrong usage in two plain lines, without a box."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line; with `standalone_mode=False` errors are raised."""
        if not extra.get("standalone_mode", True):
            return super().main(*args, **extra)
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except typer.Abort:
            typer.echo("stopped", err=True)
            sys.exit(1)
        except UsageError as error:
            message = error.format_message()
            # Blank where no command was given, and its help was printed instead.
            if message:
                path = error.ctx.command_path if error.ctx else "resomap"
                typer.echo(f"error: {message}\n`{path} --help` shows how it is used", err=True)
            sys.exit(error.exit_code)
        sys.exit(code or 0)


app = typer.Typer(cls=PlainErrors, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def resomap() -> None:
    """Find the model and the input resolution for your images and your budget.

    Exit codes: 0 done, 1 a mistake or a failed check, 2 wrong usage. `choose` and
    `parity` have codes of their own for what they find: see their help.

    Example: resomap check --configfile mine.yaml
    """


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


# What `run` does not know belongs to Snakemake.
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}

for _panel, _commands in COMMANDS.items():
    for _name, _command in _commands.items():
        _settings = PASSED_ON if _command is run else None
        _register = app.command(_name, rich_help_panel=_panel, context_settings=_settings)
        _register(printed_errors()(_command))
