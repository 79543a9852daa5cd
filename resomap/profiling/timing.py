"""Latency, measured so that drift, neighbours and order cannot pass for a difference between cells."""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import mean, median, stdev

import numpy as np
import torch

from resomap.config.schema import Profiling

FEWEST_REPETITIONS = 3
"""Of a cell in one round, however long one takes."""
ENOUGH_FOR_P99 = 1000
ALONE = 0.9
"""A measuring thread that had the CPU for less than this share of its time was crowded out by others."""
CROWDED = "crowded"
TRIES = 2
"""A cell is given up after this many times the rounds that it needs undisturbed."""
CONFIDENCE = 0.95

Cell = Callable[[], object]
Watch = Callable[[], str | None]
"""Says what disturbs the device at this moment, if anything does."""


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


class ColdClock(CudaClock):
    """Empties the second-level cache before each call, by writing twice its size; the writing is not timed."""

    def __init__(self, device: torch.device) -> None:
        size = torch.cuda.get_device_properties(device).L2_cache_size
        self._filler = torch.empty(2 * size, dtype=torch.int8, device=device)

    def latency_ms(self, cell: Cell) -> float:
        """Milliseconds of one call on a cold cache."""
        self._filler.zero_()
        return super().latency_ms(cell)


@dataclass(frozen=True)
class Round:
    """Latencies of one cell in one pass over all cells, the reference's median in it, and what disturbed it, if anything did."""

    latencies_ms: list[float]
    wall_seconds: float
    cpu_seconds: float
    reference_ms: float = 1.0
    disturbed: str | None = None

    @property
    def median_ms(self) -> float:
        """The middle latency."""
        return median(self.latencies_ms)


@dataclass
class Timing:
    """The rounds of one cell, of which `needed` must be undisturbed; empty until measured."""

    needed: int = 1
    passes: list[Round] = field(default_factory=list)

    @property
    def rounds(self) -> list[Round]:
        """The undisturbed rounds, or all of them where those are too few."""
        clean = [one for one in self.passes if one.disturbed is None]
        return clean if len(clean) >= self.needed else self.passes

    @property
    def valid(self) -> bool:
        """Whether enough rounds were undisturbed."""
        return sum(one.disturbed is None for one in self.passes) >= self.needed

    @property
    def why_invalid(self) -> str | None:
        """What disturbed most of the rounds; None of a valid measurement, and of none."""
        reasons = Counter(one.disturbed for one in self.passes if one.disturbed)
        return None if self.valid or not reasons else reasons.most_common(1)[0][0]

    @property
    def latencies_ms(self) -> list[float]:
        """Every repetition that counts."""
        return [latency for one in self.rounds for latency in one.latencies_ms]

    @property
    def medians_ms(self) -> list[float]:
        """The median of each round."""
        return [one.median_ms for one in self.rounds]

    @property
    def ratios(self) -> list[float]:
        """Each round's median over the reference's in the same round."""
        return [one.median_ms / one.reference_ms for one in self.rounds]

    @property
    def ratio(self) -> float | None:
        """The middle one of those ratios, which drift of the whole machine leaves alone."""
        return median(self.ratios) if self.passes else None

    @property
    def relative_error(self) -> float | None:
        """Half the 95 % interval of the median over it, from the spread between rounds (t): drift counts, the spread inside them does not."""
        from scipy.special import stdtrit  # 0.1 s, where scipy.stats takes 0.7

        medians = self.medians_ms
        if len(medians) < 2:
            return None
        quantile = float(stdtrit(len(medians) - 1, (1 + CONFIDENCE) / 2))
        return (
            quantile
            * stdev(medians)
            / len(medians) ** 0.5
            / float(np.median(self.latencies_ms))
        )

    @property
    def interval_ms(self) -> tuple[float | None, float | None]:
        """That interval of the median latency."""
        middle, error = self.percentile_ms(50), self.relative_error
        return (
            (None, None)
            if middle is None or error is None
            else (middle * (1 - error), middle * (1 + error))
        )

    @property
    def cpu_share(self) -> float | None:
        """CPU time over wall time of the measuring thread: what is missing to 1 it spent waiting for a CPU or for its helpers."""
        return (
            mean(one.cpu_seconds for one in self.rounds)
            / mean(one.wall_seconds for one in self.rounds)
            if self.passes
            else None
        )

    def percentile_ms(self, percent: float) -> float | None:
        """The latency that `percent` of the repetitions stay under; None without any, and for p99 of fewer than 1,000."""
        latencies = self.latencies_ms
        fewest = ENOUGH_FOR_P99 if percent >= 99 else 1
        return float(np.percentile(latencies, percent)) if len(latencies) >= fewest else None

    def wants_more(self, profiling: Profiling) -> bool:
        """Whether another round could still help: too few are undisturbed, or the error is above the target and there is time."""
        if not self.valid:
            return len(self.passes) < TRIES * self.needed
        spent = sum(one.wall_seconds for one in self.passes)
        return (
            self.relative_error or 0
        ) > profiling.target_relative_error and spent < profiling.max_seconds


def measure_rounds(
    cells: Sequence[Cell],
    reference: Cell,
    profiling: Profiling,
    clocks: Sequence[Clock],
    watch: Watch = lambda: None,
    seed: int = 0,
) -> tuple[list[Timing], Timing]:
    """Warm every cell up, then time those that want more in each round, in an order drawn anew from `seed`, the reference among them.

    `clocks` has one a cell, and the reference's first. Returns a Timing a cell, and the reference's.
    """
    everything = [reference, *cells]
    for cell, clock in zip(everything, clocks, strict=True):
        _repeat(cell, profiling.warmup_seconds, clock, fewest=1)
    timings = [Timing(profiling.rounds) for _ in everything]
    generator = random.Random(seed)
    while wanting := [
        position
        for position in range(1, len(timings))
        if timings[position].wants_more(profiling)
    ]:
        order = generator.sample([0, *wanting], len(wanting) + 1)
        found = {
            position: _measure(
                everything[position], profiling.round_seconds, clocks[position], watch
            )
            for position in order
        }
        for position, one in found.items():
            timings[position].passes.append(replace(one, reference_ms=found[0].median_ms))
    return timings[1:], timings[0]


def _measure(cell: Cell, seconds: float, clock: Clock, watch: Watch) -> Round:
    wall, cpu = clock.wall(), clock.cpu()
    latencies = _repeat(cell, seconds, clock, FEWEST_REPETITIONS)
    took, used = clock.wall() - wall, clock.cpu() - cpu
    return Round(
        latencies, took, used, disturbed=watch() or (CROWDED if used < ALONE * took else None)
    )


def _repeat(cell: Cell, seconds: float, clock: Clock, fewest: int) -> list[float]:
    latencies: list[float] = []
    end = clock.wall() + seconds
    while len(latencies) < fewest or clock.wall() < end:
        latencies.append(clock.latency_ms(cell))
    return latencies
