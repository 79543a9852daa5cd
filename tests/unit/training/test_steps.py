from typing import Any

import numpy as np
import pytest
import torch

from resomap.models.registry import build_model
from resomap.training import build, steps
from resomap.training.steps import (
    StepTimer,
    TimingBudget,
    TimingDone,
    build_noise_store,
    measure_cells,
)
from tests.unit.test_memory import Hungry

QUICK = TimingBudget(warmup_seconds=0.0, interval_seconds=0.0, max_seconds=0.0)


class Clock:
    """Seconds that pass only in steps."""

    seconds = 100.0

    def read(self) -> np.ndarray:
        return np.array([self.seconds, 2 * self.seconds])


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(steps, "read_clocks", clock.read)
    monkeypatch.setattr(steps, "process_age", clock.read)
    return clock


def count_steps(clock: Clock, timer: StepTimer, durations: list[float]) -> int:
    """Return how many of the steps the timer takes."""
    for number, seconds in enumerate(durations, start=1):
        clock.seconds += seconds
        try:
            timer.step()
        except TimingDone:
            return number
    return len(durations) + 1


def build_timer(**limits: float) -> StepTimer:
    return StepTimer(torch.device("cpu"), min_seconds=1.0, **limits)


def measure(
    config, resolutions: tuple[int, ...] = (16, 24), **training: Any
) -> list[dict[str, Any]]:
    return list(
        measure_cells(
            config.models[0],
            config.training.model_copy(update=training),
            resolutions,
            6,
            config.system.training,
            torch.device("cpu"),
            QUICK,
        )
    )


def test_timer_averages_steps_of_an_interval(clock):
    timer = build_timer(num_intervals=2, min_steps=2, max_seconds=99.0)
    assert count_steps(clock, timer, [0.25] * 20) == 8
    means = np.array(timer.interval_means)
    assert means == pytest.approx(np.array([[0.25, 0.5], [0.25, 0.5]]))
    assert timer.first_step_age == pytest.approx([100.25, 200.5])


def test_timer_stops_after_two_long_steps(clock):
    timer = build_timer(num_intervals=5, min_steps=1, max_seconds=20.0)
    assert count_steps(clock, timer, [30.0] * 9) == 2


def test_every_part_of_a_training_is_measured(config):
    small, large = measure(config)
    for record in (small, large):
        assert (record["status"], record["micro_batch"]) == ("ok", None)
        for part in ("step", "val_image", "save", "startup"):
            assert min(record[f"{part}_seconds"]) > 0, part
        assert record["weights_bytes"] < record["optimizer_bytes"]
        assert 0 < record["peak_rss_mib"] < record["device_memory_mib"]
    assert small["startup_seconds"] == large["startup_seconds"]


def test_measured_trainer_follows_the_training_section(config, monkeypatch):
    built = []

    def record_trainer(training, *others):
        built.append((training, build.build_trainer(training, *others)))
        return built[-1][1]

    monkeypatch.setattr(steps, "build_trainer", record_trainer)
    measure(config, (16,), batch_size=8, ema_decay=0.9, precision="bf16")
    training, trainer = built[0]
    assert (training.batch_size, trainer.precision) == (8, "bf16")
    assert trainer.ema is not None
    assert len(next(iter(trainer.train_loader))[0]) == 8
    assert trainer.optimizer.state


def test_noise_store_has_every_class_and_bounded_memory():
    noise = build_noise_store(32, 16, 6)
    assert noise.images("train", 16).shape == (50 * 32, 16, 16, 3)
    assert set(noise.labels("val")) == set(range(6))
    assert build_noise_store(32, 1024, 6).counts == {"train": 2 * 32, "val": 4 * 32}


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (10, ("ok", 8, None)),
        (1, ("infeasible", None, "not even 2 images at once fit into memory")),
    ],
)
def test_cell_short_of_memory_uses_micro_batches(config, monkeypatch, most, expected):
    monkeypatch.setattr(
        build,
        "build_model",
        lambda *arguments, **options: Hungry(build_model(*arguments, **options), most),
    )
    (record,) = measure(config, (16,))
    assert (record["status"], record.get("micro_batch"), record.get("reason")) == expected
