"""Early stopping and the best checkpoints of a training, as parts that any loop can step."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from resomap.system.files import remove_leftovers, write_json
from resomap.training.checkpoint import save_weights
from resomap.training.monitor import Mode, is_better, read_metric
from resomap.training.treefile import save_tree


class EarlyStopping:
    """Sets `stop` after `patience` epochs in a row without an improvement of more than `min_delta`.

    The first `warmup_epochs` neither count nor set the best. NaN is no improvement.
    """

    def __init__(
        self,
        patience: int = 5,
        warmup_epochs: int = 0,
        mode: Mode = "min",
        min_delta: float = 0.0,
    ) -> None:
        self.patience, self.warmup_epochs, self.mode, self.min_delta = (
            patience,
            warmup_epochs,
            mode,
            min_delta,
        )
        self.best: float | None = None
        self.waited = 0

    @property
    def stop(self) -> bool:
        """Whether the training should end."""
        return self.waited >= self.patience

    def step(self, epoch: int, value: float) -> None:
        """Tell the value of `epoch` (from 0)."""
        if epoch < self.warmup_epochs:
            return
        if is_better(value, self.best, self.mode, self.min_delta):
            self.best, self.waited = value, 0
        else:
            self.waited += 1

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.best, self.waited = state["best"], state["waited"]


@dataclass(frozen=True)
class Kept:
    """One checkpoint that is kept: its value, its epoch and the name of its files."""

    value: float
    epoch: int
    name: str


class ModelCheckpoint:
    """Keeps the weights of the `save_top_k` best epochs in `save_dir`; the earlier wins a tie.

    Each is `r{resolution}_epoch{epoch}.safetensors` with `.json` beside it (epoch, resolution, monitor, metrics), and with
    `save_optimizer` also `.optimizer.safetensors`. Weights are written last and removed first: where they are, all is.
    """

    def __init__(
        self,
        save_dir: str | Path,
        monitor: str = "val_loss",
        mode: Mode = "min",
        save_top_k: int = 1,
        save_optimizer: bool = False,
    ) -> None:
        self.save_dir, self.monitor, self.mode = Path(save_dir), monitor, mode
        self.save_top_k, self.save_optimizer = save_top_k, save_optimizer
        self.kept: list[Kept] = []

    def step(
        self,
        epoch: int,
        metrics: Mapping[str, float],
        model: nn.Module,
        optimizer: Optimizer | None = None,
        resolution: int = 0,
    ) -> None:
        """Keep `model` if `metrics` puts it among the best; ConfigError when the monitored metric is not there."""
        value = read_metric(metrics, self.monitor)
        if self.save_top_k == 0 or not self._belongs(value):
            return
        new = Kept(value, epoch, f"r{resolution}_epoch{epoch:04d}")
        self._write(new, metrics, model, optimizer, resolution)
        ranked = sorted(
            [*self.kept, new],
            key=lambda kept: (kept.value if self.mode == "min" else -kept.value, kept.epoch),
        )
        self.kept = ranked[: self.save_top_k]
        for worse in ranked[self.save_top_k :]:
            self._remove(worse.name)

    def get_best_checkpoint_path(self) -> Path | None:
        """The best epoch's weights; None before there are any."""
        return self.save_dir / f"{self.kept[0].name}.safetensors" if self.kept else None

    def tidy(self) -> None:
        """Remove from `save_dir` what is not kept: another training's, or of epochs that will be trained again."""
        remove_leftovers(self.save_dir)
        self.kept = [
            kept for kept in self.kept if (self.save_dir / f"{kept.name}.safetensors").exists()
        ]
        for path in self.save_dir.glob("r*_epoch*.json"):
            if path.stem not in {kept.name for kept in self.kept}:
                self._remove(path.stem)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs."""
        return {"kept": [asdict(kept) for kept in self.kept]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.kept = [Kept(**kept) for kept in state["kept"]]

    def _belongs(self, value: float) -> bool:
        worst = self.kept[-1].value if len(self.kept) >= self.save_top_k else None
        return is_better(value, worst, self.mode)

    def _write(
        self,
        new: Kept,
        metrics: Mapping[str, float],
        model: nn.Module,
        optimizer: Optimizer | None,
        resolution: int,
    ) -> None:
        finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
        about = {
            "epoch": new.epoch,
            "resolution": resolution,
            "monitor": self.monitor,
            "mode": self.mode,
            "metrics": finite,
        }
        if self.save_optimizer and optimizer is not None:
            save_tree(
                self.save_dir / f"{new.name}.optimizer.safetensors", optimizer.state_dict()
            )
        write_json(self.save_dir / f"{new.name}.json", about)
        save_weights(self.save_dir / f"{new.name}.safetensors", model.state_dict(), about)

    def _remove(self, name: str) -> None:
        for suffix in (".safetensors", ".optimizer.safetensors", ".json"):
            (self.save_dir / f"{name}{suffix}").unlink(missing_ok=True)
