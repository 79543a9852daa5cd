import random
import time
from collections.abc import Callable

import pytest
import torch

from resomap.config.schema import Profiling
from resomap.profiling.timing import Clock, ColdClock, CudaClock, Round, Timing, measure_rounds

torch.set_num_threads(1)

SETTINGS = Profiling(
    cpu_threads=1,
    memory_format="contiguous",
    variants=("eager",),
    batch_size=2,
    batch_sweep=False,
    end_to_end=False,
    energy=False,
    warmup_seconds=0.2,
    rounds=5,
    round_seconds=0.15,
    target_relative_error=0.02,
    max_seconds=2.0,
)


class FakeClock(Clock):
    """Time that passes in spins only, and a little with each reading of the clock.

    The thread has the CPU for `share` of it.
    """

    def __init__(self, share: float = 1.0) -> None:
        self.now = 1000.0
        self.share = share

    def wall(self) -> float:
        self.now += 1e-6
        return self.now

    def cpu(self) -> float:
        return self.now * self.share

    def spin(self, ms: Callable[[], float]) -> Callable[[], None]:
        def run() -> None:
            self.now += ms() / 1e3

        return run


def measure(calls, clock, **options):
    """Return the timings of calls beside a reference of 1 ms."""
    clocks = [clock] * (1 + len(calls))
    return measure_rounds(calls, clock.spin(lambda: 1.0), SETTINGS, clocks, **options)[0]


def rounds(*medians: float) -> list[Round]:
    return [Round([median] * 3, 0.1, 0.1) for median in medians]


def test_planted_spins_are_measured_within_3_percent():
    clock, noise = FakeClock(), random.Random(0)
    planted = (0.5, 3.0, 20.0)
    spins = [clock.spin(lambda ms=ms: ms * noise.uniform(0.9, 1.1)) for ms in planted]
    timings = measure(spins, clock)
    assert [timing.percentile_ms(50) for timing in timings] == pytest.approx(planted, rel=0.03)
    assert [timing.ratio for timing in timings] == pytest.approx(planted, rel=0.03)
    assert all(timing.percentile_ms(50) < timing.percentile_ms(90) for timing in timings)
    assert all(timing.relative_error < 0.05 and timing.valid for timing in timings)


def record_order(seed: int) -> list[int]:
    """Return the order in which five rounds time four workloads."""
    clock, calls = FakeClock(), []
    spin = clock.spin(lambda: 60.0)
    workloads = [lambda index=index: (calls.append(index), spin()) for index in range(4)]
    measure(workloads, clock, seed=seed)
    warmup_calls = 4 * 4
    return calls[warmup_calls::3]


def test_each_round_times_every_workload_in_new_order():
    order = record_order(seed=1)
    passes = [order[start : start + 4] for start in range(0, 20, 4)]
    assert all(sorted(one_pass) == [0, 1, 2, 3] for one_pass in passes)
    assert len({tuple(one_pass) for one_pass in passes}) > 1
    assert order == record_order(seed=1) != record_order(seed=2)


def test_warmup_and_rounds_take_their_seconds():
    clock, calls = FakeClock(), []
    spin = clock.spin(lambda: 10.0)
    (timing,) = measure([lambda: (calls.append(clock.now), spin())], clock)
    assert [len(one_round.latencies_ms) for one_round in timing.rounds] == [15] * 5
    assert len(calls) - 15 * 5 == 20


def test_slow_workload_is_repeated_three_times():
    clock = FakeClock()
    (timing,) = measure([clock.spin(lambda: 700.0)], clock)
    assert [len(one_round.latencies_ms) for one_round in timing.rounds] == [3] * 5


def test_noisy_workload_gets_rounds_until_time_is_up():
    clock, slower = FakeClock(), iter(1.001**count for count in range(10**6))
    noisy, calm = measure(
        [clock.spin(lambda: 10.0 * next(slower)), clock.spin(lambda: 10.0)], clock
    )
    assert len(noisy.passes) > len(calm.passes) == 5
    spent = sum(one_pass.wall_seconds for one_pass in noisy.passes)
    assert SETTINGS.max_seconds < spent < SETTINGS.max_seconds + 0.3


def test_interval_is_students_t_over_rounds():
    timing = Timing(passes=rounds(1.0, 1.1, 1.2, 1.3, 1.4))
    # t(4, .975) = 2.776, standard deviation .1581, n = 5, median 1.2
    error = 2.776 * 0.15811 / 5**0.5 / 1.2
    assert timing.relative_error == pytest.approx(error, rel=1e-3)
    ends = 1.2 / (1 + timing.relative_error), 1.2 * (1 + timing.relative_error)
    assert timing.interval_ms == pytest.approx(ends)


def test_interval_of_a_disturbed_measurement_stays_positive():
    timing = Timing(passes=rounds(1.0, 20.0))
    low, high = timing.interval_ms
    assert timing.relative_error > 1
    assert 0 < low < timing.percentile_ms(50) < high


