"""A network without numbers, through which shapes flow at no cost."""

import copy

from torch import nn


def shape_twin(model: nn.Module) -> nn.Module:
    """A copy of `model` on the meta device, in evaluation mode; `model` stays untouched and its weights are not copied."""
    parameters = {
        id(tensor): nn.Parameter(tensor.detach().to("meta"), tensor.requires_grad)
        for tensor in model.parameters()
    }
    buffers = {id(tensor): tensor.to("meta") for tensor in model.buffers()}
    return copy.deepcopy(model, {**parameters, **buffers}).eval()
