"""The training loop: epochs, the best weights by a monitor, and a status that is never a number."""

import math
import sys
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from resomap.data.loader import EvalLoader, TrainLoader
from resomap.scores import compute_scores
from resomap.sections import Monitor
from resomap.training.predict import predict

VALIDATED = {"loss": "loss", "accuracy": "accuracy", "precision": "macro_precision", "recall": "macro_recall", "f1": "macro_f1"}
HISTORY_COLUMNS = ("epoch", "train_loss", *(f"val_{name}" for name in VALIDATED), "lr")


@dataclass
class Outcome:
    """What a training left: its status, the best weights and their scores, and one row an epoch."""

    status: Literal["ok", "diverged"] = "ok"
    weights: dict[str, Tensor] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


class Trainer:
    """Trains `model` in place with cross entropy; keeps the weights of the epoch that `monitor` likes best."""

    def __init__(self, model: nn.Module, optimizer: Optimizer, schedule: LRScheduler, *, label_smoothing: float, monitor: Monitor) -> None:
        self.model, self.optimizer, self.schedule = model, optimizer, schedule
        self.criterion = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
        self.monitor = monitor

    def fit(self, train: TrainLoader, val: EvalLoader, epochs: int) -> Outcome:
        """Train for `epochs`; a loss that is not finite ends the training as diverged, its weights discarded."""
        outcome = Outcome()
        with tqdm(total=epochs * len(train), desc="train", unit="step", file=sys.stderr, mininterval=5) as progress:
            for epoch in range(epochs):
                train.set_epoch(epoch)
                rate = self.optimizer.param_groups[0]["lr"]
                row = {"epoch": epoch, "train_loss": self._train_epoch(train, progress), **self.validate(val), "lr": rate}
                if not (math.isfinite(row["train_loss"]) and math.isfinite(row["val_loss"])):
                    return Outcome(status="diverged", scores={"epoch": epoch}, history=outcome.history)
                outcome.history.append(row)
                self._keep_best(outcome, row)
        return outcome

    def _train_epoch(self, train: TrainLoader, progress: Any) -> float:
        self.model.train()
        total, count = torch.zeros((), device=_device(self.model)), 0
        for images, labels in train:
            loss = self.criterion(self.model(images), labels)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            total += loss.detach() * len(labels)
            count += len(labels)
            progress.update()
        return float(total) / count

    def validate(self, batches: EvalLoader) -> dict[str, float]:
        """Scores over `batches` as val_loss (without smoothing), val_accuracy, val_precision, val_recall, val_f1 (macro).

        All NaN where the loss is not finite: the order of such logits says nothing.
        """
        labels = batches.labels.cpu()
        logits = predict(self.model, batches)
        loss = float(functional.cross_entropy(logits, labels))
        if not math.isfinite(loss):
            return {f"val_{short}": math.nan for short in VALIDATED}
        scores = compute_scores(logits.numpy(), labels.numpy())
        return {f"val_{short}": float({**scores, "loss": loss}[name]) for short, name in VALIDATED.items()}

    def _keep_best(self, outcome: Outcome, row: dict[str, float]) -> None:
        if not outcome.scores or _is_better(row[self.monitor.name], outcome.scores[self.monitor.name], self.monitor.mode):
            outcome.scores = {name: value for name, value in row.items() if name == "epoch" or name.startswith("val_")}
            outcome.weights = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}


def _is_better(value: float, best: float, mode: str) -> bool:
    return value < best if mode == "min" else value > best


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
