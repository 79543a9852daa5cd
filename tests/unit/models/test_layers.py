import pytest
import torch
from torch import Tensor, nn

from resomap.models.classifier import find_classifier
from resomap.models.layers import find_head, layer_depths
from resomap.models.registry import find_named, load_model_from_config


class HeadFirst(nn.Module):
    """A network that defines its head before its features."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)
        self.token = nn.Parameter(torch.zeros(1, 4, 1, 1))
        self.norm = nn.BatchNorm2d(3)
        self.first = nn.Conv2d(3, 4, 1)
        self.second = nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.ReLU())
        self.drop = nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Tensor:
        features = self.second(self.first(self.norm(images)) + self.token)
        return self.head(self.drop(features.mean((2, 3))))


HEAD = ("head.weight", "head.bias")


def load(name: str) -> nn.Module:
    with torch.device("meta"):
        return load_model_from_config(name, num_classes=10)


def depths_of(name: str) -> dict[str, int]:
    model = load(name)
    return layer_depths(model, 224, find_classifier(find_named(name), 10, 224))


def test_dropout_of_the_classifier_is_no_feature():
    assert find_head(HeadFirst(), 8, HEAD) == {"head", "drop"}
    assert find_head(load("vgg11"), 64, ["classifier.6.weight", "classifier.6.bias"]) == {
        "classifier.5",
        "classifier.6",
    }


def test_norms_tokens_and_matrices_have_depths_of_forward_pass():
    assert layer_depths(HeadFirst(), 8, HEAD) == {
        "token": 0,
        "norm.weight": 0,
        "norm.bias": 0,
        "first.weight": 0,
        "first.bias": 0,
        "second.0.weight": 1,
        "second.0.bias": 1,
        "second.1.weight": 1,
        "second.1.bias": 1,
        "head.weight": 2,
        "head.bias": 2,
    }


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("vgg11", 11),  # as many as its name says
        ("resnet18", 10),  # stem, 8 blocks, classifier
        ("mobilenet_v2", 20),  # stem, 17 blocks, last convolution, classifier
        ("efficientnet_b0", 19),  # stem, 16 blocks, last convolution, classifier
        ("tiny_cnn", 5),
    ],
)
def test_layers_are_blocks_or_matrices(name, layers):
    depths = depths_of(name)
    assert sorted(set(depths.values())) == list(range(layers))


def test_depths_rise_along_a_residual_network():
    depths = depths_of("resnet18")
    assert [
        depths[f"layer{stage}.{block}.conv2.weight"] for stage in (1, 4) for block in (0, 1)
    ] == [*(1, 2, 7, 8)]
    assert depths["layer2.0.downsample.0.weight"] == depths["layer2.0.conv1.weight"] == 3
