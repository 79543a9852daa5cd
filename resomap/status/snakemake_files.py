"""The files that Snakemake leaves in a working directory: locks and marks of jobs that began.

As Snakemake 9.27 writes them (its persistence/file.py).
"""

import socket
from pathlib import Path
from typing import Literal

from resomap.workflow.snakemake_records import SNAKEMAKE_FOLDER, record_name

HEADER_LINES = 20
"""Lines of Snakemake's log that may hold the name of the host."""
SnakemakeState = Literal["here", "elsewhere", "killed", "none"]


def find_snakemake(folder: Path = SNAKEMAKE_FOLDER) -> SnakemakeState:
    """Return whether Snakemake runs in the directory of `folder`: here, on another machine, or not at all.

    `killed` means that it ran here and left its lock.
    """
    directory = folder.resolve().parent
    # Processes first: after a SIGKILL the lock stays until `snakemake --unlock`.
    processes = Path("/proc").glob("[0-9]*")
    if any(_runs_snakemake(process, directory) for process in processes):
        return "here"
    if not any((folder / "locks").glob("*.lock")):
        return "none"
    # The processes of another machine are not visible from here, only its name in the log.
    return "killed" if _last_host(folder) == socket.gethostname() else "elsewhere"


def _runs_snakemake(process: Path, directory: Path) -> bool:
    try:
        command = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        # `snakemake`, which is `python snakemake`, or `python -P -m snakemake`
        named = any(Path(word).name == "snakemake" for word in command[:4])
        return named and (process / "cwd").readlink() == directory
    except OSError:  # the process of another user, or one that has ended
        return False


def _last_host(folder: Path) -> str:
    """Return the machine on which Snakemake ran last; dry runs write no log."""
    # The name of a log starts with its time, so the last name is the newest.
    log = max((folder / "log").glob("*.snakemake.log"), default=None)
    if log is None:
        return ""
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[:HEADER_LINES]:
        if line.strip().startswith("Host:"):
            return line.partition(":")[2].strip()
    return ""


def submission_time(output: str, folder: Path = SNAKEMAKE_FOLDER) -> float:
    """Return when Snakemake submitted the job of `output` (since 1970, s); 0 if it ended."""
    # The mark is made at submission and removed at the end; a job that was cut short keeps it.
    try:
        return (folder / "incomplete" / record_name(output)).stat().st_mtime
    except FileNotFoundError:
        return 0.0
