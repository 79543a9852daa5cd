"""A whole training: its epochs, its best weights by a monitor, its outcome, its resuming."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from time import perf_counter
from typing import Any, Literal

from torch import Tensor

from resomap.config.training import Monitor
from resomap.data.loading.loader import TrainLoader
from resomap.errors import ResoMapError
from resomap.training.autosave import Autosave
from resomap.training.callbacks import EarlyStopping, ModelCheckpoint, is_better
from resomap.training.events import OnEpoch
from resomap.training.memory import Infeasible
from resomap.training.tally import METRIC_NAMES, Tally
from resomap.training.trainer import Trainer
from resomap.workflow.layout import table_columns

HISTORY_COLUMNS = table_columns("history")
TIMING_COLUMNS = ("epoch_seconds", "images_per_second", "peak_memory_mib")


@dataclass
class Outcome:
    """The result of a training: status, best weights with scores, one history row an epoch.

    `steps` is the optimizer step at which the loss was first not finite, `epoch_timings` has
    TIMING_COLUMNS for each epoch, `seconds` is the training time without interruptions.
    """

    status: Literal["ok", "diverged", "infeasible"] = "ok"
    reason: str | None = None
    steps: int | None = None
    weights: dict[str, Tensor] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    epoch_timings: list[dict[str, float]] = field(default_factory=list)
    log_lines: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def metrics(self) -> dict[str, Any]:
        """Return status, reason, steps and scores, for metrics.json."""
        return {
            "status": self.status,
            "reason": self.reason,
            "steps": self.steps,
            "scores": self.scores,
        }

    def timing(self) -> dict[str, Any]:
        """Return the times for timing.json; the image rate includes the time of validation."""
        images = 0.0
        for timing in self.epoch_timings:
            images += timing["epoch_seconds"] * timing["images_per_second"]
        return {
            "train_seconds": self.seconds,
            "train_images_per_second": images / self.seconds,
            "epochs": self.epoch_timings,
        }

    def peak_memory_mib(self, of_this_process: float) -> float:
        """Return the peak memory of all processes that took part, this one included."""
        return max([of_this_process, *(row["peak_memory_mib"] for row in self.epoch_timings)])

    def end_without_result(
        self, status: Literal["diverged", "infeasible"], reason: str, steps: int | None = None
    ) -> None:
        """Set the status and discard weights and scores."""
        self.status, self.reason, self.steps = status, reason, steps
        self.weights, self.scores = {}, {}

    def log(self, line: str) -> None:
        """Print a line to stderr and keep it, so that a resumed training prints it again."""
        self.log_lines.append(line)
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
    """Train for `epochs`, or until `early_stopping`, and return the outcome.

    A loss that is not finite, or too little memory, ends the training without a result: the
    outcome has the status, and nothing is raised. `train_loader.set_epoch` is called where it
    exists. `on_epoch` receives the epoch and all that was measured in it. With `autosave` the
    training resumes from its last state: at any step with a TrainLoader, else at the end of an
    epoch.
    """
    loop = TrainingLoop(
        trainer, epochs, monitor, resolution, early_stopping, checkpoint, on_epoch, autosave
    )
    loop.resume()
    loop.run()
    return loop.outcome


@dataclass
class TrainingLoop:
    """The progress of a training: its outcome so far, and the totals of the current epoch."""

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
        self.learning_rate = 0.0  # at the first step of the current epoch
        self._started = perf_counter()

    def resume(self) -> None:
        """Load the newest saved state, if any, and remove the files of other trainings."""
        state = self.autosave.states.load() if self.autosave else None
        # A barrier: every process has read the state before the leader removes any file.
        self.trainer.group.broadcast(None)
        if state is not None:
            self.load_state_dict(state)
        if self.trainer.group.is_leader:
            self._clean_up(is_fresh=state is None)

    def _clean_up(self, *, is_fresh: bool) -> None:
        if self.autosave:
            self.autosave.states.tidy(foreign=is_fresh)
        if self.checkpoint:
            self.checkpoint.tidy()
        if not is_fresh:
            epoch = len(self.outcome.history) + 1
            line = f"resuming in epoch {epoch} after step {self.tally.steps}"
            print("\n".join([*self.outcome.log_lines, line]), file=sys.stderr, flush=True)

    def run(self) -> None:
        """Train to the end, saving the state on the way."""
        # Only a TrainLoader can start in the middle of an epoch, so only then save there.
        if isinstance(self.trainer.train_loader, TrainLoader):
            self.trainer.step_hook = self._maybe_save
        if self.autosave:
            self.trainer.lone_hook = self.autosave.raise_if_signalled
        try:
            while not self._is_finished():
                self._run_epoch(len(self.outcome.history))
                self.tally = Tally(self.trainer.device, self.trainer.group)
                self._maybe_save()
        except Infeasible as error:
            if self.trainer.group.world_size > 1:
                # The others are in a collective, which this process would never join.
                raise ResoMapError(f"one of several processes: {error}") from error
            self.outcome.end_without_result("infeasible", str(error))
        # A retry would fail again at the same step: let it find this outcome instead.
        if self.autosave and self.outcome.status != "ok":
            self.autosave.save(self.state_dict)
        self.outcome.seconds = perf_counter() - self._started

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs; a collective, so every process must call it."""
        self.outcome.seconds = perf_counter() - self._started
        outcome = {each.name: getattr(self.outcome, each.name) for each in fields(Outcome)}
        return {
            "trainer": self.trainer.state_dict(),
            "tally": self.tally.state_dict(),
            "learning_rate": self.learning_rate,
            "outcome": outcome,
            "early_stopping": self.early_stopping and self.early_stopping.state_dict(),
            "checkpoint": self.checkpoint and self.checkpoint.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state`."""
        self.trainer.load_state_dict(state["trainer"])
        self.tally.load_state_dict(state["tally"])
        self.learning_rate = state["learning_rate"]
        self.outcome = Outcome(**state["outcome"])
        self._started = perf_counter() - self.outcome.seconds
        if self.early_stopping:
            self.early_stopping.load_state_dict(state["early_stopping"])
        if self.checkpoint:
            self.checkpoint.load_state_dict(state["checkpoint"])

    def _is_finished(self) -> bool:
        if self.outcome.status != "ok" or len(self.outcome.history) >= self.epochs:
            return True
        return self.early_stopping is not None and self.early_stopping.stop

    def _maybe_save(self) -> None:
        if self.autosave is None:
            return
        loader, batches = self.trainer.train_loader, self.trainer.accumulation_steps
        steps = math.ceil(len(loader) / batches) if isinstance(loader, TrainLoader) else None
        is_last_step = self.tally.steps == steps
        self.autosave.maybe_save(self.state_dict, before_pause=is_last_step)

    def _run_epoch(self, epoch: int) -> None:
        if not self.tally.steps:
            self.learning_rate = self.trainer.optimizer.param_groups[0]["lr"]
        self._move_loader_to(epoch)
        train = self.trainer.train_epoch(epoch, self.tally)
        bad_step = self.tally.first_bad_step()
        if bad_step is not None:
            self._diverge("training", epoch, bad_step)
            return
        val = self.trainer.validate()
        if not math.isfinite(val["loss"]):
            self._diverge("validation", epoch, self.tally.steps)
            return
        self._record(epoch, train, val)

    def _diverge(self, split: str, epoch: int, step: int) -> None:
        steps = epoch * self.tally.steps + step
        reason = f"the {split} loss is not finite at step {steps}, in epoch {epoch + 1}"
        self.outcome.end_without_result("diverged", reason, steps)

    def _move_loader_to(self, epoch: int) -> None:
        loader: Any = self.trainer.train_loader
        if isinstance(loader, TrainLoader):
            loader.set_epoch(epoch, self.tally.steps)
        elif hasattr(loader, "set_epoch"):
            loader.set_epoch(epoch)

    def _record(self, epoch: int, train: Mapping[str, float], val: Mapping[str, float]) -> None:
        row: dict[str, float] = {"epoch": epoch}
        row.update({f"train_{name}": train[name] for name in METRIC_NAMES})
        row.update({f"val_{name}": val[name] for name in METRIC_NAMES})
        row["learning_rate"] = self.learning_rate
        timing = {"epoch": epoch, **{name: train[name] for name in TIMING_COLUMNS}}
        self.outcome.history.append(row)
        self.outcome.epoch_timings.append(timing)
        self._keep_best(row)
        if self.trainer.group.is_leader:
            self._report(epoch, row, timing)
        if self.early_stopping:
            self.early_stopping.step(epoch, row[self.monitor.name])

    def _report(self, epoch: int, row: dict[str, float], timing: dict[str, float]) -> None:
        self.outcome.log(_epoch_line(row, timing, self.epochs))
        if self.checkpoint:
            model, optimizer = self.trainer.eval_model, self.trainer.optimizer
            self.checkpoint.step(epoch, row, model, optimizer, self.resolution)
        if self.on_epoch:
            self.on_epoch(epoch, {**row, **timing})

    def _keep_best(self, row: dict[str, float]) -> None:
        best = self.outcome.scores.get(self.monitor.name)
        if not is_better(row[self.monitor.name], best, self.monitor.mode):
            return
        names = [name for name in row if name == "epoch" or name.startswith("val_")]
        self.outcome.scores = {name: row[name] for name in names}
        # A copy on the device: the next epoch changes the tensors of the network in place.
        state = self.trainer.eval_model.state_dict()
        self.outcome.weights = {name: state[name].detach().clone() for name in state}


def _epoch_line(row: dict[str, float], timing: dict[str, float], epochs: int) -> str:
    """Return the log line of an epoch; `resomap status` reads its first two numbers."""
    return (
        f"epoch {row['epoch'] + 1:.0f}/{epochs}: "
        f"loss {row['train_loss']:.4f}, val_loss {row['val_loss']:.4f}, "
        f"val_accuracy {row['val_accuracy']:.4f}, learning_rate {row['learning_rate']:.2g}, "
        f"{timing['images_per_second']:.0f} images/s"
    )
