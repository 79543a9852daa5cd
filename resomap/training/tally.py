"""What an epoch adds up to: loss, confusion and rate, kept on the device until it ends."""

import math
from time import perf_counter

import torch
from torch import Tensor

from resomap.devices import peak_memory_mib
from resomap.scores import class_scores
from resomap.training.distributed import Group

NAMES = {"accuracy": "accuracy", "precision": "macro_precision", "recall": "macro_recall", "f1": "macro_f1"}
METRICS = ("loss", *NAMES)


class Tally:
    """Adds up batches without making the GPU wait."""

    def __init__(self, device: torch.device, group: Group) -> None:
        self.device, self.group = device, group
        self.loss = torch.zeros((), device=device)
        self.confusion: Tensor | None = None
        self.count = 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """One batch: its mean loss, its logits (B, C) and labels (B,)."""
        classes = logits.shape[1]
        if self.confusion is None:
            self.confusion = torch.zeros(classes * classes, dtype=torch.int64, device=self.device)
        self.confusion.index_add_(0, labels * classes + logits.argmax(1), torch.ones_like(labels))
        self.loss += loss * len(labels)
        self.count += len(labels)

    def scores(self) -> dict[str, float]:
        """loss, accuracy, precision, recall, f1 (macro) over all processes; all NaN when the loss is not finite or nothing came."""
        if self.confusion is None:
            return dict.fromkeys(METRICS, math.nan)
        confusion = self.group.sum(self.confusion).cpu().numpy()
        loss = float(self.group.sum(self.loss)) / int(confusion.sum())
        if not math.isfinite(loss):
            return dict.fromkeys(METRICS, math.nan)
        side = math.isqrt(len(confusion))
        found = class_scores(confusion.reshape(side, side))
        return {"loss": loss, **{short: found[name] for short, name in NAMES.items()}}

    def rates(self, started: float) -> dict[str, float]:
        """The scores, and the seconds, pictures a second and MiB that they took."""
        scores = self.scores()  # reads from the device, so the clock is stopped after the last kernel
        seconds = perf_counter() - started
        seen = self.count * self.group.world
        return {**scores, "epoch_seconds": seconds, "images_per_second": seen / seconds, "peak_memory_mib": peak_memory_mib(self.device)}
