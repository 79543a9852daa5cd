"""Latency of many workloads, timed in interleaved rounds beside a fixed reference workload."""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import mean, median, stdev

import numpy as np
import torch

from resomap.config.schema import Profiling
from resomap.system.out_of_memory import result_or_none
from resomap.system.precision import allow_tf32

MIN_REPETITIONS = 3  # of a workload in a round, however long one takes
P99_MIN_REPETITIONS = 1000  # ten repetitions above the 99th percentile
MIN_CPU_SHARE = 0.9  # below it, other processes kept the measuring thread off the CPU
CROWDED = "crowded"
MAX_ROUNDS_FACTOR = 2  # a disturbed workload is given up after this multiple of its rounds
CONFIDENCE = 0.95

Call = Callable[[], object]
DisturbanceCheck = Callable[[], str | None]  # names what disturbs the device now, or None


class Clock:
    """Host clock for calls that have finished when they return; in seconds."""

    def wall(self) -> float:
        """Return the wall time."""
        return time.perf_counter()

    def cpu(self) -> float:
        """Return the CPU time of this thread."""
        return time.thread_time()

    def start_round(self) -> None:
        """Prepare the device for the calls that follow."""

    def latency_ms(self, call: Call) -> float:
        """Run `call` once and return its milliseconds."""
        start = self.wall()
        call()
        return (self.wall() - start) * 1e3


class ProcessClock(Clock):
    """Host clock for calls that may compute in threads of their library."""

    def cpu(self) -> float:
        """Return the CPU time of all threads of this process."""
        # While they compute, the calling thread may sleep, which does not mean a crowded
        # machine. PyTorch's own threads need no such clock: it spins while it waits for them.
        return time.process_time()


class CudaClock(Clock):
    """Clock for calls at a precision on the current CUDA device, launches included."""

    def __init__(self, precision: str = "fp32") -> None:
        self._precision = precision

    def start_round(self) -> None:
        """Allow TF32 for calls at tf32, and forbid it for all others."""
        # Once a round: the flags belong to the process, and calls of several precisions take turns.
        allow_tf32(self._precision == "tf32")

    def latency_ms(self, call: Call) -> float:
        """Run `call` once and return the milliseconds between two events around it."""
        # Events are time stamps of the GPU itself. A host timer around synchronize() would add
        # the wake-up of the host to every call.
        start = torch.cuda.Event(enable_timing=True)
        end = torch.cuda.Event(enable_timing=True)
        start.record()
        call()
        end.record()
        # Polling instead of sleeping keeps the thread on its CPU, so that a low CPU share still
        # means that other processes crowd the machine.
        while not end.query():
            pass
        return start.elapsed_time(end)


class ColdClock(CudaClock):
    """CUDA clock that empties the L2 cache before each call; emptying it is not timed."""

    def __init__(self, filler: torch.Tensor, precision: str = "fp32") -> None:
        super().__init__(precision)
        self._filler = filler

    def latency_ms(self, call: Call) -> float:
        """Run `call` once with a cold cache and return its milliseconds."""
        self._filler.zero_()
        # Otherwise the call would be launched while the filler is still written: its launches,
        # most of the time of a small network, would cost nothing, and cold would read faster
        # than warm.
        torch.cuda.synchronize()
        return super().latency_ms(call)


def build_cache_filler(device: torch.device) -> torch.Tensor:
    """Return a tensor of twice the size of the L2 cache: writing it replaces all of its lines.

    Repeated calls find weights and input there (50 MB on an H100), a first request does not.
    """
    size = torch.cuda.get_device_properties(device).L2_cache_size
    return torch.empty(2 * size, dtype=torch.int8, device=device)


@dataclass(frozen=True)
class Round:
    """Latencies of one workload in one pass over all of them.

    `reference_ms` is the reference's median in the same pass, `disturbed` what disturbed it.
    """

    latencies_ms: list[float]
    wall_seconds: float
    cpu_seconds: float
    reference_ms: float = 1.0
    disturbed: str | None = None

    @property
    def median_ms(self) -> float:
        """Median latency."""
        return median(self.latencies_ms)


