from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import GoogLeNet_Weights, ResNet18_Weights, googlenet, resnet18

from resomap.config.architecture import Architecture
from resomap.errors import ConfigError, ResoMapError
from resomap.models.registry import build_model, load_architectures
from resomap.training.checkpoint import save_weights
from resomap.training.initial_weights import load_initial_weights, start_problems

ARCHITECTURES = load_architectures()


def build(name: str, num_classes: int = 4, seed: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return build_model(ARCHITECTURES[name], num_classes)


def load(name: str, start: str | Path, num_classes: int = 4) -> nn.Module:
    model = build(name, num_classes)
    load_initial_weights(model, ARCHITECTURES[name], str(start))
    return model


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "best.safetensors"


def test_random_start_keeps_weights():
    loaded, random = load("tiny_cnn", "random"), build("tiny_cnn")
    assert all(map(torch.equal, loaded.parameters(), random.parameters()))


@pytest.mark.parametrize("classes", [4, 7])
def test_file_start_loads_all_but_other_head(path, classes):
    stored, random = build("tiny_cnn", seed=9).state_dict(), build("tiny_cnn", classes)
    save_weights(path, stored, {"status": "ok"})
    for name, tensor in load("tiny_cnn", path, classes).state_dict().items():
        fits = stored[name].shape == tensor.shape
        assert torch.equal(tensor, stored[name] if fits else random.state_dict()[name])


def test_pretrained_start_reads_torch_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    published = resnet18().state_dict()
    path = tmp_path / "hub" / "checkpoints" / Path(ResNet18_Weights.DEFAULT.url).name
    path.parent.mkdir(parents=True)
    torch.save(published, path)
    model = load("resnet18", "pretrained", 5)
    assert torch.equal(model.layer4[1].conv2.weight, published["layer4.1.conv2.weight"])
    assert model.fc.weight.shape == (5, 512)


def test_pretrained_start_leaves_auxiliary_heads_out(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    published = googlenet(aux_logits=True, init_weights=False).state_dict()
    path = tmp_path / "hub" / "checkpoints" / Path(GoogLeNet_Weights.DEFAULT.url).name
    path.parent.mkdir(parents=True)
    torch.save(published, path)
    entry = Architecture(name="g", family="other", builder="googlenet")
    model = build_model(entry, 5)
    load_initial_weights(model, entry, "pretrained")
    assert torch.equal(model.conv1.conv.weight, published["conv1.conv.weight"])


def test_weights_of_other_network_are_refused(path):
    save_weights(path, build("simple_cnn").state_dict(), {"status": "ok"})
    message = r"training\.start: .*best.safetensors does not fit tiny_cnn: .* differs"
    with pytest.raises(ConfigError, match=message):
        load("tiny_cnn", path)


@pytest.mark.parametrize("content", [None, b"no weights"])
def test_unreadable_start_is_named(path, content):
    if content:
        path.write_bytes(content)
    with pytest.raises(
        ResoMapError, match=r"training\.start: .*best.safetensors cannot be read"
    ):
        load("tiny_cnn", path)


def test_diverged_training_is_no_start(path):
    save_weights(path, {}, {"status": "diverged"})
    with pytest.raises(ConfigError, match=r"no weights: .* diverged"):
        load("tiny_cnn", path)


def test_custom_network_has_no_pretrained_weights():
    with pytest.raises(ConfigError, match="no weights for tiny_cnn"):
        load("tiny_cnn", "pretrained")


def test_start_is_checked_against_every_network(path):
    save_weights(path, build("tiny_cnn", num_classes=9).state_dict(), {"status": "ok"})
    networks = [ARCHITECTURES[name] for name in ("tiny_cnn", "simple_cnn", "resnet18")]
    problems = start_problems(str(path), networks)
    assert [line.split(" does not fit ")[1].split(":")[0] for line in problems] == [
        "simple_cnn",
        "resnet18",
    ]
    assert start_problems("random", networks) == []


def test_unreadable_start_is_one_problem(path):
    path.write_bytes(b"no weights")
    (problem,) = start_problems(str(path), [ARCHITECTURES["tiny_cnn"]])
    assert problem.startswith(f"config/training.yaml: training.start: {path} cannot be read")
