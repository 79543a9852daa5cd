"""The cost of a training in pieces, measured with the real trainer on images of noise.

The pieces are a step, an image of validation, a save and the start of a process. Every duration
is an array of two: wall seconds and CPU seconds of the process.
"""

import os
import resource
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from itertools import count
from pathlib import Path
from time import CLOCK_BOOTTIME, clock_gettime, perf_counter, process_time
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer

from resomap.config.architecture import Architecture
from resomap.config.schema import Runtime
from resomap.config.training import Training
from resomap.data.loading.loader import TrainLoader
from resomap.data.store.store import Store
from resomap.system.gpu_memory import CONTEXT_MIB
from resomap.system.gpus import device_memory_mib, peak_memory_mib
from resomap.system.out_of_memory import free_memory, is_out_of_memory
from resomap.training.build import VAL_BATCH_FACTOR, build_loaders, build_trainer
from resomap.training.checkpoint import save_weights
from resomap.training.distributed import Group
from resomap.training.memory import Infeasible
from resomap.training.trainer import Trainer, no_hook

MIB = 2**20
NOISE_BYTES = 64 * MIB  # of training images, unless that is less than two batches
# The steps of an epoch of noise, so that the costs of an epoch's start and end weigh about as
# much as in a real training.
MAX_EPOCH_STEPS = 50


@dataclass(frozen=True)
class TimingBudget:
    """The time spent on measuring a cell.

    After `warmup_seconds` (and two steps at least), five intervals of `interval_seconds` are
    timed, or two where these take more than `max_seconds`.
    """

    warmup_seconds: float = 1.0
    interval_seconds: float = 0.4
    max_seconds: float = 20.0


class TimingDone(Exception):
    """Raised by StepTimer after its last interval, to end the training from inside."""


@dataclass
class StepTimer:
    """A hook that times steps; `interval_means` has the mean seconds a step of each interval.

    An interval has at least `min_steps` steps and `min_seconds` seconds. `step` raises
    TimingDone after `num_intervals`, or after two once `max_seconds` are over. `first_step_age`
    is the age of the process at the end of the first step.
    """

    device: torch.device
    num_intervals: int
    min_steps: int
    min_seconds: float
    max_seconds: float
    interval_means: list[np.ndarray] = field(default_factory=list)
    first_step_age: np.ndarray | None = None

    def __post_init__(self) -> None:
        self._steps, self._started = 0, read_clocks()
        self._deadline = self._started[0] + self.max_seconds

    def step(self) -> None:
        """Count a step; wait for the device only where an interval may end."""
        self._steps += 1
        if self.first_step_age is None:
            _wait_for(self.device)
            self.first_step_age = process_age()
        elapsed = read_clocks()[0] - self._started[0]
        if self._steps >= self.min_steps and elapsed >= self.min_seconds:
            self._close_interval()

    def _close_interval(self) -> None:
        _wait_for(self.device)
        now = read_clocks()
        self.interval_means.append((now - self._started) / self._steps)
        measured = len(self.interval_means)
        if measured == self.num_intervals or (measured >= 2 and now[0] > self._deadline):
            raise TimingDone
        self._steps, self._started = 0, now


def time_repeatedly(work: Callable[[], Any], seconds: float) -> np.ndarray:
    """Return the median time of `work` over `seconds` (one call at least), after a first call.

    `work` itself must wait for the device.
    """
    work()
    times, began = list[np.ndarray](), read_clocks()
    while not times or read_clocks()[0] - began[0] < seconds:
        started = read_clocks()
        work()
        times.append(read_clocks() - started)
    return np.asarray(np.median(times, axis=0))


def read_clocks() -> np.ndarray:
    """Return the wall clock and the CPU clock of this process, in seconds."""
    return np.array([perf_counter(), process_time()])


def process_age() -> np.ndarray:
    """Return the wall seconds since this process was started, and its CPU seconds."""
    # Field 22 of /proc/self/stat (proc(5)): the start in clock ticks after the machine's boot.
    # The command in parentheses, field 2, may contain spaces, so fields are counted behind it.
    stat = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    started = int(stat[19]) / os.sysconf("SC_CLK_TCK")
    return np.array([clock_gettime(CLOCK_BOOTTIME) - started, process_time()])


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class NoiseStore(Store):
    """A store of random images of every class."""

    def images(self, split: str, resolution: int) -> np.ndarray:
        """Return random bytes (N, resolution, resolution, 3)."""
        shape = (self.counts[split], resolution, resolution, 3)
        return np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    def native_images(self) -> np.ndarray:
        """Return as many random images as the training has, at native resolution."""
        return self.images("train", self.native_resolution)

    def rows(self, split: str) -> np.ndarray:
        """Return the rows in turn: int64 (N,)."""
        return np.arange(self.counts[split])

    def labels(self, split: str) -> np.ndarray:
        """Return the classes in turn: int64 (N,)."""
        return np.arange(self.counts[split]) % self.num_classes


