import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import GoogLeNet_Weights, ResNet18_Weights, googlenet, resnet18

from resomap.config.architecture import Architecture, build_architecture
from resomap.config.start import Start
from resomap.errors import ConfigError, ResoMapError
from resomap.models.classifier import find_classifier
from resomap.models.registry import build_model, load_architectures
from resomap.models.weight_files import rename_tensors
from resomap.training.checkpoint import save_weights
from resomap.training.initial_weights import (
    MAX_CLASSIFIER_STD,
    StartCheck,
    StartRecord,
    check_start,
    expected_input,
    load_initial_weights,
    network_to_start,
)

ARCHITECTURES = load_architectures()


def parse(start: Any) -> Start:
    return Start.model_validate(start if isinstance(start, dict) else str(start))


def build(name: str, num_classes: int = 4, seed: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return build_model(ARCHITECTURES[name], num_classes)


def load(name: str, start: str | Path, num_classes: int = 4) -> nn.Module:
    model = build(name, num_classes)
    load_into(model, ARCHITECTURES[name], parse(start), num_classes)
    return model


def load_into(
    model: nn.Module, entry: Architecture, start: Start, num_classes: int = 4
) -> StartRecord | None:
    classifier = find_classifier(entry, num_classes, 64)
    return load_initial_weights(model, entry, start, classifier)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "best.safetensors"


def is_scaled(tensor: Tensor, original: Tensor) -> bool:
    """Return whether a tensor is the original one times a factor of at most 1."""
    factor = float((tensor.norm() / original.norm()).clamp(max=1))
    return torch.allclose(tensor, factor * original)


def test_random_start_keeps_weights():
    loaded, random = load("tiny_cnn", "random"), build("tiny_cnn")
    assert all(map(torch.equal, loaded.parameters(), random.parameters()))


@pytest.mark.parametrize("classes", [4, 7])
def test_file_start_loads_all_but_other_head(path, classes):
    stored, random = build("tiny_cnn", seed=9).state_dict(), build("tiny_cnn", classes)
    save_weights(path, stored, {"status": "ok"})
    for name, tensor in load("tiny_cnn", path, classes).state_dict().items():
        if stored[name].shape == tensor.shape:
            assert torch.equal(tensor, stored[name])
        else:
            assert is_scaled(tensor, random.state_dict()[name])


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
    load_into(model, entry, parse("pretrained"), 5)
    assert torch.equal(model.conv1.conv.weight, published["conv1.conv.weight"])


@pytest.mark.parametrize("builder", ["timm/tf_efficientnet_lite0", "efficientnet_b0", "vgg11"])
def test_new_classifier_starts_small_whatever_the_builder_draws(tmp_path, builder):
    # Some builders draw it the larger, the fewer classes there are.
    entry = Architecture(name="net", family="other", builder=builder)
    torch.manual_seed(0)
    torch.save(build_model(entry, 9).state_dict(), tmp_path / "foreign.pth")
    model = build_model(entry, 4)
    record = load_into(model, entry, parse(tmp_path / "foreign.pth"))
    weight, bias = (model.state_dict()[name] for name in record.values["new_classifier"])
    assert 0.005 < weight.std() <= MAX_CLASSIFIER_STD * (1 + 1e-5)
    assert bias.abs().max() <= 0.02


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
    problems = check_start(parse(path), networks, 64, "bilinear").problems
    assert [line.split(" does not fit ")[1].split(":")[0] for line in problems] == [
        "simple_cnn",
        "resnet18",
    ]
    assert check_start(parse("random"), networks, 64, "bilinear") == ([], [])


def test_unreadable_start_is_one_problem(path):
    path.write_bytes(b"no weights")
    (problem,) = check_start(parse(path), [ARCHITECTURES["tiny_cnn"]], 64, "bilinear").problems
    assert problem.startswith(f"config/training.yaml: training.start: {path} cannot be read")


def test_frozen_statistics_need_batch_norm(path):
    without = build_architecture("torchvision/alexnet")
    save_weights(path, build("tiny_cnn").state_dict(), {"status": "ok"})

    def check(*networks: Architecture) -> StartCheck:
        return check_start(parse(path), networks, 64, "bilinear", freeze_bn=True)

    line = (
        "config/training.yaml: training.finetune.freeze_bn: true has no effect on "
        "torchvision_alexnet, without BatchNorm"
    )
    assert f"{line}: set it to false" in check(without).problems
    assert line in check(without, ARCHITECTURES["tiny_cnn"]).warnings
    assert check(ARCHITECTURES["tiny_cnn"]) == ([], [])


FOREIGN = {"^stages": "trunk", r"^head\.": "fc."}
"""Names of tiny_cnn as a foreign network might call them."""
BACK = {"^trunk": "stages", r"^fc\.": "head."}


def save_foreign(
    path: Path, num_classes: int = 9, without: str = "nothing"
) -> dict[str, Tensor]:
    stored = build("tiny_cnn", num_classes, seed=9).state_dict()
    kept = {name: value for name, value in stored.items() if without not in name}
    torch.save({"state_dict": rename_tensors(kept, tuple(FOREIGN.items()))}, path)
    return stored


@pytest.mark.parametrize("classes", [4, 9])
def test_foreign_file_is_loaded_by_its_map(tmp_path, classes):
    path = tmp_path / "foreign.pth"
    stored = save_foreign(path)
    model = build("tiny_cnn", classes)
    random = copy.deepcopy(model).state_dict()
    start = parse({"file": str(path), "rename": BACK})
    record = load_into(model, ARCHITECTURES["tiny_cnn"], start, classes)
    for name, tensor in model.state_dict().items():
        if stored[name].shape == tensor.shape:
            assert torch.equal(tensor, stored[name])
        else:
            assert is_scaled(tensor, random[name])
    new = ["head.weight", "head.bias"] if classes == 4 else []
    assert record.values["new_classifier"] == new
    assert record.values["missing"] == record.values["unused"] == []
    assert record.lines[0].startswith(f"initial weights: {path}[state_dict]: 20 of 20")


def test_foreign_file_without_map_is_refused_with_both_names(tmp_path):
    save_foreign(tmp_path / "foreign.pth")
    start = parse(tmp_path / "foreign.pth")
    check = check_start(start, [ARCHITECTURES["tiny_cnn"]], 64, "bilinear")
    (problem,) = check.problems
    assert "does not fit tiny_cnn: it holds 0 % of the parameters of the backbone" in problem
    assert (
        "(0 of 20 tensors), and 90% are needed. The network needs stages.0.0.weight" in problem
    )
    assert "The file has trunk.0.0.weight" in problem
    assert "training.start.rename" in problem
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("stored", "wanted", "share"),
    [("resnet18", "resnet34", "52 %"), ("vgg11", "resnet18", "0 %")],
)
def test_file_of_a_part_of_the_network_is_refused(tmp_path, stored, wanted, share):
    path = tmp_path / "other.pth"
    torch.save(build(stored, 9).state_dict(), path)
    start = parse({"file": str(path), "normalisation": GREY})
    (problem,) = check_start(start, [ARCHITECTURES[wanted]], 64, "bilinear").problems
    assert f"does not fit {wanted}: it holds {share} of the parameters" in problem
    assert ("rename" in problem) is (share == "0 %")
    with pytest.raises(ConfigError, match="90% are needed"):
        load(wanted, path)


