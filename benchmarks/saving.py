"""What saving the state costs a training, at the default interval: the share of its time, and the size and seconds of one save."""

import argparse
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from benchmarks.gpu_check import configure
from resomap.config.load import find_architecture
from resomap.data.loading.loader import EvalLoader, Normalise, TrainLoader
from resomap.models.registry import build_model
from resomap.system.files import write_text
from resomap.training.autosave import Autosave
from resomap.training.fit import fit
from resomap.training.optimizers import build_optimizer
from resomap.training.schedules import build_schedule
from resomap.training.states import StateFolder
from resomap.training.trainer import Trainer

HEAD = "| model | px | device | trained s | saves | MiB a save | s a save | share of the time |\n|---|---|---|---|---|---|---|---|\n"
OUT = Path(__file__).with_suffix(".md")
PICTURES = 512


class Measured(Autosave):
    """An autosave that knows how long it was busy, looking at the clock included, and how often it saved."""

    def __post_init__(self) -> None:
        self.busy, self.saves, self.bytes = 0.0, 0, 0
        super().__post_init__()

    def maybe_save(self, take: Any) -> None:
        """Measure what a step pays."""
        started = perf_counter()
        super().maybe_save(take)
        self.busy += perf_counter() - started

    def save(self, take: Any) -> None:
        """Count a save."""
        super().save(take)
        self.saves += 1
        self.bytes = max(path.stat().st_size for path in self.states.folder.iterdir())


def main() -> None:
    """Train each network for about `--seconds` and write `benchmarks/saving.md`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--models", nargs="+", default=["tiny_cnn", "resnet18", "vgg16"])
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        measure(name, options.resolution, torch.device(options.device), options.seconds)
        for name in options.models
    ]
    write_text(OUT, HEAD + "".join(rows))
    print(OUT.read_text(encoding="utf-8"))


def measure(name: str, resolution: int, device: torch.device, seconds: float) -> str:
    """One row: a training with the shipped recipe that runs until the time is over."""
    config = configure(str(device), [name], [resolution])
    recipe = config.training
    torch.manual_seed(0)
    model = build_model(find_architecture(config.models, name), num_classes=8).to(
        device, memory_format=torch.channels_last
    )
    images = torch.randint(
        0, 256, (PICTURES, resolution, resolution, 3), dtype=torch.uint8, device=device
    )
    labels, normalise = (
        torch.arange(PICTURES, device=device) % 8,
        Normalise((0.5,) * 3, (0.25,) * 3, device),
    )
    train = TrainLoader(images, labels, normalise, 32, 0, recipe.augmentation)
    optimizer = build_optimizer(recipe.optimizer, model)
    rates = build_schedule(recipe.schedule, optimizer, len(train), 1000, recipe.monitor)
    val = EvalLoader(images[:32], labels[:32], normalise, 32)
    trainer = Trainer(
        model,
        device,
        torch.nn.CrossEntropyLoss(),
        optimizer,
        train,
        val,
        scheduler=rates,
        seed=0,
    )
    with tempfile.TemporaryDirectory(dir=OUT.parent) as folder:
        autosave = Measured(
            StateFolder(Path(folder), "measured"), config.system.training.save_every_seconds
        )
        started = perf_counter()
        fit(
            trainer,
            1000,
            recipe.monitor,
            autosave=autosave,
            early_stopping=Until(started + seconds),
        )  # type: ignore[arg-type]
        trained = perf_counter() - started
    saves = max(autosave.saves, 1)
    figures = f"{trained:.0f} | {autosave.saves} | {autosave.bytes / 2**20:.1f} | {autosave.busy / saves:.2f} | {autosave.busy / trained:.2%}"
    return f"| {name} | {resolution} | {device} | {figures} |\n"


class Until:
    """Ends a training at a moment, in the place of early stopping."""

    def __init__(self, end: float) -> None:
        self.end = end

    @property
    def stop(self) -> bool:
        """Whether the time is over."""
        return perf_counter() > self.end

    def step(self, epoch: int, value: float) -> None:
        """Nothing goes by the value."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing to go on with."""
        return {}


if __name__ == "__main__":
    main()
