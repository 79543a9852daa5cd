import math

import pytest
import torch
from torch import nn

from resomap.models.receptive_field import receptive_field
from resomap.models.registry import find_named
from resomap.models.shapes import build_shapes


# Araujo et al. 2019, "Computing receptive fields of convolutional neural networks", table 1. The
# ResNet of torchvision halves its maps in the second convolution of a block and not in the first.
@pytest.mark.parametrize(
    ("name", "layer", "pixels"),
    [
        ("vgg16", "features.30", 212),
        ("resnet50", "layer4", 427),
        ("torchvision/alexnet", "features.12", 195),
        ("tiny_cnn", "stages.3", 38),
    ],
)
def test_field_is_that_of_the_paper(name, layer, pixels):
    shapes = build_shapes(find_named(name))
    assert receptive_field(shapes, 224, layer) == pixels
    assert receptive_field(shapes, 64, layer) == pixels


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("efficientnet_b0", "features.1"),
        ("timm/vit_tiny_patch16_224", "blocks.0"),
        ("timm/mixer_s32_224", "blocks.0"),
        ("timm/resmlp_12_224", "blocks.0"),
    ],
)
def test_gates_and_attention_see_the_whole_image(name, layer):
    assert receptive_field(build_shapes(find_named(name), 64), 64, layer) == math.inf


def test_weights_over_channels_mix_no_cells():
    shapes = build_shapes(find_named("timm/convnext_atto"))
    # A stem of 4 x 4 with stride 4, then two depthwise convolutions of 7 x 7.
    assert receptive_field(shapes, 64, "stages.0") == 4 + 2 * 6 * 4


def test_dilation_and_stride_widen_the_field():
    with torch.device("meta"):
        model = nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 4, 3, dilation=2), nn.AvgPool2d(2)
        )
    assert [receptive_field(model, 32, str(layer)) for layer in range(3)] == [3, 11, 13]
