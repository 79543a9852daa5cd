"""Ctrl-C while a job still imports its modules: a line instead of a traceback.

The packages of the entry points import this module first, and importing it is what counts:
torch alone takes seconds to import, and `run_entry_point` is called after that.
"""

import sys
from types import TracebackType

STOPPED = "stopped by SIGINT; the same command runs this job again"


def print_exception(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Print a line about an interrupt, and any other exception as Python does."""
    if issubclass(kind, KeyboardInterrupt):
        print(STOPPED, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


sys.excepthook = print_exception
