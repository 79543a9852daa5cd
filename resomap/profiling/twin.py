"""A network without numbers, through which shapes flow at no cost."""

import copy

from torch import nn


def shape_twin(model: nn.Module) -> nn.Module:
    """A copy of `model` on the meta device, in evaluation mode; `model` stays untouched and its weights are not copied."""
    tensors = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): tensor.to("meta") for tensor in tensors}).eval()
