"""The end of the log of a job, where all that matters stands."""

import re
from pathlib import Path

TAIL_BYTES = 2**14


def last_line(log: Path) -> str:
    """Return the last line of a log; its last error where there is one; blank without a log."""
    # A progress bar returns to the start of its line instead of ending it.
    lines = [line.strip() for line in re.split(r"[\r\n]", read_tail(log)) if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return [*lines, *errors][-1] if lines else ""


def read_tail(log: Path) -> str:
    """Return the end of a log, where all that matters stands; blank without a log."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - TAIL_BYTES))
            return stream.read().decode(errors="replace")
    except FileNotFoundError:  # Snakemake removes it before each try
        return ""
