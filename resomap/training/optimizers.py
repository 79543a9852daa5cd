"""Optimizers: weight decay on weights, none on norms and biases."""

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.optim import Optimizer as TorchOptimizer

from resomap.config.training import Optimizer


def build_optimizer(optimizer: Optimizer, model: nn.Module) -> TorchOptimizer:
    """The optimizer of a recipe over `model`, fused; parameters of fewer than two dimensions (norms, biases) are not decayed."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {
            "params": [parameter for parameter in parameters if parameter.ndim >= 2],
            "weight_decay": optimizer.weight_decay,
        },
        {
            "params": [parameter for parameter in parameters if parameter.ndim < 2],
            "weight_decay": 0.0,
        },
    ]
    if optimizer.type == "sgd":
        return SGD(
            groups,
            lr=optimizer.learning_rate,
            momentum=optimizer.sgd.momentum,
            nesterov=optimizer.sgd.nesterov,
            fused=True,
        )
    return {"adam": Adam, "adamw": AdamW}[optimizer.type](
        groups, lr=optimizer.learning_rate, fused=True
    )


def align_state(optimizer: TorchOptimizer) -> None:
    """Lay the loaded state of each parameter out in memory as the parameter is: fused steps read both in one order."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
