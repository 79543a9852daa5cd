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
from resomap.models.shapes import ShapesBySide, find_min_resolution

torch.set_num_threads(1)

ROOT = Path(__file__).parents[3]
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
MIN_RESOLUTIONS = {
    **dict.fromkeys(FAMILIES["vgg"], 32),
    **dict.fromkeys(FAMILIES["custom"], 8),
}
"""The smallest sides that are not 1."""
LIMITED = sorted(MIN_RESOLUTIONS)
every_network = pytest.mark.parametrize("name", ARCHITECTURES)


def build_on_meta(name: str) -> nn.Module:
    """Return the network on the meta device, which checks shapes at no cost."""
    with torch.device("meta"):
        return build_model(ARCHITECTURES[name], num_classes=8)


def meta_images(resolution: int) -> torch.Tensor:
    return torch.empty(2, 3, resolution, resolution, device="meta")


def batch_norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def test_packaged_models_file_equals_config():
    assert MODELS_FILE.read_bytes() == (ROOT / "config" / "models.yaml").read_bytes()


def test_registry_has_sixteen_networks_in_five_families():
    names = {(entry.family, name) for name, entry in ARCHITECTURES.items()}
    shipped = {(family, name) for family in FAMILIES for name in FAMILIES[family]}
    assert len(shipped) == 16
    assert shipped <= names


@every_network
def test_min_resolution_is_found(name):
    found = find_min_resolution(ShapesBySide(ARCHITECTURES[name]))
    assert found == MIN_RESOLUTIONS.get(name, 1)
    model, images = build_on_meta(name), meta_images(found)
    assert model.train()(images).shape == model.eval()(images).shape == (2, 8)


@pytest.mark.parametrize("name", LIMITED)
def test_network_fails_below_its_min_resolution(name):
    model, images = build_on_meta(name), meta_images(MIN_RESOLUTIONS[name] - 1)
    with pytest.raises(RuntimeError, match=r"too small|pool"):
        model(images)


@pytest.mark.parametrize("name", ["tiny_cnn", "mobilenet_v3_small", "resnet18"])
@pytest.mark.parametrize("resolution", [8, 24, 47])
def test_images_of_any_size_give_finite_logits(name, resolution):
    model = load_model_from_config(name, num_classes=5).eval()
    logits = model(torch.randn(2, 3, resolution, resolution))
    assert logits.shape == (2, 5)
    assert logits.isfinite().all()


@every_network
def test_no_layer_changes_block_output_in_place(name):
    model, outputs = build_on_meta(name), list[tuple[torch.Tensor, int]]()
    resolution = 64

    def record(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        outputs.append((output, output._version))

    for layer, _ in candidate_layers(model, resolution):
        model.get_submodule(layer).register_forward_hook(record)
    model.eval()(meta_images(resolution))
    assert outputs
    assert all(output._version == version for output, version in outputs)
    assert not any(getattr(module, "inplace", False) for module in model.modules())


@every_network
def test_batch_norm_momentum_suits_short_trainings(name):
    assert {module.momentum for module in batch_norms(build_on_meta(name))} <= {0.1}


def test_bn_momentum_reaches_every_batch_norm():
    entry = ARCHITECTURES["tiny_cnn"].model_copy(update={"bn_momentum": 0.3})
    model = build_model(entry, num_classes=2)
    assert [module.momentum for module in batch_norms(model)] == [0.3] * 4


def test_narrower_network_has_fewer_parameters():
    narrow, wide = map(build_on_meta, ("mobilenet_v2_small", "mobilenet_v2"))
    count = nn.utils.parameters_to_vector
    assert count(narrow.parameters()).numel() < 0.7 * count(wide.parameters()).numel()


@pytest.mark.parametrize("name", ["tiny_cnn", "mobilenet_v3_small"])
def test_seed_alone_decides_initial_weights(name):
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        model = load_model_from_config(name, num_classes=3)
        return nn.utils.parameters_to_vector(model.parameters())

    assert torch.equal(weights(5), weights(5))
    assert not torch.equal(weights(5), weights(6))


def test_name_with_resolution_suffix_still_works():
    old, new = (load_model_from_config(name, 3) for name in ("tiny_cnn_224", "tiny_cnn"))
    assert len(old.state_dict()) == len(new.state_dict())


def test_mapping_builds_a_network():
    entry = {
        "name": "mine",
        "family": "custom",
        "builder": "tiny_cnn",
        "channels": [4, 6],
    }
    assert build_model(entry, num_classes=3)(torch.zeros(2, 3, 2, 2)).shape == (2, 3)


def test_own_models_file_is_read(tmp_path):
    path, entry = (
        tmp_path / "models.yaml",
        "builder: simple_cnn, channels: [4]",
    )
    path.write_text(f"models:\n  mine: {{family: custom, {entry}}}\n")
    assert load_model_from_config("mine", num_classes=2, config=path).head.in_features == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("networks: {}", "expected 'models:'"),
        ("models: [resnet18]", "expected 'models:'"),
        ("models: {mine: resnet18}", "expected 'models:'"),
        ("models: {mine: {", "expected 'models:'"),
        ("models: {mine: {builder: resnet18}}", "models.mine: family"),
        (
            "models: {mine: {family: custom, builder: resnet18, width: 2}}",
            "models.mine: width",
        ),
    ],
)
def test_malformed_models_file_is_named(tmp_path, text, message):
    path = tmp_path / "models.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_architectures(path)


def test_latin_1_models_file_is_named(tmp_path):
    path = tmp_path / "models.yaml"
    path.write_bytes(b"models: {caf\xe9: 1}")
    with pytest.raises(ConfigError, match=r"models\.yaml: expected 'models:'"):
        load_architectures(path)


def test_missing_models_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"missing\.yaml"):
        load_architectures(tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnt18", "did you mean resnet18?"),
        ("resnet81_224", "did you mean resnet18"),
        ("q", "known are vgg11, vgg13"),
    ],
)
def test_unknown_name_gets_a_suggestion(name, message):
    with pytest.raises(ConfigError, match=message):
        load_model_from_config(name, num_classes=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"builder": "resnet19"}, "unknown builder 'resnet19'; did you mean resnet18"),
        ({"builder": "vgg11", "channels": None, "width_mult": 0.5}, "width_mult"),
        ({"builder": "vgg11"}, "channels"),
        ({"channels": None}, "channels"),
    ],
)
def test_entry_with_wrong_settings_is_named(changes, message):
    entry = ARCHITECTURES["tiny_cnn"].model_copy(update=changes)
    with pytest.raises(ConfigError, match=f"models.tiny_cnn.*{message}"):
        build_model(entry, num_classes=2)


def test_custom_networks_do_not_import_torchvision():
    program = (
        "import sys; from resomap.models import load_model_from_config; "
        "load_model_from_config('tiny_cnn', 2); sys.exit('torchvision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
