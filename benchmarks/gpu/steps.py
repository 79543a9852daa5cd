"""Training steps with one setting changed at a time, each against the first row of its network.

usage: python -m benchmarks.gpu.steps [--device cuda] [--cells ...] [--seconds 140]

Precision, memory format, cuDNN's choice, place of the images, workers, moving average,
augmentation and execution. One process, random images. `bare loop` is forward, loss, backward and optimizer on one batch
that is on the device: nothing of a training can be faster.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from io import StringIO
from time import perf_counter
from typing import Any
from unittest.mock import patch

import torch
from torch.nn.functional import cross_entropy

from benchmarks.gpu.card import synchronise
from benchmarks.gpu.output import (
    NOT_MEASURED,
    Budget,
    add_device_option,
    or_failure,
    print_rows,
)
from benchmarks.harness import shipped_config, spread
from resomap.config.schema import Config
from resomap.config.sweep_checks import find_architecture
from resomap.system.determinism import choose_kernels
from resomap.system.precision import use_float32, why_no_tf32
from resomap.training.build import build_loaders, build_trainer
from resomap.training.distributed import Group
from resomap.training.passes import autocast
from resomap.training.steps import build_noise_store
from resomap.training.trainer import Trainer

CELLS = ("tiny_cnn:64", "resnet18:64", "resnet50:224")
CLASSES, MIN_STEPS, ROUNDS = 8, 5, 3
BUILD_SECONDS = 1.0  # of a trainer with its images, beside the seconds of a setting
HEAD = ("model", "px", "setting", "images/s", "ms a step", "of the first row", "first step s")
AUGMENTATION = {
    "random_resized_crop": {"scale": [0.08, 1.0], "ratio": [0.75, 1.3333]},
    "rotation_degrees": 15.0,
    "color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
    "blur": {"probability": 0.5, "sigma": [0.002, 0.01]},
    "erasing": {"probability": 0.25, "scale": [0.02, 0.33], "ratio": [0.3, 3.3]},
}


@dataclass(frozen=True)
class Setting:
    """A change of the recipe, of the runtime, of where images lie, or of the memory format."""

    name: str
    training: dict[str, Any] = field(default_factory=dict)
    runtime: dict[str, Any] = field(default_factory=dict)
    on_host: bool = False
    contiguous: bool = False
    extra_seconds: float = 0.0
    """What it takes before its first step, beside the building of a trainer."""


SETTINGS = (
    Setting("bf16, channels_last"),
    Setting("tf32", {"precision": "tf32"}),
    Setting("fp32", {"precision": "fp32"}),
    Setting("contiguous", contiguous=True),
    Setting("cudnn_benchmark: false", runtime={"cudnn_benchmark": False}),
    Setting("images on the host, 0 workers", runtime={"num_workers": 0}, on_host=True),
    Setting("images on the host, 2 workers", runtime={"num_workers": 2}, on_host=True),
    Setting("images on the host, 8 workers", runtime={"num_workers": 8}, on_host=True),
    Setting("moving average", {"ema_decay": 0.999}),
    Setting("clip_norm", {"clip_norm": 1.0}),
    Setting("all augmentations", {"augmentation": AUGMENTATION}),
    Setting("cuda_graph", runtime={"execution": "cuda_graph"}),
    Setting("deterministic: true", runtime={"deterministic": True}),
)
# After those of all networks: compiling takes what the budget has left.
LAST_SETTINGS = (Setting("compiled", runtime={"execution": "compiled"}, extra_seconds=40.0),)


class ContiguousBatches:
    """A loader whose images are in the NCHW format."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __iter__(self) -> Iterator[Any]:
        for images, labels in self._loader:
            yield images.contiguous(), labels


