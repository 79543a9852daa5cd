"""What a training takes, piece by piece: a step, a picture of validation, a save, measured with the real trainer on pictures of noise.

Every duration is a pair: seconds on the wall, and CPU seconds of the process.
"""

import gc
import resource
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer

from resomap.config.schema import Architecture, Runtime
from resomap.config.training import Training
from resomap.data.loading.loader import TrainLoader
from resomap.data.store.store import Store
from resomap.system.gpus import device_memory_mib, peak_memory_mib
from resomap.training.build import build_loaders, build_trainer
from resomap.training.checkpoint import save_weights
from resomap.training.distributed import Group
from resomap.training.memory import Infeasible
from resomap.training.stopwatch import Enough, Steps, age, repeated
from resomap.training.trainer import Trainer, nothing

MIB = 2**20
NOISE_BYTES = 64 * MIB
"""Of pictures to train on, unless that is less than two batches."""
MOST_STEPS = 50
"""In an epoch, whose own costs then weigh about as much as in a real one."""
VAL_BATCH = 4  # times the batch, as in build_loaders


@dataclass(frozen=True)
class Pace:
    """How long is measured: after `warm_up` seconds and two steps, five stretches of `stretch` seconds, or two in more than `longest`."""

    warm_up: float = 1.0
    stretch: float = 0.4
    longest: float = 20.0


class Noise(Store):
    """A store of random pictures of every class."""

    def images(self, split: str, resolution: int) -> np.ndarray:
        """Random bytes (N, resolution, resolution, 3)."""
        return np.random.default_rng(0).integers(
            0, 256, (self.counts[split], resolution, resolution, 3), np.uint8
        )

    def labels(self, split: str) -> np.ndarray:
        """The classes in turn: int64 (N,)."""
        return np.arange(self.counts[split]) % self.num_classes


def draw_noise(batch_size: int, resolution: int, classes: int) -> Noise:
    """Pictures of a short epoch, and one batch of validation."""
    steps = min(MOST_STEPS, max(2, NOISE_BYTES // (3 * resolution**2 * batch_size)))
    counts = {"train": steps * batch_size, "val": VAL_BATCH * batch_size}
    known = {
        "native_resolution": resolution,
        "classes": tuple(map(str, range(classes))),
        "counts": counts,
    }
    unknown: dict[str, Any] = dict.fromkeys(each.name for each in fields(Store))
    return Noise(**unknown | known | {"mean": (0.5,) * 3, "std": (0.25,) * 3})


def measure_cells(
    architecture: Architecture,
    recipe: Training,
    resolutions: Sequence[int],
    classes: int,
    runtime: Runtime,
    device: torch.device,
    pace: Pace,
) -> Iterator[dict[str, Any]]:
    """A record a resolution; `resolutions` rise, so that each peak of the process's memory is its own.

    Holds status (ok, or infeasible with its reason), device_memory_mib, and age_seconds of the process at its end. Where it fits also
    micro_batch (None: whole batches); step_seconds, val_image_seconds, save_seconds of all weights, startup_seconds of a process
    until its first step; weights_bytes, optimizer_bytes; peak_memory_mib on the device, peak_rss_mib of the process, both without pictures.
    """
    startup: list[float] | None = None
    for resolution in resolutions:
        noise = draw_noise(recipe.batch_size, resolution, classes)
        try:
            record = {
                "status": "ok",
                **_measure(noise, architecture, recipe, runtime, device, pace),
            }
            startup = startup or record["startup_seconds"]  # that of the process's first cell
            record["startup_seconds"] = startup
        except (Infeasible, torch.OutOfMemoryError) as error:
            record = {"status": "infeasible", "reason": str(error).partition("\n")[0]}
        yield record | {
            "device_memory_mib": device_memory_mib(device),
            "age_seconds": age().tolist(),
        }
        gc.collect()
        torch.cuda.empty_cache()


def _measure(
    noise: Noise,
    architecture: Architecture,
    recipe: Training,
    runtime: Runtime,
    device: torch.device,
    pace: Pace,
) -> dict[str, Any]:
    group, resolution = Group(), noise.native_resolution
    train, val = build_loaders(recipe, noise, resolution, 0, runtime, group, device)
    trainer = build_trainer(recipe, architecture, 0, noise, train, val, device, group)
    best = {
        name: tensor.detach().clone() for name, tensor in trainer.evaluated.state_dict().items()
    }  # as a training keeps them
    warm = _train(trainer, train, Steps(device, 1, 2, pace.warm_up, pace.longest))
    # Between steps, as in a training: memory that was given back in other pieces is not all found again.
    validation = repeated(trainer.validate, pace.stretch)
    steps = _train(trainer, train, Steps(device, 5, 1, pace.stretch, pace.longest))
    step = np.median(steps.stretches, axis=0)
    pictures_mib = 3 * resolution**2 * sum(noise.counts.values()) / MIB
    return {
        "startup_seconds": (warm.first - step).tolist(),
        "step_seconds": step.tolist(),
        "val_image_seconds": (validation / noise.counts["val"]).tolist(),
        "save_seconds": repeated(lambda: _save(best), pace.stretch).tolist(),
        "micro_batch": trainer.portion.size,
        "weights_bytes": sum(tensor.nbytes for tensor in best.values()),
        "optimizer_bytes": _state_bytes(trainer.optimizer),
        "peak_memory_mib": peak_memory_mib(device) - pictures_mib,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        - pictures_mib,
    }


def _train(trainer: Trainer, loader: TrainLoader, steps: Steps) -> Steps:
    """`steps`, once they have been taken."""
    trainer.between = steps.step
    with suppress(Enough):
        for epoch in count():
            loader.set_epoch(epoch)
            trainer.train_epoch(epoch)
    trainer.between = nothing
    return steps


def _save(weights: dict[str, torch.Tensor]) -> None:
    with tempfile.TemporaryDirectory(dir=Path(), prefix=".resomap-") as folder:
        save_weights(Path(folder) / "best.safetensors", weights, {})


def _state_bytes(optimizer: Optimizer) -> int:
    return sum(
        value.nbytes
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, torch.Tensor)
    )
