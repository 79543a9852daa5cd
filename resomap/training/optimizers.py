"""Optimizers from the configuration, and a moving average of the weights over their steps."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.optim import Optimizer as TorchOptimizer
from torch.optim.swa_utils import AveragedModel

from resomap.config.training import Optimizer
from resomap.training.schedules import RATE_SCALE

Pair = tuple[list[Tensor], list[Tensor]]


def build_optimizer(
    optimizer: Optimizer,
    model: nn.Module,
    scales: Mapping[nn.Parameter, float] | None = None,
) -> TorchOptimizer:
    """Return the configured optimizer over the parameters of `model` that require gradients.

    Parameters of fewer than two dimensions (norms, biases) are not decayed. `scales` are factors
    of the learning rate, 1 where a parameter has none; the first group has the factor 1.
    """
    rate = optimizer.learning_rate
    groups = _group_parameters(model, scales or {}, rate, optimizer.weight_decay)
    # fused: one kernel for all parameters instead of several for each.
    if optimizer.type == "sgd":
        sgd = optimizer.sgd
        return SGD(groups, rate, momentum=sgd.momentum, nesterov=sgd.nesterov, fused=True)
    if optimizer.type == "adam":
        return Adam(groups, rate, fused=True)
    return AdamW(groups, rate, fused=True)


def _group_parameters(
    model: nn.Module, scales: Mapping[nn.Parameter, float], rate: float, decay: float
) -> list[dict[str, Any]]:
    """Return groups of equal learning rate and weight decay, the full rate first."""
    by_scale = defaultdict[float, Pair](lambda: ([], []))
    for parameter in model.parameters():
        if parameter.requires_grad:
            weights, norms_and_biases = by_scale[scales.get(parameter, 1.0)]
            (weights if parameter.ndim >= 2 else norms_and_biases).append(parameter)
    groups = list[dict[str, Any]]()
    # The history records the rate of the first group.
    for scale in sorted(by_scale, key=lambda scale: (scale != 1, -scale)):
        weights, norms_and_biases = by_scale[scale]
        own: dict[str, Any] = {"lr": rate * scale, RATE_SCALE: scale}
        groups.append({"params": weights, "weight_decay": decay, **own})
        groups.append({"params": norms_and_biases, "weight_decay": 0.0, **own})
    return [group for group in groups if group["params"]]


def align_state(optimizer: TorchOptimizer) -> None:
    """Give the loaded state of each parameter the memory format of the parameter.

    A fused step walks parameter, gradient and state as flat memory. With a channels_last weight
    and a contiguous momentum it would pair the wrong elements, and no error would show it.
    """
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def warmed_up_decay(decay: float, updates: int) -> float:
    """Return the decay after `updates` updates: at most (1 + updates) / (10 + updates).

    TensorFlow's and timm's warm-up. With a constant decay of 0.999, a training of a hundred
    steps would end with nine tenths of the weights of its first step.
    """
    return min(decay, (1 + updates) / (10 + updates))


class WeightAverage(AveragedModel):
    """The average of `model` over the steps of a training; buffers are copied, not averaged."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model)
        self.decay = decay
        # In a list, because a module as an attribute would become a part of this one.
        self._sources: list[nn.Module] = []

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move the average towards the weights of `model`; the first update copies them.

        One operation per dtype. torch's own update copies a counter to the device in every
        step, for which the CPU waits, and buffers one by one.
        """
        if self._sources != [model]:
            self._sources = [model]
            self._weights = _pair_by_dtype(self.module.parameters(), model.parameters())
            self._buffer_pairs = _pair_by_dtype(self.module.buffers(), model.buffers())
        updates = int(self.n_averaged)  # on the CPU
        for averaged, current in self._weights:
            if updates:
                weight = 1 - warmed_up_decay(self.decay, updates)
                torch._foreach_lerp_(averaged, current, weight)
            else:
                torch._foreach_copy_(averaged, current)
        for averaged, current in self._buffer_pairs:
            torch._foreach_copy_(averaged, current)
        self.n_averaged += 1


def _pair_by_dtype(targets: Iterable[Tensor], sources: Iterable[Tensor]) -> list[Pair]:
    """Return lists of corresponding tensors of one dtype, as the fast path of foreach needs."""
    pairs: dict[torch.dtype, Pair] = {}
    for target, source in zip(targets, sources, strict=True):
        of_dtype = pairs.setdefault(target.dtype, ([], []))
        of_dtype[0].append(target.detach())
        of_dtype[1].append(source.detach())
    return list(pairs.values())
