"""One run: resumed where an earlier process stopped, retried if the recipe allows it."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from resomap.config.architecture import Architecture
from resomap.config.schema import Runtime
from resomap.config.start import Start
from resomap.config.training import Training
from resomap.data.store.store import Store
from resomap.models.published import InputFormat, describe_numbers
from resomap.system.files import file_sha256
from resomap.training.autosave import Autosave
from resomap.training.build import build_loaders, build_trainer
from resomap.training.callbacks import EarlyStopping, ModelCheckpoint
from resomap.training.distributed import Group
from resomap.training.events import event_writer
from resomap.training.fit import Outcome, fit
from resomap.training.initial_weights import StartRecord, expected_input, network_to_start
from resomap.training.memory import min_micro_batch
from resomap.training.states import StateFolder


@dataclass(frozen=True)
class RunPaths:
    """The folders of a run: checkpoints, TensorBoard events, and states with `fingerprint`."""

    checkpoints: Path
    events: Path
    states: Path
    fingerprint: str


@dataclass(frozen=True)
class RunSetup:
    """The parts of a run: recipe, network, resolution, seed and prepared store."""

    recipe: Training
    architecture: Architecture
    resolution: int
    seed: int
    store: Store


def train_run(
    setup: RunSetup, paths: RunPaths, runtime: Runtime, group: Group, device: torch.device
) -> tuple[Outcome, dict[str, Any]]:
    """Return the outcome and the settings that the training ended with.

    These are learning_rate, micro_batch, what the run saw, and retried_because (the reason why
    a first attempt diverged, else None). Each attempt has states of its own: a process that is
    killed in the second one does not repeat the first, whose last state holds its outcome.
    """
    first_paths = replace(paths, states=paths.states / "first")
    outcome, settings = train_attempt(setup, first_paths, runtime, group, device)
    if outcome.status != "diverged" or setup.recipe.on_divergence == "stop":
        return outcome, {**settings, "retried_because": None}
    reason = outcome.reason
    setup = with_half_learning_rate(setup)
    second_paths = replace(paths, states=paths.states / "second")
    outcome, settings = train_attempt(setup, second_paths, runtime, group, device)
    return outcome, {**settings, "retried_because": reason}


def with_half_learning_rate(setup: RunSetup) -> RunSetup:
    """Return the same setup with half the peak learning rate."""
    recipe, rate = setup.recipe, setup.recipe.optimizer.learning_rate / 2
    slower = recipe.optimizer.model_copy(update={"learning_rate": rate})
    # A lower bound above the new peak would let the rate rise.
    lowest = min(recipe.schedule.min_lr, rate)
    schedule = recipe.schedule.model_copy(update={"min_lr": lowest})
    changes = {"optimizer": slower, "schedule": schedule}
    return replace(setup, recipe=recipe.model_copy(update=changes))


def train_attempt(
    setup: RunSetup, paths: RunPaths, runtime: Runtime, group: Group, device: torch.device
) -> tuple[Outcome, dict[str, Any]]:
    """Train once, from the first step or from the last saved state to the end."""
    recipe, seed = setup.recipe, setup.seed
    # Every later stage reads from the weights how their images were normalised.
    expected = expected_input(recipe.start, setup.architecture)
    store = setup.store.normalised_by(expected.normalisation)
    architecture = network_to_start(setup.architecture, recipe.start)
    records = list[StartRecord]()
    train, val = build_loaders(recipe, store, setup.resolution, seed, runtime, group, device)
    trainer = build_trainer(
        recipe,
        architecture,
        seed,
        store,
        train,
        val,
        device,
        group,
        runtime.execution,
        setup.resolution,
        records.append,
    )
    described, lines = _describe_start(recipe.start, store, expected, records)
    if group.is_leader:
        print(*lines, sep="\n", end="\n" * bool(lines), file=sys.stderr, flush=True)
    # A training may also start from the weights of an epoch.
    metadata = {"normalisation": described["normalisation"], "filter": store.filter}
    autosave = Autosave(
        StateFolder(paths.states, paths.fingerprint),
        runtime.save_every_seconds,
        runtime.save_every_steps,
        group,
    )
    events = paths.events if runtime.tensorboard and group.is_leader else None
    with event_writer(events) as on_epoch, autosave.handling_signals():
        outcome = fit(
            trainer,
            recipe.epochs,
            recipe.monitor,
            resolution=setup.resolution,
            early_stopping=_build_early_stopping(recipe),
            checkpoint=_build_checkpoint(recipe, paths.checkpoints, metadata),
            on_epoch=on_epoch,
            autosave=autosave,
        )
    outcome.log_lines = [*lines, *outcome.log_lines]
    epochs = len(outcome.history)
    return outcome, {
        "learning_rate": recipe.optimizer.learning_rate,
        "micro_batch": trainer.micro_batch.size,
        "bn_momentum": architecture.bn_momentum,
        # What a comparison of runs needs to know beside the recipe.
        "has_batch_norm": min_micro_batch(trainer.model) > 1,
        "optimizer_steps": epochs * len(train),
        "images_seen": epochs * len(store.labels("train")),
        "start_sha256": [file_sha256(path) for path in recipe.start_files],
        **described,
    }


def _describe_start(
    start: Start, store: Store, expected: InputFormat, records: Sequence[StartRecord]
) -> tuple[dict[str, Any], list[str]]:
    """Return normalisation and initial weights for metrics.json, and lines about them."""
    source = "images" if expected.normalisation is None else "weights"
    if start.normalisation is not None:
        source = "training.start.normalisation"
    normalisation = {"mean": list(store.mean), "std": list(store.std), "source": source}
    settings = {"normalisation": normalisation, "initial_weights": None}
    lines = list[str]()
    for record in records:
        weights = {
            **record.values,
            "interpolation": expected.interpolation,
            "resolution": expected.resolution,
        }
        mean, std = describe_numbers(store.mean), describe_numbers(store.std)
        settings["initial_weights"] = weights
        lines += [*record.lines, f"normalisation (from {source}): mean {mean}; std {std}"]
    return settings, lines


def _build_early_stopping(recipe: Training) -> EarlyStopping | None:
    stop = recipe.early_stopping
    if stop is None:
        return None
    return EarlyStopping(stop.patience, stop.warmup_epochs, recipe.monitor.mode, stop.min_delta)


def _build_checkpoint(
    recipe: Training, folder: Path, metadata: dict[str, Any]
) -> ModelCheckpoint:
    monitor = recipe.monitor
    return ModelCheckpoint(
        folder, monitor.name, monitor.mode, recipe.save_top_k, recipe.save_optimizer, metadata
    )
