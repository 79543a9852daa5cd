"""One calling convention: a main's annotated signature is its command line, and one error boundary stands around it."""

import argparse
import errno
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from resomap.config.types import Section
from resomap.errors import ResoMapError, Stopped
from resomap.workflow.jobs import Job

NO_SPACE = "no space left; what was saved before is whole: make room and run again"
DISK = {
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: f"over quota, {NO_SPACE}",
    errno.EIO: "the disk or its server failed; what was saved before is whole: run again when it works (`dmesg` may say more)",
    errno.ESTALE: "replaced or removed by another node while it was open here; what was saved before is whole: run again",
}
"""What a disk may tell in the middle of a job, and what a user can do."""


def run_entry_point(main: Callable[..., None]) -> None:
    """Call `main` with `--job JSON` and one `--name` for each further parameter (Path, int, a section as JSON, or a tuple of Paths)."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    for name, parameter in inspect.signature(main).parameters.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", required=True, **_option(parameter.annotation)
        )
    try:
        main(**vars(parser.parse_args()))
    except Stopped as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.exit_code)
    except ResoMapError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno not in DISK:
            raise
        sys.exit(f"error: {error.filename or 'results/'}: {DISK[error.errno]}")


def _option(annotation: Any) -> dict[str, Any]:
    if isinstance(annotation, type) and issubclass(annotation, Job):
        return {"type": annotation.from_json}
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return {"type": annotation.model_validate_json}
    if Path in get_args(annotation):
        return {"type": Path, "nargs": "*"}
    return {"type": annotation}