def build_noise_store(batch_size: int, largest: int, classes: int) -> NoiseStore:
    """Return a store of a short epoch of training and one batch of validation.

    `largest` is the side of the largest images that are read, which is the native resolution.
    """
    steps = min(MAX_EPOCH_STEPS, max(2, NOISE_BYTES // (3 * largest**2 * batch_size)))
    known = {
        "native_resolution": largest,
        "classes": tuple(map(str, range(classes))),
        "counts": {"train": steps * batch_size, "val": VAL_BATCH_FACTOR * batch_size},
        "mean": (0.5,) * 3,
        "std": (0.25,) * 3,
        "filter": "bicubic",
    }
    unknown: dict[str, Any] = dict.fromkeys(each.name for each in fields(Store))
    return NoiseStore(**{**unknown, **known})


def measure_cells(
    architecture: Architecture,
    recipe: Training,
    resolutions: Sequence[int],
    classes: int,
    runtime: Runtime,
    device: torch.device,
    budget: TimingBudget,
    native_side: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield a record for each of `resolutions`, which must rise.

    A recipe that cuts its crops from native images needs their `native_side`.

    (The peak memory of a process never falls, so a larger cell must not come before a smaller
    one.) Every record has status (ok, or infeasible with its reason), device_memory_mib,
    context_mib (memory of a process on a GPU beside its tensors) and age_seconds of the
    process. Where the cell fits it also has step_seconds, val_image_seconds,
    save_seconds (all weights), startup_seconds (a process until its first step), micro_batch
    (None: whole batches), weights_bytes, optimizer_bytes, peak_memory_mib (device) and
    peak_rss_mib (process), both peaks without the images.
    """
    startup: list[float] | None = None
    for resolution in resolutions:
        store = build_noise_store(recipe.batch_size, native_side or resolution, classes)
        try:
            record = {
                "status": "ok",
                **_measure(store, architecture, recipe, resolution, runtime, device, budget),
            }
            # Only the first cell of the process pays for imports and the start of CUDA.
            startup = startup or record["startup_seconds"]
            record["startup_seconds"] = startup
        except (Infeasible, RuntimeError, MemoryError) as error:
            if not (isinstance(error, Infeasible) or is_out_of_memory(error)):
                raise
            record = {"status": "infeasible", "reason": str(error).partition("\n")[0]}
        record["device_memory_mib"] = device_memory_mib(device)
        record["context_mib"] = CONTEXT_MIB if device.type == "cuda" else 0
        record["age_seconds"] = process_age().tolist()
        yield record
        free_memory()


def _measure(
    store: NoiseStore,
    architecture: Architecture,
    recipe: Training,
    resolution: int,
    runtime: Runtime,
    device: torch.device,
    budget: TimingBudget,
) -> dict[str, Any]:
    group = Group()
    train, val = build_loaders(recipe, store, resolution, 0, runtime, group, device)
    trainer = build_trainer(
        _unfrozen(recipe),
        architecture,
        0,
        store,
        train,
        val,
        device,
        group,
        runtime.execution,
        resolution,
    )
    # A training keeps a copy of its best weights on the device; it belongs to the peak.
    state = trainer.eval_model.state_dict()
    best = {name: tensor.detach().clone() for name, tensor in state.items()}
    warmup = StepTimer(device, 1, 2, budget.warmup_seconds, budget.max_seconds)
    _time_steps(trainer, train, warmup)
    # Validation between steps, as in a training: it frees memory in other pieces, and the steps
    # that follow need more than steps alone.
    validation = time_repeatedly(trainer.validate, budget.interval_seconds)
    timer = StepTimer(device, 5, 1, budget.interval_seconds, budget.max_seconds)
    _time_steps(trainer, train, timer)
    step = np.median(timer.interval_means, axis=0)
    save = time_repeatedly(lambda: _save(best), budget.interval_seconds)
    images_mib = _count_image_bytes(store, recipe, resolution) / MIB
    peak_rss_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "startup_seconds": (warmup.first_step_age - step).tolist(),
        "step_seconds": step.tolist(),
        "val_image_seconds": (validation / store.counts["val"]).tolist(),
        "save_seconds": save.tolist(),
        "micro_batch": trainer.micro_batch.size,
        "weights_bytes": sum(tensor.nbytes for tensor in best.values()),
        "optimizer_bytes": _state_bytes(trainer.optimizer),
        "peak_memory_mib": peak_memory_mib(device) - images_mib,
        "peak_rss_mib": peak_rss_kib / 2**10 - images_mib,
    }


def _count_image_bytes(store: NoiseStore, recipe: Training, resolution: int) -> int:
    native = recipe.augmentation.crops_native
    train_side = store.native_resolution if native else resolution
    return 3 * (store.counts["train"] * train_side**2 + store.counts["val"] * resolution**2)


def _unfrozen(recipe: Training) -> Training:
    """Return the recipe with a backbone that is trained from the start, where it ever is.

    These steps take the most time and memory of the training.
    """
    if recipe.finetune.unfreeze_epoch is None:
        return recipe
    changes = {"freeze": "none", "unfreeze_epoch": None}
    finetune = recipe.finetune.model_copy(update=changes)
    return recipe.model_copy(update={"finetune": finetune})


def _time_steps(trainer: Trainer, loader: TrainLoader, timer: StepTimer) -> None:
    """Train until `timer` has measured all its intervals."""
    trainer.step_hook = timer.step
    with suppress(TimingDone):
        for epoch in count():
            loader.set_epoch(epoch)
            trainer.train_epoch(epoch)
    trainer.step_hook = no_hook


def _save(weights: dict[str, torch.Tensor]) -> None:
    # In the working directory, where a training saves; /tmp may be a faster disk.
    with tempfile.TemporaryDirectory(dir=Path(), prefix=".resomap-") as folder:
        save_weights(Path(folder) / "best.safetensors", weights, {})


def _state_bytes(optimizer: Optimizer) -> int:
    total = 0
    for state in optimizer.state.values():
        for value in state.values():
            if isinstance(value, torch.Tensor):
                total += value.nbytes
    return total
