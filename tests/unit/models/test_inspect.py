import pytest
import torch
from torch import nn

from resomap.errors import ConfigError
from resomap.models import get_model_info, get_target_layer_for_gradcam, load_model_from_config
from resomap.models.inspect import candidate_layers, find_layer, top_modules

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def resnet18() -> nn.Module:
    return load_model_from_config("resnet18", num_classes=8)


@pytest.fixture
def tiny_cnn() -> nn.Module:
    return load_model_from_config("tiny_cnn", num_classes=8)


def load_on_meta(name: str) -> nn.Module:
    with torch.device("meta"):
        return load_model_from_config(name, num_classes=8)


def test_model_info_counts_parameters_and_buffers():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    model[0].weight.requires_grad = False
    floats = 12 + 4 + 4 * 4
    assert get_model_info(model) == {
        "total_params": 24,
        "trainable_params": 12,
        "params_millions": 24e-6,
        "model_size_mb": (4 * floats + 8) / 1e6,
    }


@pytest.mark.parametrize(("name", "parameters"), [("tiny_cnn", 61_208), ("simple_cnn", 98_656)])
def test_custom_networks_have_known_size(name, parameters):
    assert get_model_info(load_on_meta(name))["total_params"] == parameters


@pytest.mark.parametrize(
    ("resolution", "layer", "side"),
    [(64, "layer2", 8), (96, "layer3", 6), (128, "layer3", 8), (224, "layer4", 7)],
)
def test_auto_layer_is_deepest_wide_block(resnet18, resolution, layer, side):
    module = resnet18.get_submodule(layer)
    assert find_layer(resnet18, resolution, "auto") == (layer, module, side)
    assert get_target_layer_for_gradcam(resnet18, resolution) is module


def test_auto_layer_falls_back_to_widest_blocks(resnet18):
    assert find_layer(resnet18, 8, "auto")[::2] == ("layer1", 2)
    assert find_layer(resnet18, 1, "auto")[::2] == ("layer4", 1)


@pytest.mark.parametrize("resolution", [24, 48, 96])
def test_tiny_cnn_halves_its_map_three_times(tiny_cnn, resolution):
    expected = [(f"stages.{stage}", resolution >> stage) for stage in range(4)]
    assert candidate_layers(tiny_cnn, resolution) == expected


MAP_SIDES_224 = {
    "resnet50": {"layer1": 56, "layer2": 28, "layer3": 14, "layer4": 7},
    "vgg11": {
        "features.1": 224,
        "features.4": 112,
        "features.9": 56,
        "features.14": 28,
        "features.19": 14,
    },
    "mobilenet_v3_small": {
        f"features.{i}": side for i, side in enumerate([112, 56, 28, 28, *[14] * 5, *[7] * 4])
    },
    "efficientnet_b0": {
        f"features.{i}": side for i, side in enumerate([112, 112, 56, 28, 14, 14, 7, 7, 7])
    },
}


@pytest.mark.parametrize("name", MAP_SIDES_224)
def test_blocks_have_known_map_sides(name):
    assert candidate_layers(load_on_meta(name), 224) == list(MAP_SIDES_224[name].items())


def test_named_layer_is_found_with_its_side(tiny_cnn):
    assert find_layer(tiny_cnn, 48, "stages.1.2") == ("stages.1.2", tiny_cnn.stages[1][2], 24)


def test_unknown_layer_gets_a_suggestion(tiny_cnn):
    with pytest.raises(ConfigError, match=r"unknown layer 'stage\.1'; .*stages\.1"):
        find_layer(tiny_cnn, 48, "stage.1")


def test_layer_without_square_map_is_refused(tiny_cnn):
    with pytest.raises(ConfigError, match="not a square map"):
        find_layer(tiny_cnn, 48, "head")


TOP_MODULES = {
    "vgg11": ("features.16", "features.18", "classifier"),
    "vgg13": ("features.20", "features.22", "classifier"),
    "vgg16": ("features.24", "features.26", "features.28", "classifier"),
    **dict.fromkeys(("resnet18", "resnet34", "resnet50", "resnet101"), ("layer4", "fc")),
    **dict.fromkeys(("mobilenet_v2", "mobilenet_v2_small"), ("features.18", "classifier")),
    "mobilenet_v3_small": ("features.12", "classifier"),
    "mobilenet_v3_large": ("features.16", "classifier"),
    **dict.fromkeys(("efficientnet_b0", "efficientnet_b1"), ("features.8", "classifier")),
    "efficientnet_v2_s": ("features.7", "classifier"),
    **dict.fromkeys(("simple_cnn", "tiny_cnn"), ("stages.3", "head")),
}


@pytest.mark.parametrize("name", TOP_MODULES)
def test_top_modules_are_last_block_and_head(name):
    model = load_on_meta(name)
    assert top_modules(model) == TOP_MODULES[name]
    assert all(list(model.get_submodule(top).parameters()) for top in TOP_MODULES[name])


def test_top_of_network_without_blocks_is_its_head():
    assert top_modules(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), 8) == ("1",)


def test_top_of_network_with_one_block_has_both():
    block = nn.Sequential(nn.Conv2d(3, 4, 1))
    model = nn.Sequential(block, nn.Flatten(), nn.Linear(256, 2), nn.Softmax(dim=1))
    assert top_modules(model, 8) == ("0", "2")


def test_network_without_blocks_needs_a_named_layer():
    with pytest.raises(ConfigError, match=r"explainability\.layer"):
        find_layer(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), 8, "auto")


def test_find_layer_leaves_network_unchanged(tiny_cnn):
    tiny_cnn.train().stages[0].eval()
    before = {name: tensor.clone() for name, tensor in tiny_cnn.state_dict().items()}
    modes = [module.training for module in tiny_cnn.modules()]
    find_layer(tiny_cnn, 48, "auto")
    assert [module.training for module in tiny_cnn.modules()] == modes
    assert not any(module._forward_hooks for module in tiny_cnn.modules())
    for name, tensor in tiny_cnn.state_dict().items():
        assert torch.equal(tensor, before[name]), name
