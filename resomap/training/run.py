"""One run as its recipe says, gone on with where an earlier process left it, and tried again where the recipe asks for it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from resomap.config.schema import Architecture, Runtime
from resomap.config.training import Training
from resomap.data.store.store import Store
from resomap.training.autosave import Autosave
from resomap.training.build import build_loaders, build_trainer
from resomap.training.callbacks import EarlyStopping, ModelCheckpoint
from resomap.training.distributed import Group
from resomap.training.events import events_into
from resomap.training.fit import Outcome, fit
from resomap.training.states import States


@dataclass(frozen=True)
class Places:
    """Where a training keeps its best epochs, its event files, and the states that `fingerprint` marks as its own."""

    checkpoints: Path
    events: Path
    states: Path
    fingerprint: str


@dataclass(frozen=True)
class Setup:
    """What is trained: a network, by a recipe, at a resolution, from a seed, on the pictures of a store."""

    recipe: Training
    architecture: Architecture
    resolution: int
    seed: int
    store: Store


def train_run(
    setup: Setup, places: Places, runtime: Runtime, group: Group, device: torch.device
) -> tuple[Outcome, dict[str, Any]]:
    """The outcome, and how it was trained in the end: learning_rate, micro_batch, and what made a first attempt fail."""
    outcome, how = attempt(
        setup, replace(places, states=places.states / "first"), runtime, group, device
    )
    if outcome.status != "diverged" or setup.recipe.on_divergence == "stop":
        return outcome, {**how, "retried_because": None}
    first = outcome.reason
    outcome, how = attempt(
        at_half_rate(setup),
        replace(places, states=places.states / "second"),
        runtime,
        group,
        device,
    )
    return outcome, {**how, "retried_because": first}


def at_half_rate(setup: Setup) -> Setup:
    """The same training with half the peak learning rate."""
    optimizer = setup.recipe.optimizer
    slower = optimizer.model_copy(update={"learning_rate": optimizer.learning_rate / 2})
    return replace(setup, recipe=setup.recipe.model_copy(update={"optimizer": slower}))


def attempt(
    setup: Setup, places: Places, runtime: Runtime, group: Group, device: torch.device
) -> tuple[Outcome, dict[str, Any]]:
    """One training from its first step, or from the state that it left, to its end."""
    recipe, stop = setup.recipe, setup.recipe.early_stopping
    train, val = build_loaders(
        recipe, setup.store, setup.resolution, setup.seed, runtime, group, device
    )
    trainer = build_trainer(
        recipe, setup.architecture, setup.seed, setup.store, train, val, device, group
    )
    autosave = Autosave(
        States(places.states, places.fingerprint),
        runtime.save_every_seconds,
        runtime.save_every_steps,
        group,
    )
    parts: dict[str, Any] = {
        "early_stopping": stop
        and EarlyStopping(
            stop.patience, stop.warmup_epochs, recipe.monitor.mode, stop.min_delta
        ),
        "checkpoint": ModelCheckpoint(
            places.checkpoints,
            recipe.monitor.name,
            recipe.monitor.mode,
            recipe.save_top_k,
            recipe.save_optimizer,
        ),
        "autosave": autosave,
    }
    with (
        events_into(places.events if runtime.tensorboard and group.leads else None) as on_epoch,
        autosave.listening(),
    ):
        outcome = fit(
            trainer,
            recipe.epochs,
            recipe.monitor,
            resolution=setup.resolution,
            on_epoch=on_epoch,
            **parts,
        )
    return outcome, {
        "learning_rate": recipe.optimizer.learning_rate,
        "micro_batch": trainer.portion.size,
    }
