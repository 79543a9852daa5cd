"""The layer that Grad-CAM reads in each shipped network, as it was before the layer rule followed
the tensors of a forward pass."""

from itertools import pairwise

import pytest
import torch

from resomap.models.blocks import find_blocks
from resomap.models.flow import trace
from resomap.models.inspect import choose_layer
from resomap.models.registry import build_model, load_architectures

RESOLUTIONS = (
    8,
    9,
    11,
    12,
    16,
    20,
    21,
    24,
    32,
    33,
    40,
    41,
    47,
    48,
    64,
    80,
    81,
    95,
    96,
    97,
    128,
)
RESOLUTIONS = (*RESOLUTIONS, 160, 161, 191, 192, 224, 256, 320, 384, 512)
ARCHITECTURES = load_architectures()
RESNET = {8: "layer1", 41: "layer2", 81: "layer3", 161: "layer4"}
MOBILENET_V2 = {
    8: "features.1",
    21: "features.3",
    41: "features.6",
    81: "features.13",
    161: "features.18",
}
EFFICIENTNET = {
    8: "features.1",
    21: "features.2",
    41: "features.3",
    81: "features.5",
    161: "features.8",
}
CUSTOM = {8: "stages.0", 12: "stages.1", 24: "stages.2", 48: "stages.3"}
LAYERS = {
    "vgg11": {32: "features.9", 48: "features.14", 96: "features.19"},
    "vgg13": {32: "features.13", 48: "features.18", 96: "features.23"},
    "vgg16": {32: "features.15", 48: "features.22", 96: "features.29"},
    **dict.fromkeys(("resnet18", "resnet34", "resnet50", "resnet101"), RESNET),
    **dict.fromkeys(("mobilenet_v2", "mobilenet_v2_small"), MOBILENET_V2),
    "mobilenet_v3_small": {
        8: "features.0",
        21: "features.1",
        41: "features.3",
        81: "features.8",
        161: "features.12",
    },
    "mobilenet_v3_large": {**MOBILENET_V2, 81: "features.12", 161: "features.16"},
    **dict.fromkeys(("efficientnet_b0", "efficientnet_b1"), EFFICIENTNET),
    "efficientnet_v2_s": {**EFFICIENTNET, 161: "features.7"},
    **dict.fromkeys(("simple_cnn", "tiny_cnn"), CUSTOM),
}
"""From each resolution on, until the next one, the layer that `auto` chooses."""


def expected_layers(name: str) -> dict[int, str]:
    steps = [*LAYERS[name].items(), (10**9, "")]
    return {
        resolution: layer
        for (first, layer), (end, _) in pairwise(steps)
        for resolution in RESOLUTIONS
        if first <= resolution < end
    }


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_auto_layer_is_unchanged_at_every_resolution(name):
    with torch.device("meta"):
        model = build_model(ARCHITECTURES[name], num_classes=8)
    expected = expected_layers(name)
    blocks, chosen = find_blocks(model, max(expected)), {}
    for resolution in expected:
        chosen[resolution] = choose_layer(blocks, trace(model, resolution), "auto")[0]
    assert chosen == expected
