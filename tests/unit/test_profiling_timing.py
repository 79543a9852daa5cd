import random
import time
from collections.abc import Callable

import pytest
import torch

from resomap.profiling.timing import Clock, Timing, measure_rounds
from resomap.sections import Profiling

torch.set_num_threads(1)

SETTINGS = Profiling(cpu_threads=1, memory_format="contiguous", batch_size=2, warmup_seconds=0.2, rounds=5, round_seconds=0.15)


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


def test_planted_spins_are_measured_within_three_percent():
    clock, noise = FakeClock(), random.Random(0)
    planted = (0.5, 3.0, 20.0)
    cells = [clock.spin(lambda ms=ms: ms * noise.uniform(0.9, 1.1)) for ms in planted]
    timings = measure_rounds(cells, SETTINGS, clock)
    assert [timing.percentile_ms(50) for timing in timings] == pytest.approx(planted, rel=0.03)
    assert all(timing.percentile_ms(50) < timing.percentile_ms(90) for timing in timings)
    assert all(timing.relative_spread < 0.05 and timing.valid for timing in timings)


def test_each_round_measures_every_cell_once_in_an_order_of_its_own():
    def order(seed: int) -> list[int]:
        clock, calls = FakeClock(), []
        cells = [lambda cell=cell: (calls.append(cell), clock.spin(lambda: 60.0)()) for cell in range(4)]
        measure_rounds(cells, SETTINGS, clock, seed)
        warm_up = 4 * 4
        return calls[warm_up::3]

    rounds = [order(seed=1)[start : start + 4] for start in range(0, 20, 4)]
    assert all(sorted(cells) == [0, 1, 2, 3] for cells in rounds)
    assert len({tuple(cells) for cells in rounds}) > 1
    assert order(seed=1) == order(seed=1) != order(seed=2)


def test_a_cell_is_warmed_up_for_its_time_and_then_measured_for_its_time():
    clock, calls = FakeClock(), []
    spin = clock.spin(lambda: 10.0)
    (timing,) = measure_rounds([lambda: (calls.append(clock.now), spin())], SETTINGS, clock)
    assert [len(latencies) for latencies in timing.rounds] == [15] * 5
    assert len(calls) - 15 * 5 == 20


def test_a_cell_slower_than_its_round_is_still_repeated_three_times():
    clock = FakeClock()
    (timing,) = measure_rounds([clock.spin(lambda: 700.0)], SETTINGS, clock)
    assert [len(latencies) for latencies in timing.rounds] == [3] * 5


def test_drift_between_rounds_shows_in_the_spread_and_noise_inside_them_does_not():
    drifting = Timing(rounds=[[1.0, 1.0, 1.0], [1.2, 1.2, 1.2], [1.4, 1.4, 1.4]])
    noisy = Timing(rounds=[[0.5, 1.0, 1.5]] * 3)
    assert drifting.relative_spread == pytest.approx(0.2 / 1.2)
    assert noisy.relative_spread == 0


def test_a_crowded_thread_makes_a_measurement_invalid():
    clock = FakeClock(share=0.6)
    (timing,) = measure_rounds([clock.spin(lambda: 5.0)], SETTINGS, clock)
    assert timing.cpu_share == pytest.approx(0.6, rel=1e-3)
    assert not timing.valid


def test_a_thread_that_sleeps_does_not_have_the_cpu():
    (timing,) = measure_rounds(
        [lambda: time.sleep(0.002)], SETTINGS.model_copy(update={"warmup_seconds": 1e-3, "round_seconds": 1e-3}), Clock()
    )
    assert not timing.valid


@pytest.mark.parametrize(("repetitions", "known"), [(999, False), (1000, True)])
def test_p99_needs_a_thousand_repetitions(repetitions: int, known: bool):
    timing = Timing(rounds=[[1.0] * repetitions])
    assert (timing.percentile_ms(99) is not None) is known
    assert timing.percentile_ms(90) == 1


def test_nothing_measured_says_nothing():
    timing = Timing()
    assert [timing.percentile_ms(50), timing.relative_spread, timing.cpu_share, timing.valid] == [None, None, None, False]