@dataclass
class Timing:
    """Rounds of one workload, of which `needed` must be undisturbed; empty until measured.

    A workload that runs `out_of_memory` is not measured again.
    """

    needed: int = 1
    passes: list[Round] = field(default_factory=list)
    out_of_memory: bool = False

    @property
    def rounds(self) -> list[Round]:
        """Undisturbed rounds, or all rounds if too few are undisturbed."""
        clean = self._undisturbed()
        return clean if len(clean) >= self.needed else self.passes

    @property
    def valid(self) -> bool:
        """True if enough rounds were undisturbed."""
        return len(self._undisturbed()) >= self.needed

    def _undisturbed(self) -> list[Round]:
        return [one_pass for one_pass in self.passes if one_pass.disturbed is None]

    @property
    def why_invalid(self) -> str | None:
        """Return the most frequent disturbance; None for a valid or an empty measurement."""
        reasons = Counter(one_pass.disturbed for one_pass in self.passes if one_pass.disturbed)
        return None if self.valid or not reasons else reasons.most_common(1)[0][0]

    @property
    def latencies_ms(self) -> list[float]:
        """Latencies of all counted rounds."""
        return [latency for one_round in self.rounds for latency in one_round.latencies_ms]

    @property
    def medians_ms(self) -> list[float]:
        """Median latency of each counted round."""
        return [one_round.median_ms for one_round in self.rounds]

    @property
    def ratios(self) -> list[float]:
        """Median of each counted round divided by the reference's in the same round."""
        return [one_round.median_ms / one_round.reference_ms for one_round in self.rounds]

    @property
    def ratio(self) -> float | None:
        """Median of `ratios`, in which drift of the whole machine cancels."""
        return median(self.ratios) if self.passes else None

    @property
    def relative_error(self) -> float | None:
        """Half width of the 95 % interval of the median latency, divided by the median.

        Student's t interval over the medians of the rounds. Repetitions within a round share
        the state of the machine, so an interval over single latencies would be far too narrow:
        it would miss the drift of clocks and temperature, which is most of the error.
        """
        from scipy.special import stdtrit  # imports in 0.1 s, scipy.stats in 0.7 s

        medians = self.medians_ms
        if len(medians) < 2:
            return None
        quantile = float(stdtrit(len(medians) - 1, (1 + CONFIDENCE) / 2))
        middle = float(np.median(self.latencies_ms))
        return quantile * stdev(medians) / len(medians) ** 0.5 / middle

    @property
    def interval_ms(self) -> tuple[float | None, float | None]:
        """Ends of the 95 % interval of the median latency, both positive."""
        middle, error = self.percentile_ms(50), self.relative_error
        if middle is None or error is None:
            return None, None
        # As a ratio: on a disturbed machine the error exceeds 1, and no latency is negative.
        return middle / (1 + error), middle * (1 + error)

    @property
    def cpu_share(self) -> float | None:
        """CPU time of the measuring thread, or of the process of a runtime, over wall time.

        The rest up to 1 it spent waiting: for a CPU, or for its own helper threads.
        """
        if not self.passes:
            return None
        cpu = mean(one_round.cpu_seconds for one_round in self.rounds)
        return cpu / mean(one_round.wall_seconds for one_round in self.rounds)

    def percentile_ms(self, percent: float) -> float | None:
        """Return a percentile of the latencies; None without any, or for p99 of under 1,000."""
        latencies = self.latencies_ms
        needed = P99_MIN_REPETITIONS if percent >= 99 else 1
        return float(np.percentile(latencies, percent)) if len(latencies) >= needed else None

    def needs_more_rounds(self, profiling: Profiling) -> bool:
        """Return whether another round could help.

        It could if too few rounds are undisturbed and not too many were tried, or if the error
        is above its target and there is time left.
        """
        if self.out_of_memory:
            return False
        if not self.valid:
            return len(self.passes) < MAX_ROUNDS_FACTOR * self.needed
        spent = sum(one_pass.wall_seconds for one_pass in self.passes)
        imprecise = (self.relative_error or 0) > profiling.target_relative_error
        return imprecise and spent < profiling.max_seconds


def measure_rounds(
    calls: Sequence[Call],
    reference: Call,
    profiling: Profiling,
    clocks: Sequence[Clock],
    check: DisturbanceCheck = lambda: None,
    seed: int = 0,
) -> tuple[list[Timing], Timing]:
    """Time workloads in interleaved rounds; return their timings and the reference's.

    Every workload is warmed up first. `clocks` holds the reference's clock, then one for each
    of `calls`. `check` is called after every workload of every round. A workload that runs out
    of memory ends with the timing `out_of_memory`, and the others continue.
    """
    everything = [reference, *calls]
    timings = [Timing(profiling.rounds) for _ in everything]
    for call, clock, timing in zip(everything, clocks, timings, strict=True):
        clock.start_round()
        warm_up = partial(_repeat, call, profiling.warmup_seconds, clock, min_repetitions=1)
        if result_or_none(warm_up) is None:
            timing.out_of_memory = True
    generator = random.Random(seed)  # noqa: S311  (an order, no secret)
    # Timed one after the other, workloads would differ by whatever drifts meanwhile: clocks,
    # temperature, neighbours. Interleaved in a new random order each round, all see the same
    # drift.
    while unfinished := _unfinished(timings, profiling):
        order = generator.sample([0, *unfinished], len(unfinished) + 1)
        measured: dict[int, Round] = {}
        for position in order:
            call, clock = everything[position], clocks[position]
            one_round = result_or_none(
                partial(_measure_round, call, profiling.round_seconds, clock, check)
            )
            if one_round is None:
                timings[position].out_of_memory = True
            else:
                measured[position] = one_round
        if 0 not in measured:  # nothing can be compared with a reference that does not run
            break
        for position, one_round in measured.items():
            timings[position].passes.append(
                replace(one_round, reference_ms=measured[0].median_ms)
            )
    return timings[1:], timings[0]


def _unfinished(timings: Sequence[Timing], profiling: Profiling) -> list[int]:
    """Return the positions that need another round; 0, the reference, takes part in all."""
    positions = range(1, len(timings))
    return [index for index in positions if timings[index].needs_more_rounds(profiling)]


def _measure_round(call: Call, seconds: float, clock: Clock, check: DisturbanceCheck) -> Round:
    clock.start_round()
    wall, cpu = clock.wall(), clock.cpu()
    latencies = _repeat(call, seconds, clock, MIN_REPETITIONS)
    wall_seconds, cpu_seconds = clock.wall() - wall, clock.cpu() - cpu
    crowded = CROWDED if cpu_seconds < MIN_CPU_SHARE * wall_seconds else None
    return Round(latencies, wall_seconds, cpu_seconds, disturbed=check() or crowded)


def _repeat(call: Call, seconds: float, clock: Clock, min_repetitions: int) -> list[float]:
    latencies: list[float] = []
    end = clock.wall() + seconds
    while len(latencies) < min_repetitions or clock.wall() < end:
        latencies.append(clock.latency_ms(call))
    return latencies
