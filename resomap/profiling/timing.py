"""Latency, measured so that drift, neighbours and order cannot pass for a difference between cells."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median, stdev

import numpy as np
import torch

from resomap.sections import Profiling

FEWEST_REPETITIONS = 3
"""Of a cell in one round, however long one takes."""
ENOUGH_FOR_P99 = 1000
ALONE = 0.9
"""A measuring thread that had the CPU for less than this share of its time was crowded out by others."""

Cell = Callable[[], object]


class Clock:
    """Times one call of a cell that is done when it returns, by the host's clocks in seconds."""

    def wall(self) -> float:
        """Time that has passed."""
        return time.perf_counter()

    def cpu(self) -> float:
        """Time that this thread has spent on a CPU."""
        return time.thread_time()

    def latency_ms(self, cell: Cell) -> float:
        """Milliseconds of one call."""
        start = self.wall()
        cell()
        return (self.wall() - start) * 1e3


class CudaClock(Clock):
    """Times one call of a cell that runs on the current CUDA device, launches included, by events around it."""

    def latency_ms(self, cell: Cell) -> float:
        """Milliseconds between the events, read when the device has finished."""
        # Polled and not slept on, so that the thread's share of a CPU still tells a crowded machine.
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        cell()
        end.record()
        while not end.query():
            pass
        return start.elapsed_time(end)


@dataclass
class Timing:
    """Latencies of one cell in ms, by round, and the wall and CPU seconds of the thread that measured; empty until measured."""

    rounds: list[list[float]] = field(default_factory=list)
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def latencies_ms(self) -> list[float]:
        """Every repetition."""
        return [latency for latencies in self.rounds for latency in latencies]

    @property
    def round_medians_ms(self) -> list[float]:
        """The median of each round."""
        return [median(latencies) for latencies in self.rounds]

    @property
    def relative_spread(self) -> float | None:
        """Standard deviation of the round medians over their median: the error of the latency, drift included."""
        medians = self.round_medians_ms
        return stdev(medians) / median(medians) if len(medians) > 1 else None

    @property
    def cpu_share(self) -> float | None:
        """CPU time over wall time of the measuring thread: what is missing to 1 it spent waiting for a CPU or for its helpers."""
        return self.cpu_seconds / self.wall_seconds if self.rounds else None

    @property
    def valid(self) -> bool:
        """Whether something was measured, and no neighbour crowded it out."""
        return self.cpu_share is not None and self.cpu_share >= ALONE

    def percentile_ms(self, percent: float) -> float | None:
        """The latency that `percent` of the repetitions stay under; None without any, and for p99 of fewer than 1,000."""
        latencies = self.latencies_ms
        fewest = ENOUGH_FOR_P99 if percent >= 99 else 1
        return float(np.percentile(latencies, percent)) if len(latencies) >= fewest else None


def measure_rounds(cells: Sequence[Cell], profiling: Profiling, clock: Clock, seed: int = 0) -> list[Timing]:
    """Warm every cell up, then time all of them in each round, in an order drawn anew from `seed`; one Timing a cell."""
    for cell in cells:
        _repeat(cell, profiling.warmup_seconds, clock, fewest=1)
    timings = [Timing() for _ in cells]
    generator = random.Random(seed)
    for _ in range(profiling.rounds):
        for position in generator.sample(range(len(cells)), len(cells)):
            _measure(cells[position], timings[position], profiling.round_seconds, clock)
    return timings


def _measure(cell: Cell, timing: Timing, seconds: float, clock: Clock) -> None:
    wall, cpu = clock.wall(), clock.cpu()
    timing.rounds.append(_repeat(cell, seconds, clock, FEWEST_REPETITIONS))
    timing.cpu_seconds += clock.cpu() - cpu
    timing.wall_seconds += clock.wall() - wall


def _repeat(cell: Cell, seconds: float, clock: Clock, fewest: int) -> list[float]:
    latencies: list[float] = []
    end = clock.wall() + seconds
    while len(latencies) < fewest or clock.wall() < end:
        latencies.append(clock.latency_ms(cell))
    return latencies
