import random
import time
from collections.abc import Callable

import pytest
import torch

from resomap.config.schema import Profiling
from resomap.profiling.timing import Clock, Round, Timing, measure_rounds

torch.set_num_threads(1)

SETTINGS = Profiling(
    cpu_threads=1, memory_format="contiguous", variants=("eager",), batch_size=2, batch_sweep=False, end_to_end=False, energy=False,
    warmup_seconds=0.2, rounds=5, round_seconds=0.15, target_relative_error=0.02, max_seconds=2.0,
)  # fmt: skip


class FakeClock(Clock):
    """Time passes only in spins, and a little with every look at the clock; the thread has the CPU for `share` of it."""

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


def measured(cells, clock, settings=SETTINGS, **options):
    """Timings of cells, beside a reference of 1 ms."""
    return measure_rounds(
        cells, clock.spin(lambda: 1.0), settings, [clock] * (1 + len(cells)), **options
    )[0]


def rounds(*medians: float, disturbed: str | None = None) -> list[Round]:
    return [Round([median] * 3, 0.1, 0.1, disturbed=disturbed) for median in medians]


def test_planted_spins_are_measured_within_three_percent():
    clock, noise = FakeClock(), random.Random(0)
    planted = (0.5, 3.0, 20.0)
    timings = measured(
        [clock.spin(lambda ms=ms: ms * noise.uniform(0.9, 1.1)) for ms in planted], clock
    )
    assert [timing.percentile_ms(50) for timing in timings] == pytest.approx(planted, rel=0.03)
    assert [timing.ratio for timing in timings] == pytest.approx(planted, rel=0.03)
    assert all(timing.percentile_ms(50) < timing.percentile_ms(90) for timing in timings)
    assert all(timing.relative_error < 0.05 and timing.valid for timing in timings)


def test_each_round_measures_every_cell_once_in_an_order_of_its_own():
    def order(seed: int) -> list[int]:
        clock, calls = FakeClock(), []
        cells = [
            lambda cell=cell: (calls.append(cell), clock.spin(lambda: 60.0)())
            for cell in range(4)
        ]
        measured(cells, clock, seed=seed)
        warm_up = 4 * 4
        return calls[warm_up::3]

    passes = [order(seed=1)[start : start + 4] for start in range(0, 20, 4)]
    assert all(sorted(cells) == [0, 1, 2, 3] for cells in passes)
    assert len({tuple(cells) for cells in passes}) > 1
    assert order(seed=1) == order(seed=1) != order(seed=2)


def test_a_cell_is_warmed_up_for_its_time_and_then_measured_for_its_time():
    clock, calls = FakeClock(), []
    spin = clock.spin(lambda: 10.0)
    (timing,) = measured([lambda: (calls.append(clock.now), spin())], clock)
    assert [len(one.latencies_ms) for one in timing.rounds] == [15] * 5
    assert len(calls) - 15 * 5 == 20


def test_a_cell_slower_than_its_round_is_still_repeated_three_times():
    clock = FakeClock()
    (timing,) = measured([clock.spin(lambda: 700.0)], clock)
    assert [len(one.latencies_ms) for one in timing.rounds] == [3] * 5


def test_rounds_go_on_until_the_interval_between_them_is_narrow_enough_or_time_is_up():
    clock, slower = FakeClock(), iter(1.001**count for count in range(10**6))
    noisy, calm = measured(
        [clock.spin(lambda: 10.0 * next(slower)), clock.spin(lambda: 10.0)], clock
    )
    assert len(noisy.passes) > len(calm.passes) == 5
    assert (
        SETTINGS.max_seconds
        < sum(one.wall_seconds for one in noisy.passes)
        < SETTINGS.max_seconds + 0.3
    )


def test_the_interval_is_that_of_students_t_over_the_rounds():
    timing = Timing(passes=rounds(1.0, 1.1, 1.2, 1.3, 1.4))
    # t(4, .975) = 2.776, standard deviation .1581, n = 5, median 1.2
    assert timing.relative_error == pytest.approx(2.776 * 0.15811 / 5**0.5 / 1.2, rel=1e-3)
    assert timing.interval_ms == pytest.approx(
        (1.2 * (1 - timing.relative_error), 1.2 * (1 + timing.relative_error))
    )


def test_drift_between_rounds_is_error_and_noise_inside_them_is_not():
    noisy = Timing(passes=[Round([0.5, 1.0, 1.5], 0.1, 0.1)] * 3)
    assert noisy.relative_error == 0
    assert Timing(passes=rounds(1.0, 1.2, 1.4)).relative_error > 0.3


def test_a_ratio_to_the_reference_does_not_drift_with_the_machine():
    slower = [Round([2.0 * speed], 0.1, 0.1, reference_ms=speed) for speed in (1.0, 1.3, 1.7)]
    assert Timing(passes=slower).ratios == pytest.approx([2.0] * 3)


def test_a_disturbed_round_is_repeated_and_does_not_count():
    clock, told = FakeClock(), iter(["throttled"] * 4)
    (timing,) = measured([clock.spin(lambda: 5.0)], clock, watch=lambda: next(told, None))
    assert [one.disturbed for one in timing.passes].count(None) == 5
    assert len(timing.passes) > 5
    assert {one.disturbed for one in timing.rounds} == {None}
    assert timing.valid


def test_a_thread_that_is_crowded_all_the_time_makes_a_measurement_invalid_with_its_reason():
    clock = FakeClock(share=0.6)
    (timing,) = measured([clock.spin(lambda: 5.0)], clock)
    assert timing.cpu_share == pytest.approx(0.6, rel=1e-3)
    assert (timing.valid, timing.why_invalid, len(timing.passes)) == (False, "crowded", 10)
    assert timing.percentile_ms(50) == pytest.approx(5.0, rel=0.01)


def test_what_the_watch_says_comes_before_what_the_clock_says():
    clock = FakeClock(share=0.6)
    (timing,) = measured(
        [clock.spin(lambda: 5.0)], clock, watch=lambda: "other processes on the GPU"
    )
    assert timing.why_invalid == "other processes on the GPU"


def test_a_thread_that_sleeps_does_not_have_the_cpu():
    quick = SETTINGS.model_copy(update={"warmup_seconds": 1e-3, "round_seconds": 1e-3})
    (timing,) = measure_rounds([lambda: time.sleep(0.002)], lambda: None, quick, [Clock()] * 2)[
        0
    ]
    assert not timing.valid


@pytest.mark.parametrize(("repetitions", "known"), [(999, False), (1000, True)])
def test_p99_needs_a_thousand_repetitions(repetitions: int, known: bool):
    timing = Timing(passes=[Round([1.0] * repetitions, 1.0, 1.0)])
    assert (timing.percentile_ms(99) is not None) is known
    assert timing.percentile_ms(90) == 1


def test_nothing_measured_says_nothing():
    timing = Timing(needed=5)
    said = [
        timing.percentile_ms(50),
        timing.relative_error,
        timing.cpu_share,
        timing.ratio,
        timing.why_invalid,
    ]
    assert said == [None] * 5
    assert not timing.valid
    assert timing.interval_ms == (None, None)
