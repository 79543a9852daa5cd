"""Early stopping and the best checkpoints of a training, as parts that any loop can step."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from resomap.config.training import Mode, direction_of
from resomap.errors import ConfigError
from resomap.system.files import remove_leftovers, write_json
from resomap.training.checkpoint import save_optimizer_state, save_weights


def is_better(value: float, best: float | None, mode: Mode, min_delta: float = 0.0) -> bool:
    """Return whether `value` improves on `best` by more than `min_delta`.

    NaN never does; every other value improves on None.
    """
    if math.isnan(value):
        return False
    if best is None:
        return True
    improvement = best - value if mode == "min" else value - best
    return improvement > min_delta


def read_metric(metrics: Mapping[str, float], name: str) -> float:
    """Return the metric called `name`, or `x` for `val_x`; ConfigError when neither is there.

    The scores that `Trainer.validate` returns have no prefix, so a monitor val_loss reads loss.
    """
    for key in (name, name.removeprefix("val_")):
        if key in metrics:
            return float(metrics[key])
    raise ConfigError(f"unknown metric {name!r}; known are {', '.join(metrics)}")


class EarlyStopping:
    """A switch that turns `stop` on after `patience` epochs in a row without an improvement.

    >>> early_stopping = EarlyStopping(patience=5, mode="min", min_delta=0.001)
    >>> for epoch, val_loss in enumerate([0.9, 0.5, 0.4]):
    ...     early_stopping.step(epoch, val_loss)
    ...     if early_stopping.stop:
    ...         break

    An improvement is a change by more than `min_delta` in the direction of `mode`; NaN is none.
    The first `warmup_epochs` neither count nor set the best value.
    """

    def __init__(
        self,
        patience: int = 5,
        warmup_epochs: int = 0,
        mode: Mode = "min",
        min_delta: float = 0.0,
    ) -> None:
        self.patience, self.warmup_epochs = patience, warmup_epochs
        self.mode, self.min_delta = mode, min_delta
        self.best: float | None = None
        self.num_bad_epochs = 0

    @property
    def stop(self) -> bool:
        """Return whether the training should end."""
        return self.num_bad_epochs >= self.patience

    def step(self, epoch: int, value: float) -> None:
        """Record the monitored `value` of `epoch` (from 0)."""
        if epoch < self.warmup_epochs:
            return
        if is_better(value, self.best, self.mode, self.min_delta):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the best value and the number of epochs since."""
        return {"best": self.best, "num_bad_epochs": self.num_bad_epochs}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state`."""
        self.best, self.num_bad_epochs = state["best"], state["num_bad_epochs"]


@dataclass(frozen=True)
class KeptCheckpoint:
    """A checkpoint on disk: the monitored value, the epoch and the stem of its files."""

    value: float
    epoch: int
    name: str


class ModelCheckpoint:
    """The weights of the `save_top_k` best epochs, kept in `save_dir`; the earlier wins a tie.

    >>> checkpoint = ModelCheckpoint("checkpoints/", "val_accuracy", "max", save_top_k=3)
    >>> checkpoint.step(epoch, metrics, model, optimizer, resolution=224)
    >>> checkpoint.get_best_checkpoint_path()
    PosixPath('checkpoints/r224_epoch0007.safetensors')

    Without `mode` the direction follows from the name of the metric: max for accuracy, precision,
    recall and f1, else min.

    Beside `r{resolution}_epoch{epoch}.safetensors` stand a `.json` (epoch, resolution, monitor,
    mode, the finite metrics and `metadata`) and, with `save_optimizer`, an
    `.optimizer.safetensors`, which `resomap.training.checkpoint.load_optimizer_state` reads.
    """

    def __init__(
        self,
        save_dir: str | Path,
        monitor: str = "val_loss",
        mode: Mode | None = None,
        save_top_k: int = 1,
        save_optimizer: bool = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.save_dir, self.monitor = Path(save_dir), monitor
        self.mode: Mode = mode or direction_of(monitor)
        self.save_top_k, self.save_optimizer = save_top_k, save_optimizer
        self.metadata = dict(metadata or {})
        self.kept: list[KeptCheckpoint] = []

    def step(
        self,
        epoch: int,
        metrics: Mapping[str, float],
        model: nn.Module,
        optimizer: Optimizer | None = None,
        resolution: int = 0,
    ) -> None:
        """Save `model` if `metrics` puts it among the best; remove the one that it displaces.

        ConfigError when `metrics` lacks the monitored one.
        """
        value = read_metric(metrics, self.monitor)
        if self.save_top_k == 0 or not self._is_among_best(value):
            return
        new = KeptCheckpoint(value, epoch, f"r{resolution}_epoch{epoch:04d}")
        self._save(new, metrics, model, optimizer, resolution)
        ranked = sorted([*self.kept, new], key=self._rank)
        self.kept = ranked[: self.save_top_k]
        for displaced in ranked[self.save_top_k :]:
            self._remove(displaced.name)

    def get_best_checkpoint_path(self) -> Path | None:
        """Return the weights of the best epoch; None before the first."""
        return self._weights_path(self.kept[0].name) if self.kept else None

    def tidy(self) -> None:
        """Remove the files in `save_dir` that are not kept.

        They belong to another training, or to epochs after the state that a training resumes
        from.
        """
        remove_leftovers(self.save_dir)
        self.kept = [kept for kept in self.kept if self._weights_path(kept.name).exists()]
        names = {kept.name for kept in self.kept}
        for path in self.save_dir.glob("r*_epoch*.json"):
            if path.stem not in names:
                self._remove(path.stem)

    def state_dict(self) -> dict[str, Any]:
        """Return the list of kept checkpoints."""
        return {"kept": [asdict(kept) for kept in self.kept]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state`."""
        self.kept = [KeptCheckpoint(**kept) for kept in state["kept"]]

    def _rank(self, kept: KeptCheckpoint) -> tuple[float, int]:
        return (kept.value if self.mode == "min" else -kept.value, kept.epoch)

    def _is_among_best(self, value: float) -> bool:
        worst = self.kept[-1].value if len(self.kept) >= self.save_top_k else None
        return is_better(value, worst, self.mode)

    def _weights_path(self, name: str) -> Path:
        return self.save_dir / f"{name}.safetensors"

    def _save(
        self,
        new: KeptCheckpoint,
        metrics: Mapping[str, float],
        model: nn.Module,
        optimizer: Optimizer | None,
        resolution: int,
    ) -> None:
        finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
        description = {
            "epoch": new.epoch,
            "resolution": resolution,
            "monitor": self.monitor,
            "mode": self.mode,
            "metrics": finite,
            **self.metadata,
        }
        # The weights are written last and removed first: where they exist, the rest does too.
        if self.save_optimizer and optimizer is not None:
            path = self.save_dir / f"{new.name}.optimizer.safetensors"
            save_optimizer_state(path, optimizer.state_dict())
        write_json(self.save_dir / f"{new.name}.json", description)
        save_weights(self._weights_path(new.name), model.state_dict(), description)

    def _remove(self, name: str) -> None:
        for suffix in (".safetensors", ".optimizer.safetensors", ".json"):
            (self.save_dir / f"{name}{suffix}").unlink(missing_ok=True)
