"""A regular expression that gives up: some patterns take centuries on a name of thirty letters."""

import re
import signal
import threading
from time import perf_counter
from types import FrameType

TOTAL_SECONDS = 5.0
# What an ordinary pattern may take, far more than it does: a million names are no reason to stop.
SECONDS_PER_NAME = 1e-4


class SlowPattern(Exception):
    """A search that took too long."""


class TimedSearch:
    """A search for `pattern` in one text after another; SlowPattern after seconds in all."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self._compiled = pattern, re.compile(pattern)
        self._left = TOTAL_SECONDS

    def __call__(self, text: str) -> re.Match[str] | None:
        """Return the first match in `text`, or None."""
        self._left += SECONDS_PER_NAME
        started = perf_counter()
        try:
            return self._search(text)
        finally:
            self._left = max(SECONDS_PER_NAME, self._left - (perf_counter() - started))

    def _search(self, text: str) -> re.Match[str] | None:
        # Python delivers signals to the main thread alone. `re` looks for them while it searches.
        if threading.current_thread() is not threading.main_thread():
            return self._compiled.search(text)
        previous = signal.signal(signal.SIGALRM, _stop)
        signal.setitimer(signal.ITIMER_REAL, self._left)
        try:
            return self._compiled.search(text)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)


def _stop(_signum: int, _frame: FrameType | None) -> None:
    raise SlowPattern