def test_drift_between_rounds_counts_and_noise_within_does_not():
    noisy = Timing(passes=[Round([0.5, 1.0, 1.5], 0.1, 0.1)] * 3)
    assert noisy.relative_error == 0
    assert Timing(passes=rounds(1.0, 1.2, 1.4)).relative_error > 0.3


def test_ratio_to_reference_cancels_drift():
    slower = [Round([2.0 * speed], 0.1, 0.1, reference_ms=speed) for speed in (1.0, 1.3, 1.7)]
    assert Timing(passes=slower).ratios == pytest.approx([2.0] * 3)


def test_disturbed_round_is_repeated_and_not_counted():
    clock, disturbances = FakeClock(), iter(["throttled"] * 4)
    (timing,) = measure(
        [clock.spin(lambda: 5.0)], clock, check=lambda: next(disturbances, None)
    )
    assert [one_pass.disturbed for one_pass in timing.passes].count(None) == 5
    assert len(timing.passes) > 5
    assert {one_round.disturbed for one_round in timing.rounds} == {None}
    assert timing.valid


def test_crowded_thread_makes_measurement_invalid():
    clock = FakeClock(share=0.6)
    (timing,) = measure([clock.spin(lambda: 5.0)], clock)
    assert timing.cpu_share == pytest.approx(0.6, rel=1e-3)
    assert (timing.valid, timing.why_invalid, len(timing.passes)) == (False, "crowded", 10)
    assert timing.percentile_ms(50) == pytest.approx(5.0, rel=0.01)


def test_disturbance_check_precedes_cpu_share():
    clock = FakeClock(share=0.6)
    (timing,) = measure([clock.spin(lambda: 5.0)], clock, check=lambda: "throttled")
    assert timing.why_invalid == "throttled"


def test_sleeping_thread_is_invalid_on_real_clock():
    quick = SETTINGS.model_copy(update={"warmup_seconds": 1e-3, "round_seconds": 1e-3})
    sleeps = [lambda: time.sleep(0.002)]
    timings, _ = measure_rounds(sleeps, lambda: None, quick, [Clock()] * 2)
    assert not timings[0].valid


@pytest.mark.parametrize(("repetitions", "known"), [(999, False), (1000, True)])
def test_p99_needs_1000_repetitions(repetitions: int, known: bool):
    timing = Timing(passes=[Round([1.0] * repetitions, 1.0, 1.0)])
    assert (timing.percentile_ms(99) is not None) is known
    assert timing.percentile_ms(90) == 1


def test_empty_timing_has_no_values():
    timing = Timing(needed=5)
    values = [timing.percentile_ms(50), timing.relative_error, timing.cpu_share]
    assert [*values, timing.ratio, timing.why_invalid] == [None] * 5
    assert not timing.valid
    assert timing.interval_ms == (None, None)


@pytest.mark.parametrize("call_number", [1, 3, 9])
@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("full"), RuntimeError("unable to find an engine")]
)
def test_workload_out_of_memory_leaves_the_others(call_number, error):
    clock, calls = FakeClock(), []
    spin = clock.spin(lambda: 60.0)

    def hungry() -> None:
        calls.append(1)
        if len(calls) >= call_number:
            raise error
        spin()

    failed, measured = measure([hungry, spin], clock)
    assert failed.out_of_memory
    assert not failed.needs_more_rounds(SETTINGS)
    assert len(calls) == call_number
    assert not measured.out_of_memory
    assert measured.valid
    assert measured.percentile_ms(50) == pytest.approx(60, rel=0.01)


def test_other_errors_end_the_measurement():
    def broken() -> None:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        measure([broken], FakeClock())


def test_reference_out_of_memory_ends_the_rounds():
    clock, calls = FakeClock(), []

    def reference() -> None:
        calls.append(1)
        if len(calls) > 1:
            raise torch.OutOfMemoryError("full")

    spin = clock.spin(lambda: 60.0)
    (timing,), found = measure_rounds([spin], reference, SETTINGS, [clock] * 2)
    assert found.out_of_memory
    assert not timing.valid


class FakeEvent:
    """An event that records its calls, and has happened when it is queried."""

    def __init__(self, events: list[str]) -> None:
        self.events = events

    def record(self) -> None:
        self.events.append("record")

    def query(self) -> bool:
        return True

    def elapsed_time(self, _end: object) -> float:
        return 1.0


def test_cold_clock_waits_for_its_filler(monkeypatch):
    events: list[str] = []
    monkeypatch.setattr(torch.cuda, "Event", lambda **_: FakeEvent(events))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: events.append("synchronize"))
    filler = torch.ones(4)
    filler.zero_ = lambda: events.append("fill")
    clock = ColdClock(filler)
    assert clock.latency_ms(lambda: events.append("call")) == 1.0
    assert events == ["fill", "synchronize", "record", "call", "record"]


def test_cuda_clock_switches_tf32_once_a_round(restored_tf32):
    for precision, allowed in {"tf32": True, "fp32": False, "bf16": False}.items():
        CudaClock(precision).start_round()
        assert torch.backends.cudnn.allow_tf32 == allowed
        assert torch.backends.cuda.matmul.allow_tf32 == allowed
