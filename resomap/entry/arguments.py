"""The command line and the error handling of every entry point."""

import argparse
import inspect
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, get_args

from resomap.config.types import Section
from resomap.errors import ResoMapError, Stopped
from resomap.system import quick_exit
from resomap.system.interrupts import STOPPED
from resomap.system.os_errors import describe_system_error
from resomap.workflow.jobs import Job
from resomap.workflow.receipts import writing_receipt


@quick_exit.ending_quickly()
def run_entry_point(main: Callable[..., None]) -> None:
    """Call `main` with its arguments from the command line, and print errors without a traceback.

    Each parameter of `main` is a required option: `--job JSON`, and `--name VALUE` for a Path, an
    int, a section as JSON, or a tuple of Paths. With `--receipt PATH`, the outputs are tested
    for write access before `main` starts, and their receipt is written when it has succeeded.
    """
    parser = _build_parser(main)
    parser.add_argument("--receipt", type=Path)
    try:
        arguments = vars(parser.parse_args())
        receipt = arguments.pop("receipt")
        with writing_receipt(receipt, arguments["job"]) if receipt else nullcontext():
            main(**arguments)
    except Stopped as stop:
        print(stop, file=sys.stderr)
        # Not 0: SLURM counts a job that got SIGTERM as failed, and only a retry resumes it.
        sys.exit(stop.exit_code)
    except ResoMapError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        # Trainings save their state first and raise Stopped.
        print(STOPPED, file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        message = describe_system_error(error)
        # Others are bugs, whose traceback is needed.
        if message is None:
            raise
        sys.exit(f"error: {message}")


def _build_parser(main: Callable[..., None]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=main.__doc__)
    for name, parameter in inspect.signature(main).parameters.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, required=True, **_option_settings(parameter.annotation))
    return parser


def _option_settings(annotation: Any) -> dict[str, Any]:
    if isinstance(annotation, type) and issubclass(annotation, Job):
        return {"type": annotation.from_json}
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return {"type": annotation.model_validate_json}
    if Path in get_args(annotation):
        return {"type": Path, "nargs": "*"}
    return {"type": annotation}
