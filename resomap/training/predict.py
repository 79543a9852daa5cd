"""Logits of a network over batches."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.inference_mode()
def predict(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Logits (N, classes), float32 on the CPU, in the order of `batches`, in evaluation mode."""
    model.eval()
    return torch.cat([model(images).float().cpu() for images, _ in batches])
