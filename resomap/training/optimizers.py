"""Optimizers: decoupled weight decay on weights, none on norms and biases."""

from torch import nn
from torch.optim import AdamW

from resomap.sections import Optimizer


def build_optimizer(optimizer: Optimizer, model: nn.Module) -> AdamW:
    """AdamW over `model`, fused; parameters of fewer than two dimensions (norms, biases) are not decayed."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in parameters if parameter.ndim >= 2], "weight_decay": optimizer.weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=optimizer.lr, fused=True)
