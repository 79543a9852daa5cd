"""Optimizers from the configuration, with weight decay on weights only."""

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.optim import Optimizer as TorchOptimizer

from resomap.config.training import Optimizer


def build_optimizer(optimizer: Optimizer, model: nn.Module) -> TorchOptimizer:
    """Return the configured optimizer over the parameters of `model` that require gradients.

    Parameters of fewer than two dimensions (norms, biases) are not decayed.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    weights = [parameter for parameter in parameters if parameter.ndim >= 2]
    norms_and_biases = [parameter for parameter in parameters if parameter.ndim < 2]
    groups = [
        {"params": weights, "weight_decay": optimizer.weight_decay},
        {"params": norms_and_biases, "weight_decay": 0.0},
    ]
    # fused: one kernel for all parameters instead of several for each.
    rate = optimizer.learning_rate
    if optimizer.type == "sgd":
        sgd = optimizer.sgd
        return SGD(groups, rate, momentum=sgd.momentum, nesterov=sgd.nesterov, fused=True)
    if optimizer.type == "adam":
        return Adam(groups, rate, fused=True)
    return AdamW(groups, rate, fused=True)


def align_state(optimizer: TorchOptimizer) -> None:
    """Give the loaded state of each parameter the memory format of the parameter.

    A fused step walks parameter, gradient and state as flat memory. With a channels_last weight
    and a contiguous momentum it would pair the wrong elements, and no error would show it.
    """
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
