"""The running totals of an epoch: loss, confusion matrix and time, kept on the device."""

import math
from collections.abc import Mapping
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from resomap.metrics import confusion_scores
from resomap.system.gpus import peak_memory_mib
from resomap.training.distributed import Group

SCORE_NAMES = {
    "accuracy": "accuracy",
    "precision": "macro_precision",
    "recall": "macro_recall",
    "f1": "macro_f1",
}
METRIC_NAMES = ("loss", *SCORE_NAMES)


class Tally:
    """Totals over the `num_images` images and `steps` optimizer steps of an epoch so far.

    Everything stays on the device: to read a number in Python would make the CPU wait for the
    GPU at every step.
    """

    def __init__(self, device: torch.device, group: Group) -> None:
        self.device, self.group = device, group
        self.loss = torch.zeros((), device=device)
        self.confusion: Tensor | None = None
        self.finite_steps = torch.zeros((), dtype=torch.int64, device=device)
        self.num_images = self.steps = 0
        self._started = perf_counter()

    @property
    def seconds(self) -> float:
        """Return the time that the epoch has taken so far, interruptions excluded."""
        return perf_counter() - self._started

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch: its mean loss (), its logits (B, C) and its labels (B,).

        Of shares of the classes (B, C) the largest counts.
        """
        classes = logits.shape[1]
        if labels.ndim > 1:
            labels = labels.argmax(1)
        if self.confusion is None:
            cells = classes * classes
            self.confusion = torch.zeros(cells, dtype=torch.int64, device=self.device)
        cell = labels * classes + logits.argmax(1)
        self.confusion.index_add_(0, cell, torch.ones_like(labels))
        self.loss += loss * len(labels)
        self.num_images += len(labels)

    def close_step(self) -> None:
        """Count an optimizer step; its loss enters the count of steps before the first NaN."""
        # Once the summed loss is NaN or infinite it stays so: the count stops at that step.
        self.finite_steps += self.loss.isfinite()
        self.steps += 1

    def scores(self) -> dict[str, float]:
        """Return loss, accuracy, precision, recall and f1 (macro) over all processes.

        All are NaN when the loss is not finite or no image was added.
        """
        if self.confusion is None:
            return dict.fromkeys(METRIC_NAMES, math.nan)
        confusion = self.group.sum(self.confusion).cpu().numpy()
        loss = float(self.group.sum(self.loss)) / int(confusion.sum())
        if not math.isfinite(loss):
            return dict.fromkeys(METRIC_NAMES, math.nan)
        classes = math.isqrt(len(confusion))
        scores = confusion_scores(confusion.reshape(classes, classes))
        return {"loss": loss, **{short: scores[name] for short, name in SCORE_NAMES.items()}}

    def first_bad_step(self) -> int | None:
        """Return the first step, from 1, with a loss that is not finite in some process."""
        finite = int(self.group.min(self.finite_steps))
        return None if finite == self.steps else finite + 1

    def epoch_metrics(self) -> dict[str, float]:
        """Return the scores, epoch_seconds, images_per_second and peak_memory_mib."""
        # The scores come first: they wait for the GPU, so the clock stops after its last
        # kernel.
        scores, seconds = self.scores(), self.seconds
        return {
            **scores,
            "epoch_seconds": seconds,
            "images_per_second": self.num_images * self.group.world_size / seconds,
            "peak_memory_mib": peak_memory_mib(self.device),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the epoch; a collective, so every process must call it.

        The loss is kept apart for each process (world_size,), because floating-point sums
        depend on their order; integer counts are summed.
        """
        losses = torch.zeros(self.group.world_size, device=self.device)
        losses[self.group.rank] = self.loss
        confusion = self.confusion
        if confusion is not None:
            confusion = self.group.sum(confusion.clone())
        return {
            "losses": self.group.sum(losses),
            "confusion": confusion,
            "finite_steps": self.group.min(self.finite_steps.clone()),
            "steps": self.steps,
            "num_images": self.num_images,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state`; the summed confusion matrix enters in the leader alone."""
        self.loss = state["losses"][self.group.rank].to(self.device)
        self.finite_steps = state["finite_steps"].to(self.device)
        if state["confusion"] is not None:
            self.confusion = state["confusion"].to(self.device) * int(self.group.is_leader)
        self.steps, self.num_images = state["steps"], state["num_images"]
        self._started = perf_counter() - state["seconds"]
