"""What an epoch adds up to: loss, confusion and rate, kept on the device until it ends."""

import math
from collections.abc import Mapping
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from resomap.metrics import class_scores
from resomap.system.gpus import peak_memory_mib
from resomap.training.distributed import Group

NAMES = {
    "accuracy": "accuracy",
    "precision": "macro_precision",
    "recall": "macro_recall",
    "f1": "macro_f1",
}
METRICS = ("loss", *NAMES)


class Tally:
    """Adds up the batches of an epoch without making the GPU wait; `steps` have been closed, `count` pictures seen."""

    def __init__(self, device: torch.device, group: Group) -> None:
        self.device, self.group = device, group
        self.loss = torch.zeros((), device=device)
        self.confusion: Tensor | None = None
        self.finite = torch.zeros((), dtype=torch.int64, device=device)
        self.count = self.steps = 0
        self._started = perf_counter()

    @property
    def seconds(self) -> float:
        """What the epoch took until now, interruptions left out."""
        return perf_counter() - self._started

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """One batch: its mean loss, its logits (B, C) and labels (B,)."""
        classes = logits.shape[1]
        if self.confusion is None:
            self.confusion = torch.zeros(
                classes * classes, dtype=torch.int64, device=self.device
            )
        self.confusion.index_add_(
            0, labels * classes + logits.argmax(1), torch.ones_like(labels)
        )
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

    def close_step(self) -> None:
        """End an optimizer step; those before the first loss that is not finite are counted, on the device."""
        self.finite += self.loss.isfinite()
        self.steps += 1

    def first_bad_step(self) -> int | None:
        """The step, from 1, whose loss was the first that is not finite, in any process."""
        finite = int(self.group.least(self.finite))
        return None if finite == self.steps else finite + 1

    def rates(self) -> dict[str, float]:
        """The scores, and the seconds, pictures a second and MiB that they took."""
        scores = (
            self.scores()
        )  # reads from the device, so the clock is stopped after the last kernel
        seconds, seen = self.seconds, self.count * self.group.world
        return {
            **scores,
            "epoch_seconds": seconds,
            "images_per_second": seen / seconds,
            "peak_memory_mib": peak_memory_mib(self.device),
        }

    def state_dict(self) -> dict[str, Any]:
        """What a resumed epoch needs: the loss of each process (W,), the rest summed over them. Each of them must ask."""
        losses = torch.zeros(self.group.world, device=self.device)
        losses[self.group.rank] = self.loss
        confusion = None if self.confusion is None else self.group.sum(self.confusion.clone())
        counted = {
            "finite": self.group.least(self.finite.clone()),
            "steps": self.steps,
            "count": self.count,
            "seconds": self.seconds,
        }
        return {"losses": self.group.sum(losses), "confusion": confusion, **counted}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; what was summed counts once, in the leader."""
        self.loss = state["losses"][self.group.rank].to(self.device)
        self.finite = state["finite"].to(self.device)
        if state["confusion"] is not None:
            self.confusion = state["confusion"].to(self.device) * int(self.group.leads)
        self.steps, self.count = state["steps"], state["count"]
        self._started = perf_counter() - state["seconds"]
