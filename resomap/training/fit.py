"""A whole training: epochs, the best weights by a monitor, a status that is never a number, and a place to go on from."""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from time import perf_counter
from typing import Any, Literal

from torch import Tensor

from resomap.config.training import Monitor
from resomap.data.loading.loader import TrainLoader
from resomap.training.autosave import Autosave
from resomap.training.callbacks import EarlyStopping, ModelCheckpoint
from resomap.training.memory import Infeasible
from resomap.training.monitor import is_better
from resomap.training.tally import METRICS, Tally
from resomap.training.trainer import Trainer
from resomap.workflow.layout import table_columns

HISTORY_COLUMNS = table_columns("history")
RATES = ("epoch_seconds", "images_per_second", "peak_memory_mib")
OnEpoch = Callable[[int, dict[str, float]], None]


@dataclass
class Outcome:
    """What a training left: its status and the reason for it, the best weights and their scores, one row an epoch, what each took.

    `steps` is the number of optimizer steps at which a loss was first not finite, `log` what was told on the way, `seconds` how long
    it was trained, interruptions left out.
    """

    status: Literal["ok", "diverged", "infeasible"] = "ok"
    reason: str | None = None
    steps: int | None = None
    weights: dict[str, Tensor] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    rates: list[dict[str, float]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def told(self) -> dict[str, Any]:
        """How it ended, for metrics.json."""
        return {
            "status": self.status,
            "reason": self.reason,
            "steps": self.steps,
            "scores": self.scores,
        }

    def cost(self) -> dict[str, Any]:
        """What it took, for timing.json; pictures a second with validation included."""
        seen = sum(rates["epoch_seconds"] * rates["images_per_second"] for rates in self.rates)
        return {
            "train_seconds": self.seconds,
            "train_images_per_second": seen / self.seconds,
            "epochs": self.rates,
        }

    def end(
        self, status: Literal["diverged", "infeasible"], reason: str, steps: int | None = None
    ) -> None:
        """End without a result; weights and scores are discarded."""
        self.status, self.reason, self.steps, self.weights, self.scores = (
            status,
            reason,
            steps,
            {},
            {},
        )

    def tell(self, line: str) -> None:
        """Say a line now, and again when the training goes on elsewhere."""
        self.log.append(line)
        print(line, file=sys.stderr, flush=True)


def fit(
    trainer: Trainer,
    epochs: int,
    monitor: Monitor,
    *,
    resolution: int = 0,
    early_stopping: EarlyStopping | None = None,
    checkpoint: ModelCheckpoint | None = None,
    on_epoch: OnEpoch | None = None,
    autosave: Autosave | None = None,
) -> Outcome:
    """Train for `epochs` or until `early_stopping` says so; a loss that is not finite, or no memory, ends it without a result.

    A train_loader with `set_epoch` is told each epoch. `on_epoch` gets the epoch and all that was measured in it. With `autosave` it
    goes on from the state that lies there: at any step where the loader can be sought (TrainLoader), else at the end of an epoch.
    """
    course = Course(
        trainer, epochs, monitor, resolution, early_stopping, checkpoint, on_epoch, autosave
    )
    course.resume()
    course.run()
    return course.outcome


@dataclass
class Course:
    """A training on its way; `tally` is what the epoch under way has added up to, `rate` the learning rate that it began with."""

    trainer: Trainer
    epochs: int
    monitor: Monitor
    resolution: int
    early_stopping: EarlyStopping | None
    checkpoint: ModelCheckpoint | None
    on_epoch: OnEpoch | None
    autosave: Autosave | None

    def __post_init__(self) -> None:
        self.outcome = Outcome()
        self.tally = Tally(self.trainer.device, self.trainer.group)
        self.rate = 0.0
        self._started = perf_counter()

    def resume(self) -> None:
        """Go on from the newest state that was saved, if any."""
        state = self.autosave.states.load() if self.autosave else None
        self.trainer.group.share(
            None
        )  # every process has read before the leader removes anything
        if state is not None:
            self.load_state_dict(state)
        if self.trainer.group.leads:
            self._begin(is_fresh=state is None)

    def _begin(self, *, is_fresh: bool) -> None:
        if self.autosave:
            self.autosave.states.tidy(foreign=is_fresh)
        if self.checkpoint:
            self.checkpoint.tidy()
        if not is_fresh:
            where = f"going on with epoch {len(self.outcome.history) + 1} after its step {self.tally.steps}"
            print("\n".join([*self.outcome.log, where]), file=sys.stderr, flush=True)

    def run(self) -> None:
        """Train to the end, saving on the way."""
        if isinstance(
            self.trainer.train_loader, TrainLoader
        ):  # another cannot be brought back to a step
            self.trainer.between = self._pause
        try:
            while (
                self.outcome.status == "ok"
                and len(self.outcome.history) < self.epochs
                and not self._stops_early()
            ):
                self._run_epoch(len(self.outcome.history))
                self.tally = Tally(self.trainer.device, self.trainer.group)
                self._pause()
        except Infeasible as error:
            self.outcome.end("infeasible", str(error))
        if (
            self.autosave and self.outcome.status != "ok"
        ):  # so that nobody goes through it again
            self.autosave.save(self.state_dict)
        self.outcome.seconds = perf_counter() - self._started

    def state_dict(self) -> dict[str, Any]:
        """All that going on needs; every process must ask."""
        self.outcome.seconds = perf_counter() - self._started
        return {
            "trainer": self.trainer.state_dict(),
            "tally": self.tally.state_dict(),
            "rate": self.rate,
            "outcome": {
                each.name: getattr(self.outcome, each.name) for each in fields(Outcome)
            },
            "early_stopping": self.early_stopping.state_dict() if self.early_stopping else None,
            "checkpoint": self.checkpoint.state_dict() if self.checkpoint else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.trainer.load_state_dict(state["trainer"])
        self.tally.load_state_dict(state["tally"])
        self.rate, self.outcome = state["rate"], Outcome(**state["outcome"])
        self._started = perf_counter() - self.outcome.seconds
        for part, stored in (
            (self.early_stopping, state["early_stopping"]),
            (self.checkpoint, state["checkpoint"]),
        ):
            if part:
                part.load_state_dict(stored)

    def _pause(self) -> None:
        if self.autosave:
            self.autosave.consider(self.state_dict)

    def _stops_early(self) -> bool:
        return bool(self.early_stopping and self.early_stopping.stop)

    def _run_epoch(self, epoch: int) -> None:
        if not self.tally.steps:
            self.rate = self.trainer.optimizer.param_groups[0]["lr"]
        self._seek(epoch)
        trained = self.trainer.train_epoch(epoch, self.tally)
        bad = self.tally.first_bad_step()
        validated = self.trainer.validate() if bad is None else {}
        if math.isfinite(validated.get("loss", math.nan)):
            row = {
                "epoch": epoch,
                **_named("train", trained),
                **_named("val", validated),
                "learning_rate": self.rate,
            }
            self._record(row, {"epoch": epoch, **{name: trained[name] for name in RATES}})
        else:
            steps = epoch * self.tally.steps + (bad or self.tally.steps)
            which = "training" if bad else "validation"
            self.outcome.end(
                "diverged",
                f"the {which} loss is not finite at step {steps}, in epoch {epoch + 1}",
                steps,
            )

    def _seek(self, epoch: int) -> None:
        loader: Any = self.trainer.train_loader
        if isinstance(loader, TrainLoader):
            loader.set_epoch(epoch, self.tally.steps)
        elif hasattr(loader, "set_epoch"):
            loader.set_epoch(epoch)

    def _record(self, row: dict[str, float], rates: dict[str, float]) -> None:
        epoch = int(row["epoch"])
        self.outcome.history.append(row)
        self.outcome.rates.append(rates)
        self._keep_best(row)
        if self.trainer.group.leads:
            self.outcome.tell(_line(row, rates, self.epochs))
            if self.checkpoint:
                self.checkpoint.step(
                    epoch, row, self.trainer.evaluated, self.trainer.optimizer, self.resolution
                )
            if self.on_epoch:
                self.on_epoch(epoch, {**row, **rates})
        if self.early_stopping:
            self.early_stopping.step(epoch, row[self.monitor.name])

    def _keep_best(self, row: dict[str, float]) -> None:
        if is_better(
            row[self.monitor.name],
            self.outcome.scores.get(self.monitor.name),
            self.monitor.mode,
        ):
            self.outcome.scores = {
                name: value
                for name, value in row.items()
                if name == "epoch" or name.startswith("val_")
            }
            self.outcome.weights = {
                name: tensor.detach().clone()
                for name, tensor in self.trainer.evaluated.state_dict().items()
            }


def _named(split: str, scores: Mapping[str, float]) -> dict[str, float]:
    return {f"{split}_{name}": scores[name] for name in METRICS}


def _line(row: dict[str, float], rates: dict[str, float], epochs: int) -> str:
    return (
        f"epoch {row['epoch'] + 1:.0f}/{epochs}: loss {row['train_loss']:.4f}, val_loss {row['val_loss']:.4f}, "
        f"val_accuracy {row['val_accuracy']:.4f}, learning rate {row['learning_rate']:.2g}, {rates['images_per_second']:.0f} images/s"
    )
