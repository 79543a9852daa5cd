"""The command `resomap run`: Snakemake on the workflow of the package, in this directory."""

import os
import re
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from resomap.errors import ConfigError

ROUNDS = "Rounds"
DRY_RUN = re.compile(r"--dry-?run|-[a-zA-Z]*n[a-zA-Z]*")
# Rounds read the configuration themselves, in this directory.
NOT_IN_ROUNDS = {
    "--config": "write the values to a file and name it after --configfile",
    "-C": "write the values to a file and name it after --configfile",
    "--directory": "call resomap in that directory",
    "-d": "call resomap in that directory",
}


def run(
    context: typer.Context,
    until_settled: Annotated[
        bool,
        typer.Option(
            "--until-settled",
            rich_help_panel=ROUNDS,
            help="Train in rounds, and stop when the answer is settled.",
        ),
    ] = False,
    budget_hours: Annotated[
        float | None,
        typer.Option(
            metavar="HOURS",
            min=0,
            rich_help_panel=ROUNDS,
            help="With --until-settled: start no round that would end later.",
        ),
    ] = None,
    max_seeds: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            min=1,
            rich_help_panel=ROUNDS,
            help="With --until-settled: use at most so many of sweep.seeds.",
        ),
    ] = None,
) -> None:
    """Run the sweep in this directory by Snakemake, up to its report.

    Without --configfile it uses resomap.yaml of this directory, else the
    shipped example. Targets (train, evaluate, profile, explain, tables,
    figures, report, a file) and every option of Snakemake are passed on, and
    the exit code is that of Snakemake.

    With --until-settled only the trainings run that the answer depends on, in
    rounds of one seed; a later call without it completes the grid.

    Example: resomap run --until-settled --cores 4
    """
    from resomap.system.workflow_files import snakefile, snakemake_command
    from resomap.workflow.command_line import put_config_files_first

    if until_settled:
        raise typer.Exit(_run_rounds(context.args, budget_hours, max_seeds))
    if budget_hours is not None or max_seeds is not None:
        raise ConfigError("--budget-hours and --max-seeds need --until-settled")
    options = put_config_files_first(context.args, ["--snakefile", str(snakefile())])
    # Replaces this process, so that signals and the exit code are Snakemake's own.
    os.execv(sys.executable, [*snakemake_command(), *options])  # noqa: S606


def _run_rounds(
    arguments: Sequence[str], budget_hours: float | None, max_seeds: int | None
) -> int:
    from resomap.commands.choose import print_wrapped
    from resomap.config.load import load_user_config
    from resomap.report.text.answer import INDENT
    from resomap.rounds.loop import RoundOptions, run_rounds
    from resomap.workflow.command_line import config_files, put_config_files_first

    for word in arguments:
        advice = NOT_IN_ROUNDS.get(word.partition("=")[0])
        if advice:
            raise ConfigError(f"--until-settled does not take {word}: {advice}")
    options = RoundOptions(
        # An option ends the list of files, so that no target is taken for one.
        arguments=tuple(put_config_files_first(arguments, ["--rerun-incomplete"])),
        hours=budget_hours,
        max_seeds=max_seeds,
        dry_run=any(DRY_RUN.fullmatch(word) for word in arguments),
    )
    config = load_user_config(config_files(arguments) or None)
    return run_rounds(config, options, lambda lines: print_wrapped(lines, INDENT))
