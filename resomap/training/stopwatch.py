"""The time of what repeats. Every duration is an array of two: seconds on the wall, and CPU seconds of the process."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import CLOCK_BOOTTIME, clock_gettime, perf_counter, process_time
from typing import Any

import numpy as np
import torch


class Enough(Exception):
    """All steps that were wanted have been taken."""


@dataclass
class Steps:
    """Takes the time of steps, a stretch of them from one wait for the device to the next; `stretches` are seconds a step in each.

    A stretch has `least` steps and `seconds` or more. `step` raises Enough at the end of `wanted` stretches, or of two where these took
    more than `longest` seconds. `first` is the age of the process at the end of the first step.
    """

    device: torch.device
    wanted: int
    least: int
    seconds: float
    longest: float
    stretches: list[np.ndarray] = field(default_factory=list)
    first: np.ndarray | None = None

    def __post_init__(self) -> None:
        self._taken, self._since = 0, now()
        self._deadline = self._since[0] + self.longest

    def step(self) -> None:
        """A step has ended."""
        self._taken += 1
        if self.first is None:
            _wait(self.device)
            self.first = age()
        if self._taken >= self.least and now()[0] - self._since[0] >= self.seconds:
            self._close_stretch()

    def _close_stretch(self) -> None:
        _wait(self.device)
        here = now()
        self.stretches.append((here - self._since) / self._taken)
        if len(self.stretches) == self.wanted or (
            len(self.stretches) >= 2 and here[0] > self._deadline
        ):
            raise Enough
        self._taken, self._since = 0, here


def repeated(work: Callable[[], Any], seconds: float) -> np.ndarray:
    """The middle of what `work`, which waits for the device by itself, takes once it has been done; for `seconds` or once more."""
    work()
    taken, began = list[np.ndarray](), now()
    while not taken or now()[0] - began[0] < seconds:
        since = now()
        work()
        taken.append(now() - since)
    return np.asarray(np.median(taken, axis=0))


def now() -> np.ndarray:
    """Both clocks."""
    return np.array([perf_counter(), process_time()])


def age() -> np.ndarray:
    """Of this process, since it was started."""
    told = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    started = int(told[19]) / os.sysconf("SC_CLK_TCK")  # since the machine's boot
    return np.array([clock_gettime(CLOCK_BOOTTIME) - started, process_time()])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
