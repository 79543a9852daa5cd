"""The command `resomap run`: Snakemake on the workflow of the package, in this directory."""

import os
import sys

import typer


def run(context: typer.Context) -> None:
    """Run the sweep in this directory by Snakemake, up to its report.

    Without --configfile it uses resomap.yaml of this directory, else the
    shipped example. Targets (train, evaluate, profile, explain, tables,
    figures, report, a file) and every option of Snakemake are passed on, and
    the exit code is that of Snakemake.

    Example: resomap run train --cores 4
    """
    from resomap.system.workflow_files import snakefile, snakemake_command
    from resomap.workflow.command_line import put_config_files_first

    options = put_config_files_first(context.args, ["--snakefile", str(snakefile())])
    # Replaces this process, so that signals and the exit code are Snakemake's own.
    os.execv(sys.executable, [*snakemake_command(), *options])  # noqa: S606
