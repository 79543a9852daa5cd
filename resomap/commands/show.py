"""The command `resomap show`: all that is known of one run."""

from pathlib import Path
from typing import Annotated

import typer

from resomap.commands.completion import complete_runs
from resomap.commands.options import SweepDirectory


def show(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            autocompletion=complete_runs,
            help="Folder of the run, or enough of it: custom/tiny_cnn/r48/seed0, tiny_cnn/r48/seed0.",
        ),
    ],
    directory: SweepDirectory = Path(),
    command: Annotated[
        bool,
        typer.Option("--command", help="Print only the shell command of its training."),
    ] = False,
) -> None:
    """Show one run: recipe, scores, environment, time and files.

    It ends with the command that trains this run again.

    Example: resomap show tiny_cnn/r48/seed0
    """
    from resomap.status.find_run import find_run
    from resomap.status.run_record import describe_run, training_command

    folder, name = find_run(run, directory)
    if command:
        typer.echo(training_command(folder, name))
    else:
        typer.echo("\n".join(describe_run(folder, name)))
