import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from resomap.errors import ConfigError
from resomap.models import build_model, load_model_from_config
from resomap.models.inspect import candidate_layers
from resomap.models.registry import MODELS_FILE, load_architectures

torch.set_num_threads(1)

ARCHITECTURES = load_architectures()
FAMILIES = {
    "vgg": {"vgg11", "vgg13", "vgg16"},
    "resnet": {"resnet18", "resnet34", "resnet50", "resnet101"},
    "mobilenet": {
        "mobilenet_v2",
        "mobilenet_v2_small",
        "mobilenet_v3_small",
        "mobilenet_v3_large",
    },
    "efficientnet": {"efficientnet_b0", "efficientnet_b1", "efficientnet_v2_s"},
    "custom": {"simple_cnn", "tiny_cnn"},
}
every_network = pytest.mark.parametrize("name", ARCHITECTURES)


def build_without_numbers(name: str) -> nn.Module:
    """The network on the meta device: shapes are checked as anywhere else, in no time."""
    with torch.device("meta"):
        return build_model(ARCHITECTURES[name], num_classes=8)


def pictures_without_numbers(resolution: int) -> torch.Tensor:
    return torch.empty(2, 3, resolution, resolution, device="meta")


def test_the_shipped_registry_is_the_one_in_the_config_folder():
    assert (
        MODELS_FILE.read_bytes()
        == (Path(__file__).parents[2] / "config" / "models.yaml").read_bytes()
    )


def test_there_are_sixteen_networks_in_five_families():
    families = {
        family: {name for name, entry in ARCHITECTURES.items() if entry.family == family}
        for family in FAMILIES
    }
    assert families == FAMILIES
    assert len(ARCHITECTURES) == 16


@every_network
def test_every_network_runs_at_its_smallest_resolution_in_both_modes(name: str):
    model, pictures = (
        build_without_numbers(name),
        pictures_without_numbers(ARCHITECTURES[name].min_resolution),
    )
    assert model.train()(pictures).shape == model.eval()(pictures).shape == (2, 8)


@pytest.mark.parametrize(
    "name", [name for name, entry in ARCHITECTURES.items() if entry.min_resolution > 1]
)
def test_the_smallest_resolution_cannot_be_smaller(name: str):
    with pytest.raises(RuntimeError, match=r"too small|pool"):
        build_without_numbers(name)(
            pictures_without_numbers(ARCHITECTURES[name].min_resolution - 1)
        )


@pytest.mark.parametrize("name", ["tiny_cnn", "mobilenet_v3_small", "resnet18"])
@pytest.mark.parametrize("resolution", [8, 24, 47])
def test_real_pictures_of_any_size_give_finite_logits(name: str, resolution: int):
    model = load_model_from_config(name, num_classes=5).eval()
    logits = model(torch.randn(2, 3, resolution, resolution))
    assert logits.shape == (2, 5)
    assert logits.isfinite().all()


@every_network
def test_nothing_works_in_place_on_what_a_block_has_put_out(name: str):
    model, resolution, seen = (
        build_without_numbers(name),
        max(64, ARCHITECTURES[name].min_resolution),
        [],
    )
    for layer, _ in candidate_layers(model, resolution):
        model.get_submodule(layer).register_forward_hook(
            lambda *call: seen.append((call[2], call[2]._version))
        )
    model.eval()(pictures_without_numbers(resolution))
    assert seen
    assert all(output._version == version for output, version in seen)
    assert not any(getattr(module, "inplace", False) for module in model.modules())


@every_network
def test_no_network_leaves_batchnorm_at_a_momentum_too_slow_for_a_short_training(name: str):
    assert {
        module.momentum
        for module in build_without_numbers(name).modules()
        if isinstance(module, nn.BatchNorm2d)
    } <= {0.1}


def test_the_momentum_of_an_entry_reaches_every_batchnorm():
    model = build_model(
        ARCHITECTURES["tiny_cnn"].model_copy(update={"bn_momentum": 0.3}), num_classes=2
    )
    assert [
        module.momentum for module in model.modules() if isinstance(module, nn.BatchNorm2d)
    ] == [0.3] * 4


def test_a_narrower_network_has_fewer_parameters():
    sizes = [
        sum(map(torch.numel, build_without_numbers(name).parameters()))
        for name in ("mobilenet_v2_small", "mobilenet_v2")
    ]
    assert sizes[0] < 0.7 * sizes[1]


@pytest.mark.parametrize("name", ["tiny_cnn", "mobilenet_v3_small"])
def test_the_seed_alone_decides_the_initial_weights(name: str):
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(
            load_model_from_config(name, num_classes=3).parameters()
        )

    assert torch.equal(weights(5), weights(5))
    assert not torch.equal(weights(5), weights(6))


def test_the_predecessors_names_still_work():
    assert len(load_model_from_config("tiny_cnn_224", num_classes=3).state_dict()) == len(
        load_model_from_config("tiny_cnn", 3).state_dict()
    )


def test_a_plain_mapping_builds_a_network():
    entry = {
        "name": "mine",
        "family": "custom",
        "builder": "tiny_cnn",
        "min_resolution": 2,
        "channels": [4, 6],
    }
    assert build_model(entry, num_classes=3)(torch.zeros(2, 3, 2, 2)).shape == (2, 3)


def test_a_file_of_ones_own_is_read(tmp_path: Path):
    path = tmp_path / "models.yaml"
    path.write_text(
        "models:\n  mine: {family: custom, builder: simple_cnn, min_resolution: 1, channels: [4]}\n"
    )
    assert load_model_from_config("mine", num_classes=2, config=path).head.in_features == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("networks: {}", "expected 'models:'"),
        ("models: [resnet18]", "expected 'models:'"),
        ("models: {mine: resnet18}", "expected 'models:'"),
        ("models: {mine: {", "expected 'models:'"),
        (
            "models: {mine: {family: custom, builder: resnet18}}",
            "models.mine: min_resolution: Field required",
        ),
        (
            "models: {mine: {family: custom, builder: resnet18, min_resolution: 1, width: 2}}",
            "models.mine: width: Extra inputs",
        ),
    ],
)
def test_a_malformed_registry_is_named(tmp_path: Path, text: str, message: str):
    path = tmp_path / "models.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_architectures(path)


def test_a_missing_registry_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        load_architectures(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnt18", "did you mean resnet18?"),
        ("resnet81_224", "did you mean resnet18"),
        ("q", "known are vgg11, vgg13"),
    ],
)
def test_an_unknown_name_is_answered_with_a_known_one(name: str, message: str):
    with pytest.raises(ConfigError, match=message):
        load_model_from_config(name, num_classes=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"builder": "resnet19"}, "Unknown model resnet19"),
        ({"builder": "vgg11", "channels": None, "width_mult": 0.5}, "width_mult"),
        ({"builder": "vgg11"}, "channels"),
        ({"channels": None}, "channels"),
    ],
)
def test_a_builder_that_cannot_take_its_entry_is_named(changes: dict, message: str):
    with pytest.raises(ConfigError, match=f"models.tiny_cnn: .*{message}"):
        build_model(ARCHITECTURES["tiny_cnn"].model_copy(update=changes), num_classes=2)


def test_our_own_networks_do_not_pay_for_torchvision():
    code = "import sys, resomap.models as models; models.load_model_from_config('tiny_cnn', 2); sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
