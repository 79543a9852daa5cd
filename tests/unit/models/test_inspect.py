import pytest
import torch
from torch import nn

from resomap.errors import ConfigError
from resomap.models import get_model_info, get_target_layer_for_gradcam, load_model_from_config
from resomap.models.inspect import candidate_layers, find_layer, top_modules
from resomap.models.registry import load_architectures

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def resnet18() -> nn.Module:
    return load_model_from_config("resnet18", num_classes=8)


@pytest.fixture
def tiny_cnn() -> nn.Module:
    return load_model_from_config("tiny_cnn", num_classes=8)


def test_the_size_counts_every_parameter_and_buffer():
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
def test_our_own_networks_are_small(name: str, parameters: int):
    assert (
        get_model_info(load_model_from_config(name, num_classes=8))["total_params"]
        == parameters
    )


@pytest.mark.parametrize(
    ("resolution", "layer", "grid"),
    [(64, "layer2", 8), (96, "layer3", 6), (128, "layer3", 8), (224, "layer4", 7)],
)
def test_grad_cam_reads_the_deepest_block_that_is_wide_enough(
    resnet18: nn.Module, resolution: int, layer: str, grid: int
):
    assert find_layer(resnet18, resolution, "auto") == (
        layer,
        resnet18.get_submodule(layer),
        grid,
    )
    assert get_target_layer_for_gradcam(resnet18, resolution) is resnet18.get_submodule(layer)


def test_where_no_block_is_wide_enough_the_deepest_of_the_widest_is_read(resnet18: nn.Module):
    assert find_layer(resnet18, 8, "auto")[::2] == ("layer1", 2)
    assert find_layer(resnet18, 1, "auto")[::2] == ("layer4", 1)


@pytest.mark.parametrize("resolution", [24, 48, 96])
def test_the_stages_of_tiny_cnn_halve_the_map_three_times(tiny_cnn: nn.Module, resolution: int):
    assert candidate_layers(tiny_cnn, resolution) == [
        (f"stages.{stage}", resolution >> stage) for stage in range(4)
    ]


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("resnet50", [("layer1", 56), ("layer2", 28), ("layer3", 14), ("layer4", 7)]),
        (
            "vgg11",
            [
                ("features.1", 224),
                ("features.4", 112),
                ("features.9", 56),
                ("features.14", 28),
                ("features.19", 14),
            ],
        ),
        (
            "mobilenet_v3_small",
            [
                (f"features.{i}", side)
                for i, side in enumerate([112, 56, 28, 28, *[14] * 5, *[7] * 4])
            ],
        ),
        (
            "efficientnet_b0",
            [
                (f"features.{i}", side)
                for i, side in enumerate([112, 112, 56, 28, 14, 14, 7, 7, 7])
            ],
        ),
    ],
)
def test_blocks_of_known_networks_have_their_known_maps(name: str, layers: list):
    with torch.device("meta"):
        model = load_model_from_config(name, num_classes=8)
    assert candidate_layers(model, 224) == layers


def test_a_named_layer_is_found_with_its_grid(tiny_cnn: nn.Module):
    assert find_layer(tiny_cnn, 48, "stages.1.2") == ("stages.1.2", tiny_cnn.stages[1][2], 24)


def test_an_unknown_layer_is_answered_with_near_names(tiny_cnn: nn.Module):
    with pytest.raises(ConfigError, match=r"unknown layer 'stage\.1'; did you mean stages\.1"):
        find_layer(tiny_cnn, 48, "stage.1")


def test_a_layer_without_a_map_is_refused(tiny_cnn: nn.Module):
    with pytest.raises(ConfigError, match="not a square map"):
        find_layer(tiny_cnn, 48, "head")


TOPS = {
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


@pytest.mark.parametrize("name", load_architectures())
def test_the_top_of_a_network_is_its_last_block_and_its_head(name: str):
    with torch.device("meta"):
        model = load_model_from_config(name, num_classes=8)
    assert top_modules(model) == TOPS[name]
    assert all(list(model.get_submodule(top).parameters()) for top in TOPS[name])


@pytest.mark.parametrize(
    ("layers", "top"),
    [
        ([nn.Flatten(), nn.Linear(192, 2)], ("1",)),
        (
            [
                nn.Sequential(nn.Conv2d(3, 4, 1)),
                nn.Flatten(),
                nn.Linear(256, 2),
                nn.Softmax(dim=1),
            ],
            ("0", "2"),
        ),
    ],
)
def test_of_a_network_with_no_more_than_one_block_the_top_is_that_and_the_head(
    layers: list, top: tuple
):
    assert top_modules(nn.Sequential(*layers)) == top


def test_a_network_without_blocks_asks_for_a_layer():
    with pytest.raises(ConfigError, match=r"explainability\.layer"):
        find_layer(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), 8, "auto")


def test_looking_at_a_network_leaves_it_as_it_was(tiny_cnn: nn.Module):
    tiny_cnn.train().stages[0].eval()
    before = {name: tensor.clone() for name, tensor in tiny_cnn.state_dict().items()}
    modes = [module.training for module in tiny_cnn.modules()]
    find_layer(tiny_cnn, 48, "auto")
    assert [module.training for module in tiny_cnn.modules()] == modes
    assert all(
        torch.equal(tensor, before[name]) for name, tensor in tiny_cnn.state_dict().items()
    )
    assert not any(module._forward_hooks for module in tiny_cnn.modules())
