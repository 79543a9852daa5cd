"""An exponential moving average of the weights, with a short memory at first."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Weights = tuple[Tensor, ...] | list[Tensor]


def warmed_up_decay(decay: float, updates: int) -> float:
    """Return the decay after `updates` updates: at most (1 + updates) / (10 + updates).

    TensorFlow's and timm's warm-up. With a constant decay of 0.999, a training of a hundred
    steps would end with nine tenths of the weights of its first step.
    """
    return min(decay, (1 + updates) / (10 + updates))


class WeightAverage(AveragedModel):
    """The average of `model` over the steps of a training; buffers are copied, not averaged."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, multi_avg_fn=self._average)
        self.decay = decay

    @torch.no_grad()
    def _average(self, averaged: Weights, current: Weights, _: Tensor | int) -> None:
        # `n_averaged` stays on the CPU. The argument is a copy on the device: to read that one
        # would make the CPU wait for the GPU at every step.
        weight = 1 - warmed_up_decay(self.decay, int(self.n_averaged))
        torch._foreach_lerp_(averaged, current, weight)
