"""What saving its state costs a training: share of the time, size and seconds of a save.

usage: python -m benchmarks.saving [--device cpu] [--models ...] [--resolution 64] [--seconds
100]

Writes benchmarks/saving.md.
"""

import argparse
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from benchmarks.harness import ROOT, markdown, shipped_config
from resomap.config.sweep_checks import find_architecture
from resomap.data.loading.loader import EvalLoader, Normalise, TrainLoader
from resomap.models.registry import build_model
from resomap.system.files import write_text
from resomap.training.autosave import Autosave
from resomap.training.fit import fit
from resomap.training.optimizers import build_optimizer
from resomap.training.schedules import build_schedule
from resomap.training.states import StateFolder
from resomap.training.trainer import Trainer

HEAD = (
    *("model", "px", "device", "trained s", "saves", "MiB a save", "s a save"),
    "share of the time",
)
OUT = ROOT / "benchmarks" / "saving.md"
NUM_IMAGES = 512
MAX_EPOCHS = 1000
CHANGES = {
    "data": {"native_resolution": 256, "reef": {"train": 2048, "val": 256, "test": 256}},
    "training": {"epochs": 3, "batch_size": 128},
}


class TimedAutosave(Autosave):
    """Autosave that records its own seconds, its saves, and the bytes of the largest one."""

    def __post_init__(self) -> None:
        self.busy, self.saves, self.bytes = 0.0, 0, 0
        super().__post_init__()

    def maybe_save(self, take: Any) -> None:
        """Time what every step pays, the check whether to save included."""
        started = perf_counter()
        super().maybe_save(take)
        self.busy += perf_counter() - started

    def save(self, take: Any) -> None:
        """Save and record it."""
        super().save(take)
        self.saves += 1
        self.bytes = max(path.stat().st_size for path in self.states.folder.iterdir())


class Deadline:
    """End of a training at a given time, in place of early stopping."""

    def __init__(self, end: float) -> None:
        self.end = end

    @property
    def stop(self) -> bool:
        """True once the time is over."""
        return perf_counter() > self.end

    def step(self, epoch: int, value: float) -> None:
        """Ignore the monitored value."""

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state."""
        return {}


def measure_saving(
    name: str, resolution: int, device: torch.device, seconds: float
) -> tuple[object, ...]:
    """Train a model with the shipped recipe for `seconds`; return its row of HEAD."""
    sweep = {"models": [name], "resolutions": [resolution], "seeds": [0]}
    config = shipped_config(CHANGES, {"sweep": sweep, "system": {"device": str(device)}})
    trainer, schedule_monitor = _build_trainer(config, name, resolution, device)
    with tempfile.TemporaryDirectory(dir=OUT.parent) as folder:
        interval = config.system.training.save_every_seconds
        autosave = TimedAutosave(StateFolder(Path(folder), "measured"), interval)
        started = perf_counter()
        deadline: Any = Deadline(started + seconds)
        fit(trainer, MAX_EPOCHS, schedule_monitor, autosave=autosave, early_stopping=deadline)
        trained = perf_counter() - started
    return (
        *(name, resolution, device, f"{trained:.0f}", autosave.saves),
        f"{autosave.bytes / 2**20:.1f}",
        f"{autosave.busy / max(autosave.saves, 1):.2f}",
        f"{autosave.busy / trained:.2%}",
    )


def _build_trainer(
    config: Any, name: str, resolution: int, device: torch.device
) -> tuple[Trainer, Any]:
    recipe = config.training
    torch.manual_seed(0)
    model = build_model(find_architecture(config.models, name), num_classes=8)
    model.to(device, memory_format=torch.channels_last)
    shape = (NUM_IMAGES, resolution, resolution, 3)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    labels = torch.arange(NUM_IMAGES, device=device) % 8
    normalise = Normalise((0.5,) * 3, (0.25,) * 3, device)
    train = TrainLoader(images, labels, normalise, 32, 0, recipe.augmentation)
    val = EvalLoader(images[:32], labels[:32], normalise, 32)
    optimizer = build_optimizer(recipe.optimizer, model)
    schedule = build_schedule(
        recipe.schedule, optimizer, len(train), MAX_EPOCHS, recipe.monitor
    )
    loss = torch.nn.CrossEntropyLoss()
    trainer = Trainer(model, device, loss, optimizer, train, val, scheduler=schedule, seed=0)
    return trainer, recipe.monitor


def main() -> None:
    """Train each model for about `--seconds` and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--models", nargs="+", default=["tiny_cnn", "resnet18", "vgg16"])
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    arguments = options.resolution, torch.device(options.device), options.seconds
    write_text(
        OUT, markdown(HEAD, [measure_saving(name, *arguments) for name in options.models])
    )
    print(OUT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
