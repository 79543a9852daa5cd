"""Snakemake's records of the jobs that ended, as version 9.27 writes them (its persistence/file.py).

One file per output, named by the output's path in base64.
"""

from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

from resomap.errors import DataError
from resomap.system.files import read_json

SNAKEMAKE_FOLDER = Path(".snakemake")
MAX_NAME_BYTES = 255
"""Longest name of a file, on every file system in use."""


def read_record(output: str, folder: Path = SNAKEMAKE_FOLDER) -> dict[str, Any]:
    """Return Snakemake's record of the last job for `output` (rule, starttime, endtime, params ...).

    Empty where no job ended.
    """
    try:
        return dict(read_json(folder / "metadata" / record_name(output)))
    except (FileNotFoundError, ValueError, DataError):  # it is being written
        return {}


def record_name(output: str) -> Path:
    """Return the path of the mark and the record of `output` in their folders.

    A name too long for one file is split into folders that begin with @.
    """
    # As Snakemake does; a directory component has one byte less, for its @.
    encoded, step = urlsafe_b64encode(output.encode()).decode(), MAX_NAME_BYTES - 1
    *folders, name = (encoded[start : start + step] for start in range(0, len(encoded), step))
    return Path(*(f"@{folder}" for folder in folders), name)
