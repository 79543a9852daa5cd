from typing import Any

import numpy as np
import pytest
import torch

from resomap.config.augmentation import RandomResizedCrop
from resomap.models.registry import build_model
from resomap.training import build, steps
from resomap.training.steps import (
    StepTimer,
    TimingBudget,
    TimingDone,
    build_noise_store,
    measure_cells,
)
from tests.tiny_training import LimitedMemory

CPU = torch.device("cpu")
SHORTEST = TimingBudget(warmup_seconds=0.0, interval_seconds=0.0, max_seconds=0.0)


class FakeClocks:
    """Clocks that advance only when a test says so; CPU time passes twice as fast."""

    seconds = 100.0

    def read(self) -> np.ndarray:
        """Return wall and CPU seconds."""
        return np.array([self.seconds, 2 * self.seconds])


@pytest.fixture
def clocks(monkeypatch) -> FakeClocks:
    clocks = FakeClocks()
    monkeypatch.setattr(steps, "read_clocks", clocks.read)
    monkeypatch.setattr(steps, "process_age", clocks.read)
    return clocks


def count_steps(clocks: FakeClocks, timer: StepTimer, seconds: float) -> int:
    """Return how many steps of so many seconds the timer takes."""
    for number in range(1, 100):
        clocks.seconds += seconds
        try:
            timer.step()
        except TimingDone:
            return number
    raise AssertionError("the timer never ends")


def test_timer_averages_steps_of_each_interval(clocks):
    timer = StepTimer(CPU, num_intervals=2, min_steps=2, min_seconds=1.0, max_seconds=99.0)
    assert count_steps(clocks, timer, 0.25) == 8
    assert np.array(timer.interval_means) == pytest.approx(np.array([[0.25, 0.5]] * 2))
    assert timer.first_step_age == pytest.approx([100.25, 200.5])


def test_timer_of_long_steps_ends_after_two(clocks):
    timer = StepTimer(CPU, num_intervals=5, min_steps=1, min_seconds=1.0, max_seconds=20.0)
    assert count_steps(clocks, timer, 30.0) == 2


def measure(
    config: Any,
    resolutions: tuple[int, ...] = (16, 24),
    native_side: int | None = None,
    **recipe: Any,
) -> list[dict[str, Any]]:
    training, runtime = config.training.model_copy(update=recipe), config.system.training
    model = config.models[0]
    cell = model, training, resolutions, 6, runtime, CPU, SHORTEST, native_side
    return list(measure_cells(*cell))


def test_cells_have_every_piece_of_a_training(config):
    small, large = measure(config)
    for record in (small, large):
        assert (record["status"], record["micro_batch"]) == ("ok", None)
        for piece in ("step", "val_image", "save", "startup"):
            assert min(record[f"{piece}_seconds"]) > 0, piece
        assert record["weights_bytes"] < record["optimizer_bytes"]
        assert 0 < record["peak_rss_mib"] < record["device_memory_mib"]
    assert small["startup_seconds"] == large["startup_seconds"]


def test_cells_use_trainer_of_recipe(config, monkeypatch):
    trainers = []

    def build_and_keep(recipe, *others):
        trainers.append(build.build_trainer(recipe, *others))
        return trainers[-1]

    monkeypatch.setattr(steps, "build_trainer", build_and_keep)
    measure(config, (16,), batch_size=8, ema_decay=0.9, precision="bf16")
    (trainer,) = trainers
    assert (trainer.precision, trainer.ema is not None) == ("bf16", True)
    assert len(next(iter(trainer.train_loader))[0]) == 8
    assert trainer.optimizer.state


def test_native_crops_are_cut_from_images_of_the_native_side(config, monkeypatch):
    trainers, sides = [], []

    def build_and_keep(*parts):
        trainers.append(build.build_trainer(*parts))
        return trainers[-1]

    def native_images(store):
        sides.append(store.native_resolution)
        return store.images("train", store.native_resolution)

    monkeypatch.setattr(steps, "build_trainer", build_and_keep)
    monkeypatch.setattr(steps.NoiseStore, "native_images", native_images)
    crop = RandomResizedCrop(scale=(0.9, 1.0), ratio=(1.0, 1.0), crop_from="native")
    augmentation = config.training.augmentation.model_copy(update={"random_resized_crop": crop})
    measure(config, (16, 24), 96, augmentation=augmentation)
    assert sides == [96, 96]
    shapes = [next(iter(trainer.train_loader))[0].shape[2:] for trainer in trainers]
    assert shapes == [(16, 16), (24, 24)]


def test_noise_store_has_all_classes_and_bounded_size():
    store = build_noise_store(32, 16, 6)
    assert store.images("train", 16).shape == (50 * 32, 16, 16, 3)
    assert set(store.labels("val")) == set(range(6))
    assert build_noise_store(32, 1024, 6).counts == {"train": 2 * 32, "val": 4 * 32}


@pytest.mark.parametrize(
    ("limit", "status", "micro_batch", "reason"),
    [(10, "ok", 8, None), (1, "infeasible", None, "not even 2 images at once fit into memory")],
)
def test_cell_short_of_memory_is_split_or_infeasible(
    config, monkeypatch, limit, status, micro_batch, reason
):
    def build_limited(*arguments: Any, **options: Any) -> LimitedMemory:
        return LimitedMemory(build_model(*arguments, **options), limit)

    monkeypatch.setattr(build, "build_model", build_limited)
    (record,) = measure(config, (16,))
    found = record["status"], record.get("micro_batch"), record.get("reason")
    assert found == (status, micro_batch, reason)


@pytest.mark.parametrize(
    "error",
    [MemoryError("no memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
    ids=repr,
)
def test_network_that_does_not_fit_is_infeasible(config, monkeypatch, error):
    def fail(*_arguments: Any) -> None:
        raise error

    monkeypatch.setattr(steps, "build_trainer", fail)
    (record,) = measure(config, (16,))
    assert (record["status"], record["reason"]) == ("infeasible", str(error))


def test_other_error_of_measured_network_is_raised(config, monkeypatch):
    def fail(*_arguments: Any) -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(steps, "build_trainer", fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        measure(config, (16,))
