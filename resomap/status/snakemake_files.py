"""What Snakemake leaves in a working directory: a lock, a mark of every job that was started, a record of every job that ended.

As Snakemake 9.27 writes them (its persistence/file.py): a file an output, named by the output's path in base64.
"""

import socket
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any, Literal

from resomap.system.files import read_json

FOLDER = Path(".snakemake")
NAME_MAX = 255
"""Bytes of a file's name, on every file system that is in use for this."""
Driver = Literal["here", "elsewhere", "killed", "none"]


def find_driver(folder: Path = FOLDER) -> Driver:
    """Whether Snakemake is at work on the directory of `folder`: on this machine, on another, or on none; `killed` where its lock outlived it."""
    if any(
        _runs_snakemake(process, folder.resolve().parent)
        for process in Path("/proc").glob("[0-9]*")
    ):
        return "here"
    if not any((folder / "locks").glob("*.lock")):
        return "none"
    return "killed" if _last_host(folder) == socket.gethostname() else "elsewhere"


def _runs_snakemake(process: Path, directory: Path) -> bool:
    try:
        words = (
            (process / "cmdline").read_bytes().decode(errors="replace").split("\0")[:3]
        )  # snakemake, or python -m snakemake
        return (
            any(Path(word).name == "snakemake" for word in words)
            and (process / "cwd").readlink() == directory
        )
    except OSError:  # another user's, or gone
        return False


def _last_host(folder: Path) -> str:
    """The machine on which Snakemake last ran; dry runs write no log."""
    log = max((folder / "log").glob("*.snakemake.log"), default=None)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[:20] if log else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.strip().startswith("Host:")),
        "",
    )


def marked_since(output: str, folder: Path = FOLDER) -> float:
    """When the job of `output` was given out (seconds since 1970), if it has not ended: it is at work, queued, or was cut short; else 0."""
    try:
        return (folder / "incomplete" / name_of(output)).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def read_record(output: str, folder: Path = FOLDER) -> dict[str, Any]:
    """What is known of the last job that made `output`, or was to make it (rule, starttime, endtime, params ...); nothing where none ended."""
    try:
        return dict(read_json(folder / "metadata" / name_of(output)))
    except (FileNotFoundError, ValueError):  # ValueError: it is being written
        return {}


def name_of(output: str) -> Path:
    """Where the mark and the record of `output` lie: a path that is too long for one name goes through folders that begin with @."""
    encoded, step = urlsafe_b64encode(output.encode()).decode(), NAME_MAX - 1
    *folders, name = (encoded[start : start + step] for start in range(0, len(encoded), step))
    return Path(*(f"@{folder}" for folder in folders), name)
