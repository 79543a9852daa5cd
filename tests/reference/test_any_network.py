"""Networks of timm and torchvision as they are: built, counted, explained and trained."""

import pytest
import torch
from torch import nn
from torchvision.models import get_model_weights

from resomap.explain.attribution import AttributionSettings, attribute
from resomap.models.blocks import find_blocks
from resomap.models.flow import trace_shapes
from resomap.models.inspect import MIN_MAP_SIDE, choose_layer, find_layer, token_layouts
from resomap.models.registry import build_model, build_on_meta, find_named
from resomap.models.shapes import ShapesBySide
from resomap.profiling.summary import count_macs
from tests.networks import (
    NAMES,
    TIMM,
    TORCHVISION,
    UNPADDED,
    one_of_each_family,
    three_sides,
)
from tests.operator_counter import OperatorCounter

torch.set_num_threads(1)


@pytest.mark.parametrize("name", NAMES)
def test_network_is_built_and_counted_at_three_sizes(name):
    shapes, blocks = ShapesBySide(find_named(name)), None
    for side in three_sides(name):
        network = shapes.at(side)
        with OperatorCounter() as counter:
            macs = count_macs(network, side)
        assert macs == pytest.approx(counter.macs, rel=0.02)
        calls = trace_shapes(network, side)
        assert calls[-1].output.shape == (1, 3)
        if blocks is None or shapes.is_bound:
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


@pytest.mark.parametrize("name", TIMM)
def test_macs_of_timm_equal_published(name):
    side, published = TIMM[name]
    network = build_on_meta(find_named(f"timm/{name}"), 1000, side)
    with torch.no_grad(), OperatorCounter() as counter:
        network.eval()(torch.empty(1, 3, side, side, device="meta"))
    macs = count_macs(network, side) + counter.normalisations
    # Half of the last digit, where two of them are fewer than 2 %.
    assert macs / 1e9 == pytest.approx(published, rel=0.02, abs=0.005)


@pytest.mark.parametrize("name", TORCHVISION)
def test_macs_of_torchvision_equal_published(name):
    weights = next(iter(get_model_weights(name)))
    side = weights.transforms.keywords["crop_size"]
    network = build_on_meta(find_named(f"torchvision/{name}"), 1000, side)
    macs = count_macs(network, side)
    assert macs / 1e9 == pytest.approx(weights.meta["_ops"], rel=0.02)


@pytest.mark.parametrize("name", one_of_each_family())
def test_training_steps_move_nearly_all_weights(name):
    torch.manual_seed(0)
    side = three_sides(name)[0]
    model = build_model(find_named(name), 3, side).train()
    images, labels = torch.randn(4, 3, side, side), torch.tensor([0, 1, 2, 0])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    # Two, because a head or a residual branch that starts at 0 passes no gradient on in the first.
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    moved = [
        not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)
    ]
    assert sum(moved) > 0.8 * len(moved)


EXPLAINED = [
    *("timm/resnet10t", "timm/convnext_atto", "timm/efficientnet_lite0", "timm/lcnet_035"),
    *("timm/vit_tiny_patch16_224", "timm/deit_tiny_distilled_patch16_224"),
    *("timm/mixer_s32_224", "timm/swin_tiny_patch4_window7_224", "timm/xcit_nano_12_p16_224"),
    *("timm/levit_128s", "timm/pvt_v2_b0", "timm/edgenext_xx_small"),
    *("timm/coatnet_pico_rw_224", "torchvision/vit_b_32", "torchvision/regnet_y_400mf"),
    "torchvision/shufflenet_v2_x0_5",
]


@pytest.mark.parametrize("name", EXPLAINED)
def test_target_layer_decides_the_logits(name):
    torch.manual_seed(0)
    model = build_model(find_named(name), 3, 64).train()
    images, labels = torch.randn(4, 3, 64, 64), torch.tensor([0, 1, 2, 0])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    # A head may start at 0, and then nothing follows from any layer.
    nn.functional.cross_entropy(model(images), labels).backward()
    optimizer.step()
    layer, module, side = find_layer(model, 64, "auto")
    view = token_layouts(model, 64, [layer]).get(layer)
    settings = AttributionSettings(module, 2, 2, 4, view)
    weights = torch.eye(3)[labels[:2]]
    for method in ("gradcam", "hirescam", "gradcam_plus_plus"):
        maps = attribute(method, model, images[:2], weights, settings)
        assert maps.shape == (2, side, side)
        assert abs(maps).max() > 0
