"""Learning-rate schedules, stepped once an optimizer step."""

import math
from functools import partial

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from resomap.sections import Schedule


def build_schedule(schedule: Schedule, optimizer: Optimizer, steps_per_epoch: int, epochs: int) -> LambdaLR:
    """Linear warm-up, then half a cosine down to `min_lr` after the last step."""
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    floor = schedule.min_lr / optimizer.param_groups[0]["lr"]
    return LambdaLR(optimizer, partial(cosine_factor, warmup=warmup, steps=steps_per_epoch * epochs, floor=floor))


def cosine_factor(step: int, warmup: int, steps: int, floor: float) -> float:
    """The factor on the peak learning rate at `step` of `steps`, reaching 1 at the end of the warm-up."""
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return floor + (1 - floor) * (1 + math.cos(math.pi * min(1.0, progress))) / 2
