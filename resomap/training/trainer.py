"""One epoch of training and one of validation, over any iterable of batches."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from resomap.config.schema import Execution
from resomap.config.training import Precision
from resomap.errors import ResoMapError, Stopped
from resomap.system.precision import check_precision
from resomap.training.distributed import Group, unwrap
from resomap.training.finetune import Freezing
from resomap.training.memory import (
    BufferSnapshot,
    MicroBatch,
    forward_in_micro_batches,
    infeasible_without_memory,
    min_micro_batch,
    run_within_memory,
)
from resomap.training.optimizers import WeightAverage, align_state
from resomap.training.passes import EagerPass, StepOutput, autocast, build_pass, build_scaler
from resomap.training.schedules import LRSchedulerCallback
from resomap.training.tally import Tally
from resomap.training.windows import Batch, StepBatches, load_batches, load_windows


def no_hook() -> None:
    """Do nothing between steps."""


class Trainer:
    """A loop that trains `model` on batches of float images (B, 3, r, r) and int64 labels (B,).

    >>> trainer = Trainer(model, device, nn.CrossEntropyLoss(), optimizer,
    ...                   train_loader, val_loader, use_amp=True, gradient_clip_norm=1.0)
    >>> for epoch in range(10):
    ...     train_metrics = trainer.train_epoch(epoch)
    ...     val_metrics = trainer.validate()

    The loaders may be any iterables, a DataLoader or a list. Arguments beyond them:

    - `criterion` averages over a batch, as `nn.CrossEntropyLoss` does.
    - `use_amp` trains in bf16 on a GPU and changes nothing on a CPU; `precision` overrides it
      (fp32, tf32, bf16 or fp16: see `resomap.system.precision`).
    - `gradient_accumulation_steps` batches make one optimizer step. Gradients are weighted by
      image, so a step equals one over all its images, also in a last, incomplete window.
    - `gradient_clip_norm` is the largest total norm of the gradients.
    - `scheduler` is stepped by the trainer: once an epoch, or once a step with interval "step".
    - `micro_batch` is the most images in one pass. It is halved when memory runs out, and the
      step is repeated; `Infeasible` at one image, or at two with BatchNorm.
    - `ema_decay` keeps an exponential moving average of the weights, which `validate` uses. Its
      memory starts short: see `resomap.training.optimizers`.
    - `val_criterion` replaces `criterion` in `validate`.
    - `seed` makes the draws of dropout depend on (seed, epoch, step, process) only.
    - `group` is the place of this process among several (`resomap.training.distributed`).
    - `execution` is eager, compiled or cuda_graph (`resomap.training.passes`).
    - `freezing` keeps parts of the network as they are, by epoch (`resomap.training.finetune`).
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
        execution: Execution = "eager",
        freezing: Freezing | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.group, self._freezing = group or Group(), freezing
        if precision is None:
            precision = "bf16" if use_amp and self.device.type == "cuda" else "fp32"
        check_precision(precision, self.device)
        self.precision: Precision = precision
        if freezing:
            freezing.apply(model, 0)
        self.model = self.group.wrap(model.to(self.device), self.device)
        self.criterion = criterion.to(self.device)
        self.val_criterion = (val_criterion or criterion).to(self.device)
        self.optimizer, self.scheduler = optimizer, scheduler
        self.train_loader, self.val_loader = train_loader, val_loader
        self.accumulation_steps = gradient_accumulation_steps
        self.clip_norm, self.seed = gradient_clip_norm, seed
        self.scaler = build_scaler(self.precision, self.device)
        self.ema = WeightAverage(unwrap(self.model), ema_decay) if ema_decay else None
        self.micro_batch = MicroBatch(micro_batch, min_micro_batch(model))
        self.val_micro_batch = MicroBatch()
        self._before_step = BufferSnapshot(self.model)
        self._execution: Execution = execution
        self._pass = self._build_pass()
        self.step_hook: Callable[[], None] = no_hook
        """Called after every optimizer step and every batch of validation."""
        self.lone_hook: Callable[[], None] = no_hook
        """Called instead where one of several processes validates: no collective may be in it."""
        if self.device.type == "cuda":
            # Once: the peak is that of the whole training, validation included.
            torch.cuda.reset_peak_memory_stats(self.device)

    @property
    def eval_model(self) -> nn.Module:
        """Return the network that is validated and kept: the moving average if there is one."""
        return self.ema.module if self.ema else unwrap(self.model)

    def train_epoch(self, epoch: int = 0, tally: Tally | None = None) -> dict[str, float]:
        """Train on every batch once and return the metrics of the epoch.

        They are loss, accuracy, precision, recall, f1 (macro averages in [0, 1]),
        epoch_seconds, images_per_second and peak_memory_mib. A `tally` with steps continues an
        interrupted epoch; `train_loader` must then start after these steps.
        """
        tally = tally or Tally(self.device, self.group)
        self.model.train()
        self._freeze(epoch)
        length, loader = self.accumulation_steps, self.train_loader
        for window in load_windows(loader, length, self.group, self.device):
            self._seed_step(epoch, tally.steps)
            self._step(window, tally)
            self.step_hook()
        if self.scheduler and not (self._schedules_steps or self._schedules_metric):
            self.scheduler.step()
        return tally.epoch_metrics()

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Return loss, accuracy, precision, recall and f1 (macro) over the validation batches.

        All are NaN when the loss is not finite. A plateau scheduler is stepped with them.
        Stopped, in every process, when a signal ended the validation of the leader.
        """
        outcome = self._validate_unless_stopped() if self.group.is_leader else None
        scores, signum = self.group.broadcast(outcome)
        if signum is not None:
            raise Stopped(signum)
        if isinstance(self.scheduler, LRSchedulerCallback) and self.scheduler.by_metric:
            self.scheduler.step(metrics=scores)
        return dict(scores)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs, as tensors and plain values."""
        return {
            "model": unwrap(self.model).state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler else None,
            "scaler": self.scaler.state_dict(),
            "ema": self.ema.state_dict() if self.ema else None,
            "micro_batch_sizes": [self.micro_batch.size, self.val_micro_batch.size],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state`."""
        unwrap(self.model).load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        align_state(self.optimizer)
        self.scaler.load_state_dict(state["scaler"])
        if self.scheduler:
            self.scheduler.load_state_dict(state["scheduler"])
        if self.ema:
            self.ema.load_state_dict(state["ema"])
        self.micro_batch.size, self.val_micro_batch.size = state["micro_batch_sizes"]

    @property
    def _schedules_steps(self) -> bool:
        return getattr(self.scheduler, "interval", "epoch") == "step"

    @property
    def _schedules_metric(self) -> bool:
        return getattr(self.scheduler, "by_metric", False)

    def _validate_unless_stopped(self) -> tuple[dict[str, float], int | None]:
        """Return the scores and None, or nothing and the signal that stopped the validation."""
        try:
            return self._validate(), None
        except Stopped as stopped:
            if self.group.world_size == 1:
                raise
            # The others wait for the scores: without an answer they would wait until killed.
            return {}, stopped.signum

    def _validate(self) -> dict[str, float]:
        tally, network = Tally(self.device, Group()), self.eval_model.eval()
        logits, labels = list[Tensor](), list[Tensor]()
        for images, batch_labels in load_batches(self.val_loader):
            device_images = images.to(self.device, non_blocking=True)
            with autocast(self.precision, self.device):
                logits.append(
                    forward_in_micro_batches(network, device_images, self.val_micro_batch)
                )
            labels.append(batch_labels.to(self.device, non_blocking=True))
            # With several processes the leader validates alone. The hook may be a collective
            # (a save gathers states), which the waiting processes could not join.
            if self.group.world_size == 1:
                self.step_hook()
            else:
                self.lone_hook()
        # One loss over all images, so that it does not depend on the batch size.
        all_logits, all_labels = torch.cat(logits), torch.cat(labels)
        tally.add(self.val_criterion(all_logits, all_labels), all_logits, all_labels)
        return tally.scores()

    def _build_pass(self) -> EagerPass:
        parts = (self.model, self.criterion, self.scaler, self.precision, self.device)
        return build_pass(self._execution, *parts)

    def _freeze(self, epoch: int) -> None:
        """Freeze what is frozen in `epoch`, and start anew where other weights are trained."""
        network = unwrap(self.model)
        if self._freezing and self._freezing.apply(network, epoch):
            # DistributedDataParallel waits for the gradients that were required when it was
            # made, and a CUDA graph repeats the backward pass that it recorded. The old wrapper
            # goes first: its hooks end with it.
            self.model = network
            self._pass = self._build_pass()
            self.model = self.group.wrap(network, self.device)
            self._pass = self._build_pass()

    def _seed_step(self, epoch: int, step: int) -> None:
        # With a seed for every step, a state needs no generator states (of the CPU and each
        # GPU), and a repeated step draws the same dropout masks. It costs microseconds.
        if self.seed is not None:
            mixed = np.random.SeedSequence((self.seed, epoch, step, self.group.rank))
            torch.manual_seed(int(mixed.generate_state(1, np.uint64)[0]))

    def _step(self, window: StepBatches, tally: Tally) -> None:
        self._before_step.take()
        largest = -(-max(window.sizes) // self.group.world_size)
        outputs = run_within_memory(
            self.micro_batch, largest, lambda: self._accumulate(window), self._discard_step
        )
        for output in outputs:
            tally.add(*output)
        tally.close_step()
        self._update()

    def _discard_step(self) -> None:
        """Discard the gradients and BatchNorm statistics of a step that did not fit."""
        # One process that repeats its step would run a different number of collectives than the
        # others, and all would wait for each other.
        if self.group.world_size > 1:
            raise ResoMapError(
                "config/training.yaml: training.micro_batch: one of several processes ran "
                "out of memory; set a smaller micro-batch"
            )
        self.optimizer.zero_grad(set_to_none=True)
        self._pass.forget_shape()
        self._before_step.restore()

    def _accumulate(self, window: StepBatches) -> list[StepOutput]:
        """Accumulate the gradients of the window, a micro-batch at a time."""
        total = self._total_weight(
            sum(self._loss_weight(labels) for _, labels in window.batches)
        )
        pieces = list[Batch]()
        for batch, size in zip(*window, strict=True):
            pieces += self._split(*batch, size)
        outputs = list[StepOutput]()
        for images, labels in pieces[:-1]:
            with self._without_sync():
                outputs.append(self._backward(images, labels, total))
        # DistributedDataParallel averages the gradients during the last backward pass only.
        outputs.append(self._backward(*pieces[-1], total))
        return outputs

    def _split(self, images: Tensor, labels: Tensor, size: int) -> Iterator[Batch]:
        # Not by the images of this process: the collectives of SyncBatchNorm in each pass would
        # wait forever for a process that makes one pass less.
        pieces = self.micro_batch.num_pieces(size, self.group.world_size)
        return zip(images.tensor_split(pieces), labels.tensor_split(pieces), strict=True)

    def _backward(self, images: Tensor, labels: Tensor, total: Tensor | float) -> StepOutput:
        images = images.to(self.device, non_blocking=True)
        labels = labels.to(self.device, non_blocking=True)
        return self._pass(images, labels, self._loss_weight(labels) / total)

    def _without_sync(self) -> AbstractContextManager:
        if isinstance(self.model, nn.parallel.DistributedDataParallel):
            return self.model.no_sync()
        return nullcontext()

    def _loss_weight(self, labels: Tensor) -> Tensor | float:
        """Return what the criterion divides the loss of a batch by: images or class weights."""
        weight = getattr(self.criterion, "weight", None)
        # Of soft targets torch divides a weighted loss by the images as well.
        if weight is None or labels.ndim > 1:
            return float(len(labels))
        return weight[labels.to(self.device, non_blocking=True)].sum()

    def _total_weight(self, weight: Tensor | float) -> Tensor | float:
        """Return the loss weight of a step over all processes, divided by their number."""
        if self.group.world_size == 1:
            return weight
        # DistributedDataParallel divides the summed gradients by the number of processes.
        if isinstance(weight, float):
            # Filled in on the device: a copy from the host would wait for it.
            weight = torch.full((), weight, device=self.device)
        total = weight.float()
        return self.group.sum(total) / self.group.world_size

    def _update(self) -> None:
        # The order matters in fp16: unscale before clipping, or the norm is that of scaled
        # gradients. `scaler.step` does not unscale again; it skips a step with inf or NaN.
        if self.clip_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        # Its first step allocates up to twice the weights.
        with infeasible_without_memory("the state of the optimizer"):
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=not self._pass.keeps_gradients)
        if self.ema:
            self.ema.update_parameters(unwrap(self.model))
        if self.scheduler and self._schedules_steps:
            self.scheduler.step()
