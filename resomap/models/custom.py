"""A small network of our own, readable in one look; its widths make it `simple_cnn` or `tiny_cnn`."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class SimpleCNN(nn.Module):
    """Stages of convolution, BatchNorm and ReLU, an average over the map, and a linear head.

    The first stage keeps the full resolution, so that fine detail is seen before anything is left out; each further stage
    halves the map by 2 x 2 maximum pooling first (striding instead lost the reef's outlines at 96 px). So `channels`, one
    number a stage, needs pictures of at least 2 ** (len(channels) - 1) px.
    """

    def __init__(self, num_classes: int, *, channels: Sequence[int]) -> None:
        super().__init__()
        stages = [_stage(inputs, outputs) for inputs, outputs in pairwise((3, *channels))]
        self.stages = nn.Sequential(
            stages[0], *(nn.Sequential(nn.MaxPool2d(2), *stage) for stage in stages[1:])
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(channels[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, num_classes) of float images (N, 3, H, W)."""
        return self.head(self.pool(self.stages(images)).flatten(1))


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())
