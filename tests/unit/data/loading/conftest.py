from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor


@pytest.fixture
def waves() -> Callable[[int, int], Tensor]:
    """Smooth images (count, side), uint8 NHWC, that look the same at any resolution."""

    def draw(count: int, side: int) -> Tensor:
        axis = (torch.arange(side) + 0.5) / side
        planes = []
        for number in range(3 * count):
            cycles = axis[:, None] * (1 + number % 3) + axis * (2 - number % 2)
            planes.append(torch.sin(2 * np.pi * cycles + number))
        levels = (127 + 90 * torch.stack(planes)).round().to(torch.uint8)
        return levels.view(count, 3, side, side).permute(0, 2, 3, 1).contiguous()

    return draw
