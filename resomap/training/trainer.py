"""One epoch of training, and one of validation: precision, accumulation, clipping, averaging, several processes."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from resomap.config.training import Precision
from resomap.errors import ResoMapError
from resomap.training.distributed import Group, bare
from resomap.training.memory import (
    Portion,
    Snapshot,
    fewest_pictures,
    in_portions,
    within_memory,
)
from resomap.training.optimizers import align_state
from resomap.training.precision import autocast, build_scaler
from resomap.training.schedules import LRSchedulerCallback
from resomap.training.tally import Tally

Batch = tuple[Tensor, Tensor]
Told = tuple[Tensor, Tensor, Tensor]
"""Of some pictures: their mean loss, logits and labels."""


def nothing() -> None:
    """What is done between steps where nobody asks for more."""


class Trainer:
    """Trains `model` in place on batches of (float images (B,3,r,r), labels (B,)), from any iterable.

    `criterion` averages over a batch. Gradients of `gradient_accumulation_steps` batches, and of the `micro_batch` pictures at a time
    that a batch is split into, are weighted so that a step equals one over all its pictures, a last partial window too. When memory
    runs out the micro-batch is halved and the step done again; `Infeasible` where it was one picture (two with BatchNorm).
    `use_amp` means bf16 on a GPU and nothing on a CPU; `precision` says it outright. With `ema_decay` the averaged weights are what
    `validate` sees. `scheduler` is stepped here, and only here. `val_criterion` is `criterion` where not given. With `seed`, what a
    network draws by itself (dropout) follows from the seed, the epoch, the step and the process.
    """

    def __init__(
        self,
        model: nn.Module,
        device: torch.device | str,
        criterion: nn.Module,
        optimizer: Optimizer,
        train_loader: Iterable[Batch],
        val_loader: Iterable[Batch],
        use_amp: bool = False,
        gradient_accumulation_steps: int = 1,
        gradient_clip_norm: float | None = None,
        scheduler: LRSchedulerCallback | LRScheduler | None = None,
        *,
        precision: Precision | None = None,
        micro_batch: int | None = None,
        ema_decay: float | None = None,
        val_criterion: nn.Module | None = None,
        seed: int | None = None,
        group: Group | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.group = group or Group()
        self.precision: Precision = precision or (
            "bf16" if use_amp and self.device.type == "cuda" else "fp32"
        )
        self.model = self.group.wrap(model.to(self.device), self.device)
        self.criterion = criterion.to(self.device)
        self.val_criterion = (val_criterion or criterion).to(self.device)
        self.optimizer, self.scheduler = optimizer, scheduler
        self.train_loader, self.val_loader = train_loader, val_loader
        self.accumulation_steps, self.clip_norm, self.seed = (
            gradient_accumulation_steps,
            gradient_clip_norm,
            seed,
        )
        self.scaler = build_scaler(self.precision, self.device)
        self.ema = _averaged(bare(self.model), ema_decay) if ema_decay else None
        self.portion, self.val_portion = Portion(micro_batch, fewest_pictures(model)), Portion()
        self._before_step = Snapshot(self.model)
        self.between: Callable[[], None] = nothing
        """Called after every optimizer step and every batch of validation."""

    @property
    def evaluated(self) -> nn.Module:
        """The network that is validated and kept: the averaged one where there is one."""
        return self.ema.module if self.ema else bare(self.model)

    def train_epoch(self, epoch: int = 0, tally: Tally | None = None) -> dict[str, float]:
        """Train on every batch once: loss, accuracy, precision, recall, f1 (macro), epoch_seconds, images_per_second, peak_memory_mib.

        A `tally` that has steps already goes on behind them; `train_loader` must start there too.
        """
        tally = tally or Tally(self.device, self.group)
        self.model.train()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        for window in self._windows():
            self._seed_draws(epoch, tally.steps)
            self._step(window, tally)
            self.between()
        if (
            self.scheduler
            and not self._by_step
            and not getattr(self.scheduler, "by_metric", False)
        ):
            self.scheduler.step()
        return tally.rates()

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """loss, accuracy, precision, recall, f1 (macro) over the validation batches; all NaN where the loss is not finite.

        A scheduler that goes by a metric is stepped with them.
        """
        scores = self.group.share(self._validate() if self.group.leads else None)
        if isinstance(self.scheduler, LRSchedulerCallback) and self.scheduler.by_metric:
            self.scheduler.step(metrics=scores)
        return dict(scores)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs of its network, optimizer, schedule, scaler, averages and portions."""
        return {
            "model": bare(self.model).state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler else None,
            "scaler": self.scaler.state_dict(),
            "ema": self.ema.state_dict() if self.ema else None,
            "portions": [self.portion.size, self.val_portion.size],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        bare(self.model).load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        align_state(self.optimizer)
        self.scaler.load_state_dict(state["scaler"])
        if self.scheduler:
            self.scheduler.load_state_dict(state["scheduler"])
        if self.ema:
            self.ema.load_state_dict(state["ema"])
        self.portion.size, self.val_portion.size = state["portions"]

    @property
    def _by_step(self) -> bool:
        return (
            isinstance(self.scheduler, LRSchedulerCallback)
            and self.scheduler.interval == "step"
        )

    def _validate(self) -> dict[str, float]:
        tally, network = Tally(self.device, Group()), self.evaluated.eval()
        logits, labels = [], []
        for images, batch_labels in self.val_loader:
            with autocast(self.precision, self.device):
                logits.append(
                    in_portions(
                        network, images.to(self.device, non_blocking=True), self.val_portion
                    )
                )
            labels.append(batch_labels.to(self.device, non_blocking=True))
            if (
                self.group.world == 1
            ):  # the others wait for these scores, and could not take part in what is done between
                self.between()
        every, targets = torch.cat(logits), torch.cat(labels)
        tally.add(self.val_criterion(every, targets), every, targets)
        return tally.scores()

    def _windows(self) -> Iterator[list[Batch]]:
        """The batches of each optimizer step; the last step has what is left."""
        window: list[Batch] = []
        for batch in tqdm(
            self.train_loader,
            desc="train",
            unit="batch",
            file=sys.stderr,
            mininterval=5,
            leave=False,
            disable=not self.group.leads,
        ):
            window.append(batch)
            if len(window) == self.accumulation_steps:
                yield window
                window = []
        if window:
            yield window

    def _seed_draws(self, epoch: int, step: int) -> None:
        if self.seed is not None:
            mixed = np.random.SeedSequence((self.seed, epoch, step, self.group.rank))
            torch.manual_seed(int(mixed.generate_state(1, np.uint64)[0]))

    def _step(self, window: list[Batch], tally: Tally) -> None:
        self._before_step.take()
        largest = max(len(images) for images, _ in window)
        for loss, logits, labels in within_memory(
            self.portion, largest, lambda: self._accumulate(window), self._undo
        ):
            tally.add(loss, logits, labels)
        tally.close_step()
        self._update()

    def _undo(self) -> None:
        """Forget the gradients and BatchNorm statistics of a step that did not fit."""
        if self.group.world > 1:
            raise ResoMapError(
                "config/training.yaml: training.micro_batch: one of several processes ran out of memory; name a smaller one"
            )
        self.optimizer.zero_grad(set_to_none=True)
        self._before_step.restore()

    def _accumulate(self, window: list[Batch]) -> list[Told]:
        """Gradients of the whole window, a portion at a time."""
        weights = [self._weight(labels) for _, labels in window]
        total, told = self._total(sum(weights)), list[Told]()
        pieces = [piece for images, labels in window for piece in self._pieces(images, labels)]
        for number, (images, labels) in enumerate(pieces, start=1):
            with nullcontext() if number == len(pieces) else self._without_sync():
                told.append(
                    self._backward(
                        images.to(self.device, non_blocking=True),
                        labels.to(self.device, non_blocking=True),
                        total,
                    )
                )
        return told

    def _pieces(self, images: Tensor, labels: Tensor) -> Iterator[Batch]:
        count = self.portion.pieces(len(images))
        return zip(images.tensor_split(count), labels.tensor_split(count), strict=True)

    def _backward(self, images: Tensor, labels: Tensor, total: Tensor | float) -> Told:
        with autocast(self.precision, self.device):
            logits = self.model(images)
            loss = self.criterion(logits, labels)
            self.scaler.scale(loss * (self._weight(labels) / total)).backward()
        return loss.detach(), logits.detach(), labels

    def _without_sync(self) -> AbstractContextManager:
        return (
            self.model.no_sync()
            if isinstance(self.model, nn.parallel.DistributedDataParallel)
            else nullcontext()
        )

    def _weight(self, labels: Tensor) -> Tensor | float:
        weight = getattr(self.criterion, "weight", None)
        return float(len(labels)) if weight is None else weight[labels.to(self.device)].sum()

    def _total(self, weight: Tensor | float) -> Tensor | float:
        """The weight of a step in all processes, over their number, since their gradients are averaged."""
        if self.group.world == 1:
            return weight
        return (
            self.group.sum(torch.as_tensor(weight, device=self.device, dtype=torch.float32))
            / self.group.world
        )

    def _update(self) -> None:
        if self.clip_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema:
            self.ema.update_parameters(bare(self.model))
        if self._by_step and self.scheduler:
            self.scheduler.step()


def _averaged(model: nn.Module, decay: float) -> Any:
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
