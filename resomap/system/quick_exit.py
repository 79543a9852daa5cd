"""End a finished job without taking its modules apart, which takes PyTorch a second of CPU time.

The packages of the entry points import this module before any library, and importing it is what
counts: functions that libraries register with `atexit` later run earlier, and so all of them run.
"""

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_exit_codes: list[int] = []


@contextmanager
def ending_quickly() -> Iterator[None]:
    """Let this process end at once after the block, which returns or raises SystemExit."""
    try:
        yield
    except SystemExit as stop:
        # Of a message Python makes 1, and prints it.
        code = 0 if stop.code is None else stop.code
        _exit_codes.append(code if isinstance(code, int) else 1)
        raise
    _exit_codes.append(0)


def register() -> None:
    """Let this process end at once after `ending_quickly`.

    After an exception that nothing handles it ends as any other process.
    """
    atexit.register(_end)


def _end() -> None:
    if _exit_codes:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:  # Python reports it
            return
        os._exit(_exit_codes[-1])


# While the packages of a module that `python -m` runs are imported, `-m` stands for its path.
if sys.argv[:1] == ["-m"]:
    register()
