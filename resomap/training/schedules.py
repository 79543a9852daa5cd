"""Learning-rate schedules: those of torch, after a linear warm-up."""

import sys
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    MultiStepLR,
    ReduceLROnPlateau,
    StepLR,
)

from resomap.config.training import Monitor, Schedule, direction_of
from resomap.errors import ConfigError
from resomap.training.callbacks import read_metric

RATE_SCALE = "rate_scale"
"""Key of a parameter group: its learning rate over that of the schedule, 1 where it is absent."""
SCHEDULERS: dict[str, Any] = {
    "cosine": CosineAnnealingLR,
    "step": StepLR,
    "plateau": ReduceLROnPlateau,
    "exponential": ExponentialLR,
    "multistep": MultiStepLR,
}


class LRSchedulerCallback:
    """A torch scheduler by name, with torch's own parameters, after a linear warm-up.

    >>> schedule = LRSchedulerCallback(optimizer, "cosine", {"T_max": 50})
    >>> for epoch in range(50):
    ...     train_one_epoch()
    ...     schedule.step(epoch)

    `scheduler_type` is cosine, step, plateau, exponential or multistep. `warmup` is the number
    of `step` calls over which the learning rate rises linearly to that of the optimizer.
    With `interval="step"` a `Trainer` calls `step` once an optimizer step, not once an epoch.
    A plateau reads the metric named `scheduler_params["monitor"]` (val_loss by default) from
    `step(metrics=...)`. Groups of the optimizer with a RATE_SCALE follow the schedule at their own
    scale, to its last rate. `verbose` prints every change. ConfigError for an unknown type or
    parameters that torch refuses.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        scheduler_type: str,
        scheduler_params: Mapping[str, Any] | None = None,
        verbose: bool = False,
        *,
        warmup: int = 0,
        interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        params = dict(scheduler_params or {})
        self.monitor = params.pop("monitor", "val_loss")
        self.by_metric = scheduler_type == "plateau"
        if self.by_metric:
            params.setdefault("mode", direction_of(self.monitor))
        self.optimizer, self.verbose = optimizer, verbose
        self.warmup, self.interval = warmup, interval
        self._carrier = _rate_carrier(optimizer)
        self.scheduler = _build_torch_scheduler(self._carrier, scheduler_type, params)
        if self._carrier is not optimizer:
            self._carrier.step()  # torch warns about a schedule before the first step
        self._peaks = [group["lr"] for group in self._carrier.param_groups]
        self._warmup_steps = 0
        self._set_warmup_rate()

    def step(
        self, epoch: int | None = None, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Advance the schedule by one epoch or optimizer step.

        A plateau goes by `metrics`: with interval "step", calls without them advance the
        warm-up only; with interval "epoch" they are required (ConfigError) once the warm-up is
        over.
        """
        before = self.get_last_lr()
        self._advance(metrics)
        self._apply_scales()
        if self.verbose and self.get_last_lr() != before:
            self._print_rate(epoch)

    def _advance(self, metrics: Mapping[str, float] | None) -> None:
        if self._warmup_steps < self.warmup:
            # With interval "step", a plateau is also called once an epoch with its metrics;
            # that call is no optimizer step and must not shorten the warm-up.
            if metrics is None or self.interval == "epoch":
                self._warmup_steps += 1
                self._set_warmup_rate()
        elif not self.by_metric:
            self.scheduler.step()
        elif metrics is not None:
            self.scheduler.step(read_metric(metrics, self.monitor))
        elif self.interval == "epoch":
            raise ConfigError(
                f"schedule plateau: step() needs metrics={{'{self.monitor}': value}}"
            )

    def get_last_lr(self) -> list[float]:
        """Return the current learning rate of each parameter group."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the warm-up and in the schedule."""
        return {
            "warmup_steps": self._warmup_steps,
            "scheduler": self.scheduler.state_dict(),
            "rates": [float(group["lr"]) for group in self._carrier.param_groups],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state`; the optimizer's own learning rates are part of its state."""
        self._warmup_steps = state["warmup_steps"]
        self.scheduler.load_state_dict(state["scheduler"])
        if self._carrier is not self.optimizer:
            for group, rate in zip(self._carrier.param_groups, state["rates"], strict=True):
                group["lr"] = rate

    def _set_warmup_rate(self) -> None:
        if self.warmup:
            # From 1 / warmup, not 0: a first step of length zero would be wasted.
            factor = min(1.0, (self._warmup_steps + 1) / self.warmup)
            for group, peak in zip(self._carrier.param_groups, self._peaks, strict=True):
                group["lr"] = peak * factor
            self._apply_scales()

    def _apply_scales(self) -> None:
        if self._carrier is not self.optimizer:
            rate = self._carrier.param_groups[0]["lr"]
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group.get(RATE_SCALE, 1.0)

    def _print_rate(self, epoch: int | None) -> None:
        when = "" if epoch is None else f" after epoch {epoch}"
        print(f"learning rate: {self.get_last_lr()[0]:.3g}{when}", file=sys.stderr)


def _rate_carrier(optimizer: Optimizer) -> Optimizer:
    """Return the optimizer whose rate torch's scheduler sets.

    It is another one where the groups of `optimizer` have scales: torch has one lowest rate for
    all groups, so that a group of a small rate would rise to it.
    """
    groups = optimizer.param_groups
    scale = groups[0].get(RATE_SCALE, 1.0)
    if all(group.get(RATE_SCALE, 1.0) == scale for group in groups):
        return optimizer
    return SGD([nn.Parameter(torch.zeros(()))], groups[0]["lr"] / scale)


def _build_torch_scheduler(optimizer: Optimizer, name: str, params: dict[str, Any]) -> Any:
    if name not in SCHEDULERS:
        raise ConfigError(f"unknown schedule {name!r}; known are {', '.join(SCHEDULERS)}")
    try:
        return SCHEDULERS[name](optimizer, **params)
    except TypeError as error:
        raise ConfigError(f"schedule {name} with {params}: {error}") from error


def build_schedule(
    schedule: Schedule,
    optimizer: Optimizer,
    steps_per_epoch: int,
    epochs: int,
    monitor: Monitor,
) -> LRSchedulerCallback:
    """Return the configured schedule, stepped once an optimizer step.

    A plateau is also stepped once an epoch, with `monitor`. Epochs in the configuration count
    from the end of the warm-up and become steps here.
    """
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    steps = max(1, steps_per_epoch * epochs - warmup)
    params = _scheduler_params(schedule, steps_per_epoch, steps, monitor)
    return LRSchedulerCallback(optimizer, schedule.type, params, warmup=warmup, interval="step")


def _scheduler_params(
    schedule: Schedule, steps_per_epoch: int, steps: int, monitor: Monitor
) -> dict[str, Any]:
    """Return the parameters of torch's scheduler, which is stepped `steps` times in all."""
    match schedule.type:
        case "cosine":
            return {"T_max": steps, "eta_min": schedule.min_lr}
        case "step":
            step_size = max(1, round(schedule.step.epochs * steps_per_epoch))
            return {"step_size": step_size, "gamma": schedule.step.gamma}
        case "multistep":
            epochs = schedule.multistep.milestones
            milestones = [round(epoch * steps_per_epoch) for epoch in epochs]
            return {"milestones": milestones, "gamma": schedule.multistep.gamma}
        case "exponential":
            # Applied smoothly: this factor, steps_per_epoch times, makes gamma.
            return {"gamma": schedule.exponential.gamma ** (1 / steps_per_epoch)}
        case "plateau":
            return {
                "factor": schedule.plateau.factor,
                "patience": schedule.plateau.patience,
                "monitor": monitor.name,
                "mode": monitor.mode,
                "min_lr": schedule.min_lr,
            }
