"""One epoch of training, and one of validation: precision, accumulation, clipping, averaging, several processes."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from resomap.recipe import Precision
from resomap.training.distributed import Group, bare
from resomap.training.precision import autocast, build_scaler
from resomap.training.schedules import LRSchedulerCallback
from resomap.training.tally import Tally

Batches = Iterable[tuple[Tensor, Tensor]]


class Trainer:
    """Trains `model` in place on batches of (float images (B,3,r,r), labels (B,)), from any iterable.

    `criterion` averages over a batch. Gradients of `gradient_accumulation_steps` batches, and of the `micro_batch` pictures at a time
    that a batch is split into, are weighted so that a step equals one over all its pictures, a last partial window too.
    `use_amp` means bf16 on a GPU and nothing on a CPU; `precision` says it outright. With `ema_decay` the averaged weights are what
    `validate` sees. `scheduler` is stepped here, and only here. `val_criterion` is `criterion` where not given.
    """

    def __init__(
        self,
        model: nn.Module,
        device: torch.device | str,
        criterion: nn.Module,
        optimizer: Optimizer,
        train_loader: Batches,
        val_loader: Batches,
        use_amp: bool = False,
        gradient_accumulation_steps: int = 1,
        gradient_clip_norm: float | None = None,
        scheduler: LRSchedulerCallback | LRScheduler | None = None,
        *,
        precision: Precision | None = None,
        micro_batch: int | None = None,
        ema_decay: float | None = None,
        val_criterion: nn.Module | None = None,
        group: Group | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.group = group or Group()
        self.precision: Precision = precision or ("bf16" if use_amp and self.device.type == "cuda" else "fp32")
        self.model = self.group.wrap(model.to(self.device), self.device)
        self.criterion = criterion.to(self.device)
        self.val_criterion = (val_criterion or criterion).to(self.device)
        self.optimizer, self.scheduler = optimizer, scheduler
        self.train_loader, self.val_loader = train_loader, val_loader
        self.accumulation_steps, self.clip_norm, self.micro_batch = gradient_accumulation_steps, gradient_clip_norm, micro_batch
        self.scaler = build_scaler(self.precision, self.device)
        self.ema = _averaged(bare(self.model), ema_decay) if ema_decay else None

    @property
    def evaluated(self) -> nn.Module:
        """The network that is validated and kept: the averaged one where there is one."""
        return self.ema.module if self.ema else bare(self.model)

    def train_epoch(self) -> dict[str, float]:
        """Train on every batch once: loss, accuracy, precision, recall, f1 (macro), epoch_seconds, images_per_second, peak_memory_mib."""
        started, tally = perf_counter(), Tally(self.device, self.group)
        self.model.train()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        weights: list[Tensor | float] = []
        for images, labels, closes in _with_ends(self._parts()):
            self._backward(images, labels, weights, tally, closes)
            if closes:
                self._update(weights)
                weights = []
        if self.scheduler and not self._by_step and not getattr(self.scheduler, "by_metric", False):
            self.scheduler.step()
        return tally.rates(started)

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """loss, accuracy, precision, recall, f1 (macro) over the validation batches; all NaN where the loss is not finite.

        A scheduler that goes by a metric is stepped with them.
        """
        scores = self.group.share(self._validate() if self.group.leads else None)
        if isinstance(self.scheduler, LRSchedulerCallback) and self.scheduler.by_metric:
            self.scheduler.step(metrics=scores)
        return dict(scores)

    @property
    def _by_step(self) -> bool:
        return isinstance(self.scheduler, LRSchedulerCallback) and self.scheduler.interval == "step"

    def _validate(self) -> dict[str, float]:
        tally, network = Tally(self.device, Group()), self.evaluated.eval()
        logits, labels = [], []
        for images, batch_labels in self.val_loader:
            with autocast(self.precision, self.device):
                logits.append(network(images.to(self.device, non_blocking=True)).float())
            labels.append(batch_labels.to(self.device, non_blocking=True))
        every, targets = torch.cat(logits), torch.cat(labels)
        tally.add(self.val_criterion(every, targets), every, targets)
        return tally.scores()

    def _parts(self) -> Iterator[tuple[Tensor, Tensor, bool]]:
        """What goes through the network at once, and whether a step must follow it."""
        bar = tqdm(self.train_loader, desc="train", unit="batch", file=sys.stderr, mininterval=5, leave=False, disable=not self.group.leads)
        for position, (images, labels) in enumerate(bar, start=1):
            most = self.micro_batch or len(images)
            pieces = list(zip(images.split(most), labels.split(most), strict=True))
            for number, (some, their) in enumerate(pieces, start=1):
                full = position % self.accumulation_steps == 0 and number == len(pieces)
                yield some.to(self.device, non_blocking=True), their.to(self.device, non_blocking=True), full

    def _backward(self, images: Tensor, labels: Tensor, weights: list[Tensor | float], tally: Tally, closes: bool) -> None:
        with nullcontext() if closes else self._without_sync(), autocast(self.precision, self.device):
            logits = self.model(images)
            loss = self.criterion(logits, labels)
            weights.append(self._weight(labels))
            alone = closes and len(weights) == 1 and self.group.world == 1
            self.scaler.scale(loss if alone else loss * (weights[-1] / self._unit(weights))).backward()
        tally.add(loss.detach(), logits.detach(), labels)

    def _without_sync(self) -> AbstractContextManager:
        return self.model.no_sync() if isinstance(self.model, nn.parallel.DistributedDataParallel) else nullcontext()

    def _weight(self, labels: Tensor) -> Tensor | float:
        weight = getattr(self.criterion, "weight", None)
        return float(len(labels)) if weight is None else weight[labels].sum()

    def _unit(self, weights: list[Tensor | float]) -> Tensor | float:
        # The first part's, so that the scaler of fp16 meets losses of the usual size; processes need one that is the same for all.
        return weights[0] if self.group.world == 1 else 1.0

    def _update(self, weights: list[Tensor | float]) -> None:
        gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        several = len(weights) > 1 or self.group.world > 1
        if several or self.clip_norm:
            self.scaler.unscale_(self.optimizer)
        if several:
            total = self.group.sum(torch.as_tensor(sum(weights), device=self.device, dtype=torch.float64))
            torch._foreach_mul_(gradients, (self.group.world * self._unit(weights) / total).float())
        if self.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema:
            self.ema.update_parameters(bare(self.model))
        if self._by_step and self.scheduler:
            self.scheduler.step()


def _with_ends(parts: Iterator[tuple[Tensor, Tensor, bool]]) -> Iterator[tuple[Tensor, Tensor, bool]]:
    """The same parts; the very last one closes its window, full or not."""
    waiting = next(parts, None)
    for part in parts:
        if waiting is not None:
            yield waiting
        waiting = part
    if waiting is not None:
        yield waiting[0], waiting[1], True


def _averaged(model: nn.Module, decay: float) -> Any:
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
