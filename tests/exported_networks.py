"""Small networks to export, and wrong values planted in their ONNX files."""

import numpy as np
import torch
from torch import Tensor, nn

from resomap.deploy.export import node_module

SIDE = 16


class Residual(nn.Module):
    """Two convolutions with norms and a shortcut; the ReLU is called twice."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        """Return the maps plus what the convolutions make of them."""
        inner = self.relu(self.bn1(self.conv1(maps)))
        return self.relu(maps + self.bn2(self.conv2(inner)))


class SmallTransformer(nn.Module):
    """Patches with position embeddings, and two blocks of attention."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, stride=4)
        self.pos_embed = nn.Parameter(torch.randn(1, 16, 16))
        self.norm = nn.LayerNorm(16)
        self.mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
        self.head = nn.Linear(16, 5)
        # Of equal values no permutation would be wrong.
        for parameter in self.norm.parameters():
            nn.init.normal_(parameter, mean=1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images of SIDE px."""
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.pos_embed
        tokens = tokens + self.mlp(self.norm(tokens))
        return self.head(tokens.mean(1))


def build_convolutional() -> nn.Module:
    """Return a network with five folded norms, a convolution with bias and a norm of its own."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
        Residual(8),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1),
        # In front of its convolution, as in DenseNet: no convolution can take this norm.
        nn.Sequential(nn.ReLU(), nn.BatchNorm2d(8)),
        Residual(8),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 5),
    )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
    return network.eval()


def draw_images(count: int, seed: int = 0) -> np.ndarray:
    """Return normal images (count, 3, SIDE, SIDE)."""
    shape = (count, 3, SIDE, SIDE)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def tensor_of(model, module: str, place: int) -> str:
    """Return the name of an input of the first node with weights of a module."""
    constants = {each.name for each in model.graph.initializer}
    for node in model.graph.node:
        inputs = node.input[place : place + 1]
        if node_module(node) == module and inputs and inputs[0] in constants:
            return inputs[0]
    raise AssertionError(f"{module} has no such tensor")


def change_tensor(model, name: str, change) -> None:
    """Replace the values of a constant of an ONNX model by `change(values)`."""
    from onnx import numpy_helper

    stored = next(each for each in model.graph.initializer if each.name == name)
    values = numpy_helper.to_array(stored)
    changed = np.ascontiguousarray(change(values)).astype(values.dtype)
    assert not np.array_equal(changed, values)
    stored.CopyFrom(numpy_helper.from_array(changed, name))


def build_vit(num_classes: int, image_size: int = 30) -> nn.Module:
    """Return a small vision transformer with patches of 10 px."""
    from torchvision.models import VisionTransformer

    return VisionTransformer(
        image_size=image_size,
        patch_size=10,
        num_layers=1,
        num_heads=2,
        hidden_dim=16,
        mlp_dim=32,
        num_classes=num_classes,
    )
