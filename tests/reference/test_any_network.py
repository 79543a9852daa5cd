"""Networks of timm and torchvision as they are: built, counted, explained and trained for a step."""

import pytest
import torch
from torch import nn

from resomap.explain.attribution import AttributionSettings, attribute
from resomap.models.blocks import find_blocks
from resomap.models.flow import trace_shapes
from resomap.models.inspect import MIN_MAP_SIDE, choose_layer, find_layer, token_layouts
from resomap.models.registry import build_model, find_named
from resomap.models.shapes import ShapesBySide
from resomap.profiling.summary import count_macs
from tests.operator_counter import OperatorCounter

torch.set_num_threads(1)

SIDES = (64, 96, 224)
OTHER_SIDES = {
    "timm/vit_small_patch14_reg4_dinov2": (70, 98, 224),
    "timm/eva02_tiny_patch14_224": (70, 98, 224),
    "timm/swinv2_tiny_window8_256": (64, 128, 256),
    "timm/coatnet_pico_rw_224": (64, 96, 224),
    "timm/mobilevitv2_050": (64, 128, 256),
    "torchvision/inception_v3": (96, 128, 299),
    "torchvision/maxvit_t": (224, 448, 672),
}
TIMM = [
    "resnet10t",
    "resnetv2_18",
    "resnext26ts",
    "convnext_atto",
    "convnextv2_atto",
    "efficientnet_lite0",
    "efficientnet_b0",
    "tf_efficientnetv2_b0",
    "mobilenetv2_050",
    "mobilenetv3_small_050",
    "mobilenetv4_conv_small_035",
    "mixnet_s",
    "ghostnet_050",
    "regnety_002",
    "dla34",
    "vgg11",
    "hgnetv2_b0",
    "repvgg_a0",
    "rexnet_100",
    "starnet_s1",
    "lcnet_035",
    "fasternet_t0",
    "inception_next_atto",
    "mambaout_femto",
    "vit_tiny_patch16_224",
    "deit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "vit_small_patch14_reg4_dinov2",
    "eva02_tiny_patch14_224",
    "pit_ti_224",
    "xcit_nano_12_p16_224",
    "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256",
    "mixer_s32_224",
    "pvt_v2_b0",
    "levit_128s",
    "edgenext_xx_small",
    "poolformer_s12",
    "efficientvit_b0",
    "mobilevitv2_050",
    "coatnet_pico_rw_224",
    "fastvit_t8",
]
TORCHVISION = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "mnasnet0_5",
    "mnasnet1_0",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "regnet_x_400mf",
    "regnet_y_400mf",
    "regnet_x_800mf",
    "regnet_y_800mf",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnext50_32x4d",
    "wide_resnet50_2",
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0",
    "squeezenet1_0",
    "squeezenet1_1",
    "swin_t",
    "vgg11",
    "vgg11_bn",
    "vit_b_16",
    "vit_b_32",
    "maxvit_t",
]
NAMES = [f"timm/{name}" for name in TIMM] + [f"torchvision/{name}" for name in TORCHVISION]
UNPADDED = {"torchvision/alexnet", "torchvision/inception_v3"}
"""Networks whose convolutions lose cells at the border."""


@pytest.mark.parametrize("name", NAMES)
def test_network_is_built_and_counted_at_three_sizes(name):
    shapes = ShapesBySide(find_named(name))
    for side in OTHER_SIDES.get(name, SIDES):
        network = shapes.at(side)
        with OperatorCounter() as counter:
            macs = count_macs(network, side)
        assert macs == pytest.approx(counter.macs, rel=0.02)
        calls = trace_shapes(network, side)
        assert calls[-1].output.shape == (1, 3)
        blocks = find_blocks(network, side)
        layer, grid = choose_layer(blocks, calls, "auto")
        sides = {call.name: call.side for call in calls}
        assert grid >= MIN_MAP_SIDE or grid == max(sides[block] for block in blocks.names)
        (output,) = [call.output for call in calls if call.name == layer]
        if output.ndim == 4:
            assert output.shape[2] == grid
            assert grid in (output.shape[1], output.shape[3])
        else:
            assert 0 <= output.shape[1] - grid**2 <= 5
        if name not in UNPADDED:
            # Pixels per cell of a map, along one side.
            assert {-(-side // each) for each in (2, 4, 8, 14, 16, 32)} & {grid, grid + 1}


ONE_OF_EACH_FAMILY = [
    *("timm/resnet10t", "timm/convnext_atto", "timm/efficientnet_lite0", "timm/lcnet_035"),
    *(
        "timm/vit_tiny_patch16_224",
        "timm/deit_tiny_distilled_patch16_224",
        "timm/mixer_s32_224",
    ),
    *("timm/swin_tiny_patch4_window7_224", "timm/xcit_nano_12_p16_224", "timm/levit_128s"),
    *("timm/pvt_v2_b0", "timm/edgenext_xx_small", "timm/coatnet_pico_rw_224"),
    *("torchvision/vit_b_32", "torchvision/regnet_y_400mf", "torchvision/shufflenet_v2_x0_5"),
]


@pytest.mark.parametrize("name", ONE_OF_EACH_FAMILY)
def test_network_trains_and_its_layer_decides(name):
    torch.manual_seed(0)
    model = build_model(find_named(name), 3, 64)
    images, labels = torch.randn(4, 3, 64, 64), torch.tensor([0, 1, 2, 0])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    nn.functional.cross_entropy(model.train()(images), labels).backward()
    optimizer.step()
    reached = [parameter.grad is not None for parameter in model.parameters()]
    assert sum(reached) > 0.95 * len(reached)
    # Not all: some networks start with residual branches that add 0.
    moved = [
        not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)
    ]
    assert sum(moved) > 0.3 * len(moved)
    layer, module, side = find_layer(model, 64, "auto")
    view = token_layouts(model, 64, [layer]).get(layer)
    settings = AttributionSettings(module, 2, 2, 4, view)
    weights = torch.eye(3)[labels[:2]]
    for method in ("gradcam", "hirescam", "gradcam_plus_plus"):
        maps = attribute(method, model, images[:2], weights, settings)
        assert maps.shape == (2, side, side)
        assert abs(maps).max() > 0
