"""Logits of a network over batches."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from resomap.training.memory import Portion, in_portions


@torch.inference_mode()
def predict(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Logits (N, classes), float32 on the CPU, in the order of `batches`, in evaluation mode; smaller portions where memory is short."""
    model.eval()
    portion = Portion()
    return torch.cat([in_portions(model, images, portion).cpu() for images, _ in batches])