def test_wrapped_average_of_a_checkpoint_is_loaded_and_reported(tmp_path):
    path = tmp_path / "foreign.pth"
    stored = build("tiny_cnn", 9, seed=9).state_dict()
    wrapped = {f"module.model.{name}": value for name, value in stored.items()}
    torch.save({"model": {}, "model_ema": {"state_dict": wrapped}}, path)
    start, model = parse({"file": str(path), "color_order": "bgr"}), build("tiny_cnn")
    record = load_into(model, ARCHITECTURES["tiny_cnn"], start)
    name = "stages.0.0.weight"
    assert torch.equal(model.state_dict()[name], stored[name].flip(1))
    assert record.values["keys"] == ["model_ema", "state_dict"]
    assert record.values["prefix"] == "module.model."
    (line,) = record.lines
    assert f"{path}[model_ema][state_dict]: 20 of 20 tensors" in line
    assert "prefix removed: module.model.; " in line


def test_network_whose_size_is_needed_is_checked_and_loaded(tmp_path, monkeypatch):
    module = tmp_path / "sized_net.py"
    module.write_text(
        "from torch import nn\n"
        "def make(num_classes, resolution):\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, resolution), nn.Flatten(), "
        "nn.Linear(4, num_classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = build_architecture("sized_net:make")
    path = tmp_path / "foreign.pth"
    torch.save(build_model(entry, 9, 32).state_dict(), path)
    start = parse({"file": str(path), "normalisation": GREY})
    assert check_start(start, [entry], 32, "bilinear") == ([], [])
    (problem,) = check_start(start, [entry], 16, "bilinear").problems
    assert "it holds 0 % of the parameters" in problem
    record = load_into(build_model(entry, 4, 32), entry, start)
    assert record.values["new_classifier"] == ["2.weight", "2.bias"]


def test_file_that_fits_in_part_warns_and_is_recorded(tmp_path):
    path = tmp_path / "foreign.pth"
    save_foreign(path, without="stages.3.2")
    start = parse({"file": str(path), "rename": BACK, "normalisation": GREY})
    check = check_start(start, [ARCHITECTURES["tiny_cnn"]], 64, "bilinear")
    assert check.problems == []
    (warning,) = check.warnings
    assert "16 of 20 tensors of the backbone loaded" in warning
    assert "missing: stages.3.2.weight" in warning
    model = build("tiny_cnn")
    record = load_into(model, ARCHITECTURES["tiny_cnn"], start)
    assert record.values["loaded"] == 19
    assert record.values["missing"][0] == "stages.3.2.weight"


GREY = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}


