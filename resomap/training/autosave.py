"""When a training saves its state: by the clock, by steps, and at once when it is told to end."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from resomap.errors import Stopped
from resomap.training.distributed import Group
from resomap.training.states import States

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
SHARE = 0.02
"""Largest share of a training's time that saving takes: what a save costs decides how long the next one waits."""
TOGETHER = 10
"""Steps between two looks at the clock where several processes must agree on it."""


@dataclass
class Autosave:
    """Saves into `states` every `seconds`, or every `steps`, but never for more than SHARE of the time; raises Stopped on a signal."""

    states: States
    seconds: float
    steps: int | None = None
    group: Group = field(default_factory=Group)

    def __post_init__(self) -> None:
        self._signal: int | None = None
        self._parent = os.getppid()
        self._count = 0
        self._waits(0.0)

    def consider(self, take: Callable[[], Any]) -> None:
        """Between two steps: save what `take` returns if it is time to, and end if a signal came. Every process must ask."""
        self._count += 1
        if (
            self.group.world > 1 and os.getppid() != self._parent
        ):  # torchrun died, and the lease of the GPUs with it
            self._signal = signal.SIGTERM
        if self.group.world > 1 and self._count % TOGETHER:
            return
        due, signum = self.group.share((self._due(), self._signal))
        if due or signum:
            self.save(take)
        if signum:
            raise Stopped(signum)

    def save(self, take: Callable[[], Any]) -> None:
        """Save now."""
        started, tree = monotonic(), take()
        if self.group.leads:
            self.states.save(tree)
        self._waits(monotonic() - started)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take signals that ask this process to end as a wish, which `consider` fulfils."""
        before = {signum: signal.signal(signum, self._hear) for signum in SIGNALS}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _hear(self, signum: int, frame: object) -> None:
        self._signal = signum

    def _waits(self, cost: float) -> None:
        self._earliest = monotonic() + cost / SHARE
        self._latest = monotonic() + max(self.seconds, cost / SHARE)
        self._since = self._count

    def _due(self) -> bool:
        now = monotonic()
        by_steps = self.steps is not None and self._count - self._since >= self.steps
        return now >= self._latest or (by_steps and now >= self._earliest)