def configure(device: str, batch_size: int, setting: Setting) -> Config:
    """Return the shipped recipe in bf16 with a setting."""
    training = {"precision": "bf16", "batch_size": batch_size, "epochs": 1000}
    system = {"device": device, "training": setting.runtime}
    return shipped_config(
        {"training": training}, {"training": setting.training, "system": system}
    )


def build(model: str, resolution: int, setting: Setting, config: Config) -> Trainer:
    """Return a trainer on random images."""
    device, group, runtime = torch.device(config.system.device), Group(), config.system.training
    choose_kernels(
        device, benchmark=runtime.cudnn_benchmark, deterministic=runtime.deterministic
    )
    recipe = config.training
    store = build_noise_store(recipe.batch_size, resolution, CLASSES)
    loaders = (recipe, store, resolution, 0, runtime, group, device)
    if setting.on_host:
        with patch("torch.cuda.mem_get_info", lambda *_: (0, 1)):
            train, val = build_loaders(*loaders)
    else:
        train, val = build_loaders(*loaders)
    architecture = find_architecture(config.models, model)
    trainer = build_trainer(
        recipe, architecture, 0, store, train, val, device, group, runtime.execution
    )
    if setting.contiguous:
        trainer.model.to(memory_format=torch.contiguous_format)
        trainer.train_loader = ContiguousBatches(train)
    return trainer


class StepsDone(Exception):
    """Ends an epoch after the last step that is needed."""


def stop_after(trainer: Trainer, count: int) -> None:
    """Let the next epochs of `trainer` end with StepsDone after `count` steps."""
    steps = 0

    def count_step() -> None:
        nonlocal steps
        steps += 1
        if steps == count:
            raise StepsDone

    trainer.step_hook = count_step


def time_steps(trainer: Trainer, batch_size: int, seconds: float) -> tuple[list[float], float]:
    """Return images per second of each of ROUNDS rounds, and the seconds of the first step."""
    device, rates, first = trainer.device, list[float](), 0.0
    began = start = perf_counter()
    steps = 0

    def count_step() -> None:
        nonlocal start, steps, first
        steps += 1
        if not first:
            synchronise(device)
            first = perf_counter() - began
        # The first round is the warm-up.
        if steps >= MIN_STEPS and perf_counter() - start > seconds / (ROUNDS + 1):
            synchronise(device)
            rates.append(steps * batch_size / (perf_counter() - start))
            if len(rates) > ROUNDS:
                raise StepsDone
            start, steps = perf_counter(), 0

    trainer.step_hook = count_step
    for epoch in range(10_000):
        if hasattr(trainer.train_loader, "set_epoch"):
            trainer.train_loader.set_epoch(epoch)
        try:
            with redirect_stderr(StringIO()):  # the progress bar would stand in the table
                trainer.train_epoch(epoch)
        except StepsDone:
            break
    return rates[1:], first


def time_bare_loop(trainer: Trainer, batch_size: int, seconds: float) -> list[float]:
    """Return images per second of a loop on one batch that is on the device."""
    device, rates = trainer.device, list[float]()
    images, labels = next(iter(trainer.train_loader))
    images, labels = images.to(device), labels.to(device)
    trainer.model.train()

    def step() -> None:
        with autocast(trainer.precision, device):
            cross_entropy(trainer.model(images), labels).backward()
        trainer.optimizer.step()
        trainer.optimizer.zero_grad(set_to_none=True)

    for _ in range(ROUNDS + 1):
        synchronise(device)
        start, steps = perf_counter(), 0
        while steps < MIN_STEPS or perf_counter() - start < seconds / (ROUNDS + 1):
            step()
            steps += 1
            if steps % MIN_STEPS == 0:
                synchronise(device)
        synchronise(device)
        rates.append(steps * batch_size / (perf_counter() - start))
    return rates[1:]


