"""A call of Snakemake on the packaged workflow that this process waits for."""

import subprocess
from collections.abc import Sequence

from resomap.system.workflow_files import snakefile, snakemake_command

INTERRUPTED = 130
"""Exit code after Ctrl-C, as of a shell."""


def call_snakemake(arguments: Sequence[str]) -> int:
    """Run the packaged workflow in this directory; returns the exit code of Snakemake."""
    command = [*snakemake_command(), "--snakefile", str(snakefile())]
    with subprocess.Popen([*command, *arguments]) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # Ctrl-C reaches Snakemake as well, which saves the state of running trainings.
            process.wait()
            return INTERRUPTED
