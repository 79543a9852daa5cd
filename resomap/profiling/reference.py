"""A fixed piece of work, timed among the cells of every profile: what networks and machines are compared by."""

import torch
from torch.nn.functional import conv2d, relu

from resomap.profiling.timing import Cell

PICTURE = (1, 3, 64, 64)
KERNELS = ((32, 3, 3, 3), (64, 32, 3, 3), (64, 64, 3, 3))


def reference_cell(device: torch.device) -> Cell:
    """Three convolutions with stride 2 and their ReLUs on one float32 picture, contiguous, all drawn from a fixed seed."""
    generator = torch.Generator().manual_seed(0)
    picture, *kernels = (
        torch.randn(shape, generator=generator).to(device) for shape in (PICTURE, *KERNELS)
    )

    def run() -> torch.Tensor:
        output = picture
        for kernel in kernels:
            output = relu(conv2d(output, kernel, stride=2, padding=1))
        return output

    return run
