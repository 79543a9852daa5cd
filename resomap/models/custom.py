"""Networks of this package, and the names by which models.yaml may call them."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn


class SimpleCNN(nn.Module):
    """Stages of convolution, BatchNorm and ReLU, global average pooling, and a linear head.

    >>> SimpleCNN(num_classes=10, channels=[16, 32])(torch.zeros(8, 3, 32, 32)).shape
    torch.Size([8, 10])

    The first stage keeps the full resolution, each further one starts with 2 x 2 maximum
    pooling. So `channels`, one number a stage, needs images of at least 2 ** (len(channels) -
    1) pixels a side.
    """

    def __init__(self, num_classes: int, *, channels: Sequence[int]) -> None:
        super().__init__()
        # Pooling, not strided convolution: strides lost the thin outlines of the reef at 96 px.
        first, *others = [
            _stage(inputs, outputs) for inputs, outputs in pairwise((3, *channels))
        ]
        pooled = (nn.Sequential(nn.MaxPool2d(2), *stage) for stage in others)
        self.stages = nn.Sequential(first, *pooled)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(channels[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, num_classes) of float images (N, 3, H, W)."""
        return self.head(self.pool(self.stages(images)).flatten(1))


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


CUSTOM_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "simple_cnn": SimpleCNN,
    "tiny_cnn": SimpleCNN,
}
"""Builders beside those of torchvision; each takes `num_classes` and the entry's settings."""
