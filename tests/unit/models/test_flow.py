"""Blocks and Grad-CAM layers of networks whose modules have other names than the shipped ones."""

import subprocess
import sys
from textwrap import dedent

import pytest
import torch
from torch import Tensor, nn

from resomap.config.architecture import Architecture
from resomap.models.blocks import find_blocks
from resomap.models.flow import trace
from resomap.models.inspect import choose_layer, find_layer, layer_layout
from resomap.models.maps import MapLayout
from resomap.models.registry import build_model, find_named
from resomap.models.shapes import build_shapes


def architecture(builder: str) -> Architecture:
    return Architecture(name=builder, family="other", builder=builder)


LAYERS = {
    "mnasnet0_5": {64: "layers.9", 96: "layers.11", 224: "layers.16"},
    "maxvit_t": {224: "blocks.3"},
    "regnet_y_400mf": {64: "trunk_output.block2", 224: "trunk_output.block4"},
    "shufflenet_v2_x0_5": {96: "stage3", 224: "conv5"},
    "squeezenet1_1": {96: "features.7", 224: "features.12"},
    "densenet121": {96: "features.denseblock3", 224: "features.denseblock4"},
    "googlenet": {96: "inception4e", 224: "inception5b"},
    "alexnet": {96: "features.4", 224: "features.11"},
}
VISION_TRANSFORMERS = {
    "torchvision/vit_b_16": (
        "encoder.layers.encoder_layer_10",
        ("encoder.layers.encoder_layer_11", "encoder.ln", "heads"),
        1,
    ),
    "timm/vit_tiny_patch16_224": ("blocks.10", ("blocks.11", "norm", "head"), 1),
    "timm/deit_tiny_distilled_patch16_224": (
        "blocks.10",
        ("blocks.11", "norm", "head", "head_dist"),
        2,
    ),
}
"""Of each the layer that Grad-CAM reads, the modules of the top, the extra tokens."""
TOP_MODULES = {
    "mnasnet0_5": ("layers.14", "layers.15", "classifier"),
    "maxvit_t": ("blocks.3", "classifier"),
    "googlenet": ("inception5b", "fc"),
    "regnet_y_400mf": ("trunk_output.block4", "fc"),
}


@pytest.mark.parametrize("builder", LAYERS)
def test_auto_layer_is_a_block_of_the_trunk(builder):
    shapes = build_shapes(architecture(builder))
    blocks = find_blocks(shapes, 224)
    chosen = {
        resolution: choose_layer(blocks, trace(shapes, resolution), "auto")[0]
        for resolution in LAYERS[builder]
    }
    assert chosen == LAYERS[builder]


@pytest.mark.parametrize("builder", TOP_MODULES)
def test_top_modules_are_those_that_a_pass_calls(builder):
    assert find_blocks(build_shapes(architecture(builder)), 224).top == TOP_MODULES[builder]


def test_channels_of_a_swin_come_last_at_any_size():
    # At 384 px its first stage returns (1, 96, 96, 96): 96 x 96 cells of 96 channels.
    shapes = build_shapes(architecture("swin_t"))
    assert find_layer(shapes, 384, "auto")[::2] == ("features.7", 12)
    assert layer_layout(shapes, 384, "features.1") == MapLayout("channels_last", 96)
    assert layer_layout(shapes, 384, "permute") == MapLayout("channels_first", 12)


@pytest.mark.parametrize("builder", VISION_TRANSFORMERS)
def test_layer_of_a_vision_transformer_comes_before_its_last(builder):
    layer, top, extra = VISION_TRANSFORMERS[builder]
    shapes = build_shapes(find_named(builder), 224)
    blocks = find_blocks(shapes, 224)
    assert choose_layer(blocks, trace(shapes, 224), "auto") == (layer, 14)
    assert layer_layout(shapes, 224, layer) == MapLayout("tokens", 14, extra)
    assert blocks.top == top


@pytest.mark.parametrize("builder", ["googlenet", "inception_v3"])
def test_auxiliary_outputs_are_left_out(builder):
    model = build_shapes(architecture(builder))
    assert model.train()(torch.empty(2, 3, 128, 128, device="meta")).shape == (2, 3)


def test_parallel_branches_are_one_block():
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide = nn.Sequential(nn.Conv2d(3, 4, 1))
            self.deep = nn.Sequential(
                nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Upsample(scale_factor=2)
            )
            self.small = nn.Sequential(nn.Conv2d(4, 4, 3, stride=2, padding=1))

        def forward(self, images: Tensor) -> Tensor:
            return self.small(self.wide(images) + self.deep(images))

    model = nn.Sequential(Branches(), build_head())
    assert find_blocks(model, 32).names == ("0",)


def build_head() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def test_trace_returns_calls_in_the_order_of_the_pass():
    model = build_model(
        Architecture(name="mine", family="custom", builder="tiny_cnn", channels=(4, 6)),
        2,
    )
    calls = trace(model, 16)
    assert [call.name for call in calls if call.name.count(".") < 2] == [
        *("stages.0", "stages.1", "stages", "pool", "head"),
        "",
    ]
    assert [call.side for call in calls if call.name in ("stages.0", "stages.1", "head")] == [
        16,
        8,
        None,
    ]


def test_trace_has_the_shapes_of_a_pass():
    model = nn.Sequential(
        *(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.Hardswish()),
        *(nn.AdaptiveAvgPool2d((None, 2)), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        *(nn.Linear(6, 4), nn.SiLU()),
    ).eval()
    expected, features = [], torch.zeros(2, 3, 11, 11)
    for layer in model:
        features = layer(features)
        expected.append(features.shape)
    calls = trace(model, 11, batch_size=2)
    assert [call.output.shape for call in calls[:-1]] == expected
    assert calls[1].output is calls[2].output


def test_trace_raises_for_a_size_that_a_linear_layer_refuses():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
    assert trace(model, 8)[-1].output.shape == (1, 4)
    with pytest.raises(ValueError, match="192"):
        trace(model, 9)


def test_tracing_a_custom_network_does_not_import_the_compiler():
    script = """
        import sys
        from resomap.models.custom import SimpleCNN
        from resomap.models.inspect import find_layer, top_modules
        model = SimpleCNN(4, channels=[8, 16])
        find_layer(model, 16, "auto")
        top_modules(model, 16)
        sys.exit("torch._dynamo" in sys.modules)
    """
    subprocess.run([sys.executable, "-c", dedent(script)], check=True, timeout=120)
