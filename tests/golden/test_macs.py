"""Multiply-accumulates against published tables and against a count by hand."""

import pytest
import torch
from torch import nn

from resomap.models import load_model_from_config
from resomap.models.custom import SimpleCNN
from resomap.profiling.summary import count_macs

torch.set_num_threads(1)

# Whole millions at 1000 classes. MobileNetV2: Sandler et al. 2018 and the released checkpoints;
# the others: torchvision.
PUBLISHED = {
    "mobilenet_v2": {224: 300, 192: 221, 160: 154, 128: 99, 96: 56},
    "mobilenet_v2_small": {224: 209, 192: 153, 160: 107, 128: 69, 96: 39},
    "resnet18": {224: 1814},
    "resnet50": {224: 4089},
    "vgg16": {224: 15470},
    "vgg11": {224: 7609},
    "mobilenet_v3_large": {224: 217},
    "mobilenet_v3_small": {224: 57},
    "efficientnet_b0": {224: 386},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_macs_equal_published(name):
    with torch.device("meta"):
        model = load_model_from_config(name, num_classes=1000)
    macs = {resolution: count_macs(model, resolution) / 1e6 for resolution in PUBLISHED[name]}
    assert macs == pytest.approx(PUBLISHED[name], rel=0.01, abs=0.5)


def test_macs_of_small_network_equal_hand_count():
    first, second, head = 8 * 8 * 2 * 3 * 9, 4 * 4 * 3 * 2 * 9, 3 * 5
    assert count_macs(SimpleCNN(5, channels=[2, 3]), 8) == first + second + head


def test_groups_and_strides_divide_macs():
    grouped = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), grouped)
    assert count_macs(model, 16) == 16 * 16 * 8 * 3 * 9 + 8 * 8 * 8 * 9


def test_counting_leaves_network_unchanged():
    model = SimpleCNN(5, channels=[2, 3]).train()
    before = [tensor.clone() for tensor in model.state_dict().values()]
    count_macs(model, 8)
    assert model.training
    assert all(map(torch.equal, before, model.state_dict().values()))