def time_loader(trainer: Trainer, batch_size: int) -> list[float]:
    """Return images per second of an epoch of the loader alone."""
    rates = []
    for _ in range(ROUNDS + 1):
        synchronise(trainer.device)
        start, batches = perf_counter(), 0
        for _batch in trainer.train_loader:
            batches += 1
        synchronise(trainer.device)
        rates.append(batches * batch_size / (perf_counter() - start))
    return rates[1:]


def setting_rows(options: argparse.Namespace) -> Iterator[tuple[object, ...]]:
    """Yield a row of HEAD per network and setting, as far as the budget goes."""
    budget = Budget(options.seconds)
    bases: dict[str, list[float]] = {}
    for cell, setting in ordered_settings(options.cells):
        model, resolution = cell.split(":")
        needed = BUILD_SECONDS + setting.extra_seconds + 2 * options.setting_seconds
        if not budget.allows(needed):
            yield (model, resolution, setting.name, NOT_MEASURED, "", "", "")
            continue
        base = bases.get(cell, [])
        for name, rates, first in measure_setting(
            options, model, int(resolution), setting, not base
        ):
            base = base or rates
            columns = _columns(rates, base, first, options.batch_size)
            yield (model, resolution, name, *columns)
        bases[cell] = base


def ordered_settings(cells: Sequence[str]) -> Iterator[tuple[str, Setting]]:
    """Yield cells and settings in the order in which they are measured."""
    for cell in cells:
        for setting in SETTINGS:
            yield cell, setting
    for setting in LAST_SETTINGS:
        for cell in cells:
            yield cell, setting


def runs_on(setting: Setting, device: str) -> bool:
    """Return whether a device can run a setting."""
    if setting.runtime.get("execution") == "cuda_graph":
        return device == "cuda"
    return setting.name != "tf32" or not why_no_tf32(torch.device(device))


def measure_setting(
    options: argparse.Namespace,
    model: str,
    resolution: int,
    setting: Setting,
    with_bounds: bool,
) -> Iterator[tuple[str, list[float], float | str]]:
    """Yield name, rates and first-step seconds; the bounds of a network come after its first row."""
    if not runs_on(setting, options.device):
        yield setting.name, [], NOT_MEASURED
        return
    config = configure(options.device, options.batch_size, setting)
    size, seconds = options.batch_size, options.setting_seconds
    trainer: Any = or_failure(lambda: build(model, resolution, setting, config))
    if isinstance(trainer, str):
        yield setting.name, [], trainer
        return
    measured: Any = or_failure(lambda: time_steps(trainer, size, seconds))
    if isinstance(measured, str):
        yield setting.name, [], measured
        return
    yield setting.name, *measured
    bounds: dict[str, Callable[[], object]] = {
        "bare loop": lambda: time_bare_loop(trainer, size, seconds),
        "loader alone": lambda: time_loader(trainer, size),
    }
    for name, measure in bounds.items() if with_bounds else ():
        rates: Any = or_failure(measure)
        yield (name, [], rates) if isinstance(rates, str) else (name, rates, "")


def _columns(
    rates: list[float], base: list[float], first: float | str, batch_size: int
) -> tuple[str, ...]:
    if not rates:
        return (str(first), "", "", "")
    middle = sorted(rates)[len(rates) // 2]
    relative = middle / sorted(base)[len(base) // 2]
    first_text = first if isinstance(first, str) else f"{first:.2f}"
    return spread(rates, 0), f"{1e3 * batch_size / middle:.3f}", f"{relative:.2f}", first_text


def add_step_options(parser: argparse.ArgumentParser, cells: Sequence[str]) -> None:
    """Add the options of parts that run training steps."""
    add_device_option(parser, seconds=140)
    parser.add_argument("--cells", nargs="+", default=cells, help="model:resolution")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--setting-seconds", type=float, default=1.5)


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_step_options(parser, CELLS)
    options = parser.parse_args()
    use_float32()
    title = f"Settings of a training step, batch {options.batch_size}"
    print_rows(title, HEAD, setting_rows(options))


if __name__ == "__main__":
    main()
