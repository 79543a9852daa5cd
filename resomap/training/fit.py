"""A whole training: epochs, the best weights by a monitor, and a status that is never a number."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from resomap.recipe import Monitor
from resomap.training.callbacks import EarlyStopping, ModelCheckpoint
from resomap.training.monitor import is_better
from resomap.training.tally import METRICS
from resomap.training.trainer import Trainer

HISTORY_COLUMNS = ("epoch", *(f"train_{name}" for name in METRICS), *(f"val_{name}" for name in METRICS), "lr")
RATES = ("epoch_seconds", "images_per_second", "peak_memory_mib")


@dataclass
class Outcome:
    """What a training left: its status, the best weights and their scores, one row an epoch, and what each epoch took."""

    status: Literal["ok", "diverged"] = "ok"
    weights: dict[str, Tensor] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    rates: list[dict[str, float]] = field(default_factory=list)


def fit(
    trainer: Trainer,
    epochs: int,
    monitor: Monitor,
    *,
    resolution: int = 0,
    early_stopping: EarlyStopping | None = None,
    checkpoint: ModelCheckpoint | None = None,
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
) -> Outcome:
    """Train for `epochs` or until `early_stopping` says so; a loss that is not finite ends it as diverged, its weights discarded.

    A train_loader with `set_epoch` is told each epoch. `on_epoch` gets the epoch and all that was measured in it.
    """
    outcome = Outcome()
    for epoch in range(epochs):
        row, rates = _epoch(trainer, epoch)
        if not (math.isfinite(row["train_loss"]) and math.isfinite(row["val_loss"])):
            return Outcome(status="diverged", scores={"epoch": epoch}, history=outcome.history, rates=outcome.rates)
        outcome.history.append(row)
        outcome.rates.append(rates)
        _keep_best(outcome, row, trainer, monitor)
        if trainer.group.leads:
            _tell(row, rates, epochs)
            if checkpoint:
                checkpoint.step(epoch, row, trainer.evaluated, trainer.optimizer, resolution)
            if on_epoch:
                on_epoch(epoch, {**row, **rates})
        if early_stopping:
            early_stopping.step(epoch, row[monitor.name])
            if early_stopping.stop:
                break
    return outcome


def _epoch(trainer: Trainer, epoch: int) -> tuple[dict[str, float], dict[str, float]]:
    set_epoch: Any = getattr(trainer.train_loader, "set_epoch", None)
    if set_epoch:
        set_epoch(epoch)
    rate = trainer.optimizer.param_groups[0]["lr"]
    trained, validated = trainer.train_epoch(), trainer.validate()
    row = {"epoch": epoch, **{f"train_{name}": trained[name] for name in METRICS}, **{f"val_{name}": validated[name] for name in METRICS}}
    return {**row, "lr": rate}, {"epoch": epoch, **{name: trained[name] for name in RATES}}


def _keep_best(outcome: Outcome, row: dict[str, float], trainer: Trainer, monitor: Monitor) -> None:
    if is_better(row[monitor.name], outcome.scores.get(monitor.name), monitor.mode):
        outcome.scores = {name: value for name, value in row.items() if name == "epoch" or name.startswith("val_")}
        outcome.weights = {name: tensor.detach().clone() for name, tensor in trainer.evaluated.state_dict().items()}


def _tell(row: dict[str, float], rates: dict[str, float], epochs: int) -> None:
    print(
        f"epoch {row['epoch'] + 1:.0f}/{epochs}: loss {row['train_loss']:.4f}, val_loss {row['val_loss']:.4f}, "
        f"val_accuracy {row['val_accuracy']:.4f}, lr {row['lr']:.2g}, {rates['images_per_second']:.0f} images/s",
        file=sys.stderr,
        flush=True,
    )
