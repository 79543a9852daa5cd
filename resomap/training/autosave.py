"""When a training saves its state: every so many seconds or steps, and at once on a signal."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from resomap.errors import Stopped
from resomap.training.distributed import Group
from resomap.training.states import StateFolder

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
# The largest share of a training's time that goes into saving. VGG-16 with a moving average
# writes 2 GB: a save of 3 s is followed by at least 150 s without one.
MAX_SAVE_SHARE = 0.02
# Several processes must decide together, which costs a broadcast: they do so every tenth step.
STEPS_PER_AGREEMENT = 10


@dataclass
class Autosave:
    """Saves into `states` every `seconds` or `steps`, for at most MAX_SAVE_SHARE of the time.

    After a signal the state is saved at the end of the step, and Stopped is raised.
    """

    states: StateFolder
    seconds: float
    steps: int | None = None
    group: Group = field(default_factory=Group)

    def __post_init__(self) -> None:
        self._signal: int | None = None
        self._parent = os.getppid()
        self._count = 0
        self._reschedule(0.0)

    def maybe_save(self, get_state: Callable[[], Any], *, before_pause: bool = False) -> None:
        """Save the result of `get_state` if a save is due, and raise Stopped after a signal.

        Called between two steps, by every process of the group. `before_pause`: several
        processes cannot save for a while, because the leader validates alone. What a kill in
        that time would cost is saved before, within the share of the time for saving.
        """
        self._count += 1
        is_due = self._is_due()
        if self.group.world_size > 1:
            self._watch_parent()
            if self._count % STEPS_PER_AGREEMENT and not before_pause:
                return
            is_due = is_due or (before_pause and monotonic() >= self._earliest)
        is_due, signum = self.group.broadcast((is_due, self._signal))
        if is_due or signum:
            self.save(get_state)
        if signum:
            raise Stopped(signum)

    def raise_if_signalled(self) -> None:
        """Raise Stopped after a signal, without a save: only this process knows of it."""
        self._watch_parent()
        if self._signal is not None:
            raise Stopped(self._signal)

    def save(self, get_state: Callable[[], Any]) -> None:
        """Save now; `get_state` is called in every process, the leader writes."""
        started, state = monotonic(), get_state()
        if self.group.is_leader:
            self.states.save(state)
        self._reschedule(monotonic() - started)

    @contextmanager
    def handling_signals(self) -> Iterator[None]:
        """Let SIGNALS end this process after the current step, in `maybe_save`."""
        before = {signum: signal.signal(signum, self._on_signal) for signum in SIGNALS}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _on_signal(self, signum: int, frame: object) -> None:
        # Only noted: in the middle of a step, weights and optimizer belong to different steps.
        self._signal = signum

    def _watch_parent(self) -> None:
        # When torchrun dies, its children get another parent, and the locks that lease their
        # GPUs are released: another job may already be using them.
        if os.getppid() != self._parent:
            self._signal = signal.SIGTERM

    def _reschedule(self, cost: float) -> None:
        """Plan the next save after one that took `cost` seconds."""
        now = monotonic()
        self._earliest = now + cost / MAX_SAVE_SHARE
        self._latest = now + max(self.seconds, cost / MAX_SAVE_SHARE)
        self._last_save = self._count

    def _is_due(self) -> bool:
        now = monotonic()
        by_steps = self.steps is not None and self._count - self._last_save >= self.steps
        return now >= self._latest or (by_steps and now >= self._earliest)
