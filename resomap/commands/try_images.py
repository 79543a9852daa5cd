"""The command `resomap try`: from images to a report and an answer in a few minutes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from resomap.commands.init import (
    Epochs,
    Force,
    Images,
    Margin,
    MaxLatency,
    Models,
    Output,
    OwnFiles,
    Resolutions,
    Seeds,
    Start,
)

MINUTES = 10.0


def try_images(
    images: Images = None,
    minutes: Annotated[float, typer.Option(help="Minutes until the report.")] = MINUTES,
    models: Models = None,
    resolutions: Resolutions = None,
    seeds: Seeds = None,
    epochs: Epochs = None,
    start: Start = None,
    margin: Margin = None,
    max_latency_ms: MaxLatency = None,
    configfile: OwnFiles = None,
    output: Output = Path("resomap.yaml"),
    force: Force = False,
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
) -> None:
    """Go from your images to a report and an answer in ten minutes.

    A sweep that fits the time is written to resomap.yaml and run in this
    directory. The same command again continues one that was interrupted. The end
    names what the time was too short for, and the command that decides it. The
    exit code is 0 also where nothing is decided.

    Example: resomap try photos --minutes 10
    """
    flags = dict(locals())
    from resomap.commands.choose import print_wrapped
    from resomap.report.text.answer import INDENT
    from resomap.suggest.attempt import Attempt, run_attempt
    from resomap.suggest.settings import read_settings, show_command

    settings = read_settings(flags)
    attempt = Attempt(settings, output, show_command("try", flags, MINUTES), force=force)

    def show(lines: Iterable[str]) -> None:
        print_wrapped(lines, INDENT)

    code = run_attempt(attempt, show, open_report=not no_open)
    raise typer.Exit(code)
