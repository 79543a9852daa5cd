"""Smooth images that look the same at any resolution."""

import numpy as np
import torch
from torch import Tensor


def draw_waves(count: int, side: int) -> Tensor:
    """Return sums of waves, uint8 (count, side, side, 3)."""
    axis = (torch.arange(side) + 0.5) / side
    planes = []
    for number in range(3 * count):
        cycles = axis[:, None] * (1 + number % 3) + axis * (2 - number % 2)
        planes.append(torch.sin(2 * np.pi * cycles + number))
    levels = (127 + 90 * torch.stack(planes)).round().to(torch.uint8)
    return levels.view(count, 3, side, side).permute(0, 2, 3, 1).contiguous()
