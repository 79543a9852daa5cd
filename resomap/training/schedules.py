"""Learning-rate schedules: torch's own, after a linear warm-up."""

import sys
from collections.abc import Mapping
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    MultiStepLR,
    ReduceLROnPlateau,
    StepLR,
)

from resomap.config.training import Monitor, Schedule
from resomap.errors import ConfigError
from resomap.training.monitor import read_metric

SCHEDULERS: dict[str, Any] = {
    "cosine": CosineAnnealingLR,
    "step": StepLR,
    "plateau": ReduceLROnPlateau,
    "exponential": ExponentialLR,
    "multistep": MultiStepLR,
}


class LRSchedulerCallback:
    """One of torch's schedulers by name (SCHEDULERS), with torch's own parameters, after `warmup` calls of linear warm-up.

    `step` is called once an epoch, or, with `interval="step"`, once an optimizer step. A plateau takes the name of its metric in
    `scheduler_params["monitor"]` (val_loss) and is stepped with `metrics`; without them a call only counts the warm-up.
    ConfigError when the type is unknown or torch refuses the parameters.
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
        self.optimizer, self.verbose, self.warmup, self.interval = (
            optimizer,
            verbose,
            warmup,
            interval,
        )
        if scheduler_type not in SCHEDULERS:
            raise ConfigError(
                f"no schedule is called {scheduler_type!r}; there are {', '.join(SCHEDULERS)}"
            )
        try:
            self.scheduler = SCHEDULERS[scheduler_type](optimizer, **params)
        except TypeError as error:
            raise ConfigError(f"schedule {scheduler_type} with {params}: {error}") from error
        self._peaks = [group["lr"] for group in optimizer.param_groups]
        self._count = 0
        self._warm_up()

    def step(
        self, epoch: int | None = None, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Count one epoch or step; a plateau is told its metric."""
        before = self.get_last_lr()
        if self._count < self.warmup:
            if metrics is None or self.interval == "epoch":
                self._count += 1
                self._warm_up()
        elif not self.by_metric:
            self.scheduler.step()
        elif metrics is not None:
            self.scheduler.step(read_metric(metrics, self.monitor))
        elif self.interval == "epoch":
            raise ConfigError(
                f"schedule plateau: step(metrics=...) with {self.monitor} is what it goes by"
            )
        if self.verbose and self.get_last_lr() != before:
            print(
                f"learning rate: {self.get_last_lr()[0]:.3g}"
                + ("" if epoch is None else f" after epoch {epoch}"),
                file=sys.stderr,
            )

    def get_last_lr(self) -> list[float]:
        """The learning rate of each parameter group now."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs."""
        return {"count": self._count, "scheduler": self.scheduler.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`; the optimizer's own state holds the learning rate."""
        self._count = state["count"]
        self.scheduler.load_state_dict(state["scheduler"])

    def _warm_up(self) -> None:
        if self.warmup:
            for group, peak in zip(self.optimizer.param_groups, self._peaks, strict=True):
                group["lr"] = peak * min(1.0, (self._count + 1) / self.warmup)


def build_schedule(
    schedule: Schedule,
    optimizer: Optimizer,
    steps_per_epoch: int,
    epochs: int,
    monitor: Monitor,
) -> LRSchedulerCallback:
    """The schedule of a recipe, stepped once an optimizer step (a plateau also once an epoch, by `monitor`)."""
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    params = _params(
        schedule, steps_per_epoch, max(1, steps_per_epoch * epochs - warmup), monitor
    )
    return LRSchedulerCallback(optimizer, schedule.type, params, warmup=warmup, interval="step")


def _params(
    schedule: Schedule, steps_per_epoch: int, steps: int, monitor: Monitor
) -> dict[str, Any]:
    match schedule.type:
        case "cosine":
            return {"T_max": steps, "eta_min": schedule.min_lr}
        case "step":
            return {
                "step_size": max(1, round(schedule.step.epochs * steps_per_epoch)),
                "gamma": schedule.step.gamma,
            }
        case "multistep":
            milestones = [
                round(epoch * steps_per_epoch) for epoch in schedule.multistep.milestones
            ]
            return {"milestones": milestones, "gamma": schedule.multistep.gamma}
        case "exponential":
            return {"gamma": schedule.exponential.gamma ** (1 / steps_per_epoch)}
    plateau = schedule.plateau
    about = {"monitor": monitor.name, "mode": monitor.mode, "min_lr": schedule.min_lr}
    return {"factor": plateau.factor, "patience": plateau.patience, **about}