def test_foreign_file_without_normalisation_warns(tmp_path):
    save_foreign(tmp_path / "foreign.pth")
    start = parse({"file": str(tmp_path / "foreign.pth"), "rename": BACK})
    (warning,) = check_start(start, [ARCHITECTURES["tiny_cnn"]], 64, "bilinear").warnings
    assert "set training.start.normalisation" in warning


def test_other_filter_of_weights_warns(tmp_path):
    save_foreign(tmp_path / "foreign.pth")
    values = {"rename": BACK, "normalisation": GREY, "interpolation": "bicubic"}
    start = parse({"file": str(tmp_path / "foreign.pth"), **values})
    (warning,) = check_start(start, [ARCHITECTURES["tiny_cnn"]], 64, "box").warnings
    assert "data.filter: box, but" in warning
    assert "resized by bicubic" in warning
    assert check_start(start, [ARCHITECTURES["tiny_cnn"]], 64, "bicubic").warnings == []


def test_input_belongs_to_the_weights(path):
    entry = ARCHITECTURES["resnet18"]
    published = expected_input(parse("pretrained"), entry)
    assert published.normalisation.mean == (0.485, 0.456, 0.406)
    assert published.interpolation == "bilinear"
    own = parse({"pretrained": "default", "normalisation": GREY, "interpolation": "lanczos"})
    assert expected_input(own, entry).normalisation.mean == (0.5, 0.5, 0.5)
    assert expected_input(own, entry).interpolation == "lanczos"
    assert expected_input(parse("random"), entry).normalisation is None
    save_weights(path, {}, {"status": "ok", "normalisation": GREY, "filter": "box"})
    assert expected_input(parse(path), entry).normalisation.std == (0.25, 0.25, 0.25)
    assert expected_input(parse(path), entry).interpolation == "box"


def test_momentum_of_published_weights_stays(path):
    entry = ARCHITECTURES["mobilenet_v3_small"]
    assert network_to_start(entry, parse("random")).bn_momentum == 0.1
    assert network_to_start(entry, parse("pretrained")).bn_momentum is None
    save_weights(path, {}, {"status": "ok"})
    assert network_to_start(entry, parse(path)).bn_momentum == 0.1


def test_bgr_file_is_converted(tmp_path):
    path = tmp_path / "foreign.pth"
    stored = save_foreign(path)
    start = parse({"file": str(path), "rename": BACK, "color_order": "bgr"})
    model = build("tiny_cnn")
    load_into(model, ARCHITECTURES["tiny_cnn"], start)
    name = "stages.0.0.weight"
    assert torch.equal(model.state_dict()[name], stored[name].flip(1))


def test_each_network_without_published_weights_is_named():
    networks = [ARCHITECTURES[name] for name in ("tiny_cnn", "simple_cnn")]
    problems = check_start(parse("pretrained"), networks, 64, "bilinear").problems
    assert [problem.rpartition(" ")[2] for problem in problems] == ["tiny_cnn", "simple_cnn"]
