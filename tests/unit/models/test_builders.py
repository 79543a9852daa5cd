import sys

import pytest
import torch
from torch import nn

from resomap.config.architecture import Architecture, build_architecture
from resomap.errors import ConfigError
from resomap.models import builders
from resomap.models.check import NetworkUse, check_networks
from resomap.models.registry import build_model, find_named, find_patch_size, resize_network
from resomap.models.shapes import ShapesBySide, find_min_resolution

torch.set_num_threads(1)
NETS = """
from torch import nn


def make(num_classes):
    trunk = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU())
    return nn.Sequential(trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, num_classes))


def sized(num_classes, resolution):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * resolution**2, num_classes))


def no_classes():
    return make(3)


def raising(num_classes):
    raise RuntimeError("no weights here")


def small_only(num_classes, resolution):
    if resolution > 32:
        raise OSError("too large")
    return sized(num_classes, resolution)


def needing(num_classes, width):
    return make(num_classes)


def exiting(num_classes):
    raise SystemExit(3)


def other_count(num_classes):
    return make(num_classes + 1)


def text(num_classes):
    return "a network"
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """Write the user's modules into the working directory, and forget them afterwards."""
    (tmp_path / "own_nets.py").write_text(NETS, encoding="utf-8")
    (tmp_path / "own_broken.py").write_text("import no_such_package\n", encoding="utf-8")
    (tmp_path / "own_raising.py").write_text("raise OSError('no disk')\n", encoding="utf-8")
    (tmp_path / "own_exiting.py").write_text("raise SystemExit(2)\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("own_nets", "own_broken", "own_raising", "own_exiting"):
        sys.modules.pop(name, None)


def problems(builder: str, *resolutions: int, **entry: object) -> list[str]:
    model = build_architecture(builder).model_copy(update=entry)
    return check_networks([model], NetworkUse(resolutions or (24,), 8, None))


def test_function_in_the_working_directory_builds_a_network(nets):
    assert problems("own_nets:make") == []
    model = build_model(find_named("own_nets:make"), 5)
    assert model(torch.zeros(2, 3, 24, 24)).shape == (2, 5)


def test_function_that_takes_the_resolution_is_given_it(nets):
    entry = find_named("own_nets:sized")
    assert build_model(entry, 5, 24)(torch.zeros(2, 3, 24, 24)).shape == (2, 5)
    (problem,) = problems("own_nets:sized", 24, 48)
    assert "every run is evaluated at every resolution, and 1.weight takes one only" in problem


def test_function_that_refuses_a_size_gives_its_reason(nets):
    (problem,) = problems("own_nets:small_only", 24, 48)
    name = build_architecture("own_nets:small_only").name
    assert problem == (
        f"config/sweep.yaml: sweep.resolutions: {name} cannot be built for 48 px: OSError: too "
        "large"
    )


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        ("own_nets:mke", "own_nets has no function mke; did you mean make?"),
        ("own_nests:make", "there is no module own_nests: it must be importable from"),
        ("own_broken:make", "there is no module no_such_package: it must be importable from"),
        ("own_raising:make", "own_raising cannot be imported: OSError: no disk"),
        (
            "own_nets:no_classes",
            "called as no_classes(num_classes=N): no_classes() got an unexpected keyword",
        ),
        ("own_nets:needing", "called as needing(num_classes=N): needing() missing 1 required"),
        ("own_nets:exiting", "it cannot be built: SystemExit: 3"),
        ("own_exiting:make", "own_exiting cannot be imported: SystemExit: 2"),
        (
            "own_nets:other_count",
            "expected logits (2, 3) for 2 images of 3 classes, found shape (2, 4)",
        ),
        ("own_nets:raising", "it cannot be built: RuntimeError: no weights here"),
        ("own_nets:text", "it returns str, not a torch.nn.Module"),
        ("timm/convnext_ato", "unknown builder 'convnext_ato'; did you mean convnext_atto?"),
        ("torchvision/resnet19", "unknown builder 'resnet19'; did you mean resnet18?"),
        ("timm/resnet50.a1_in2k", "resnet50 has no weights 'a1_in2k'; did you mean a1_in1k?"),
        ("timm/resnet50.", "resnet50 has no weights ''; known are "),
        ("timm/test_vit.nope", "test_vit has no weights 'nope'; "),
        (
            "torchvision/fasterrcnn_resnet50_fpn",
            "fasterrcnn_resnet50_fpn is no classifier of images",
        ),
        ("torchvision/raft_small", "raft_small is no classifier of images"),
        ("torchvision/tiny_cnn", "unknown builder 'tiny_cnn'; "),
    ],
)
def test_wrong_builder_is_one_line_that_names_it(nets, builder, message):
    (problem,) = problems(builder)
    assert problem.startswith(f"config/sweep.yaml: sweep.models: {builder}: {message}")
    assert "\n" not in problem


def test_missing_timm_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(builders, "find_spec", lambda _: None)
    assert problems("timm/convnext_atto") == [
        "config/sweep.yaml: sweep.models: timm/convnext_atto: timm is not installed: install it "
        "with `pip install 'resomap[timm]'`"
    ]


def test_patch_size_is_that_of_the_network_or_of_its_entry():
    assert find_patch_size(find_named("torchvision/vit_b_32")) == 32
    assert find_patch_size(find_named("timm/vit_tiny_patch16_224")) == 16
    assert find_patch_size(find_named("resnet18")) is None
    for builder in ("vit_b_32", "timm/vit_tiny_patch16_224"):
        entry = Architecture(name="v", family="vit", builder=builder, patch_size=8)
        assert find_patch_size(entry) == 8
        assert ShapesBySide(entry).at(24)(torch.empty(1, 3, 24, 24, device="meta")).shape
        assert find_min_resolution(ShapesBySide(entry)) == 8


def test_side_off_the_grid_names_what_would_be_right():
    named = Architecture(name="vit", family="vit", builder="timm/vit_tiny_patch16_224")
    for entry, choice in (
        (named, "models.vit.off_grid: pad"),
        (
            build_architecture(named.builder),
            "an entry in models with builder: timm/vit_tiny_patch16_224 and off_grid: pad",
        ),
    ):
        (problem,) = check_networks([entry], NetworkUse((40, 64), 8, None))
        assert problem == (
            f"config/sweep.yaml: sweep.resolutions: {entry.name} takes multiples of its patch of "
            f"16 px, and 40 is none: use 32 or 48, or {choice}"
        )


def test_images_off_the_grid_are_padded_by_choice():
    refused = build_architecture("timm/vit_tiny_patch16_224")
    padded = refused.model_copy(update={"off_grid": "pad"})
    with pytest.raises(
        ConfigError, match="takes multiples of its patch of 16 px, and 40 is none"
    ):
        build_model(refused, 3, 40)
    torch.manual_seed(0)
    model = build_model(padded, 3, 40).eval()
    torch.manual_seed(0)
    whole = build_model(refused, 3, 48).eval()
    images = torch.randn(2, 3, 40, 40)
    assert torch.equal(model(images), whole(nn.functional.pad(images, (0, 8, 0, 8))))
    assert resize_network(model, padded, 3, 30)(images[..., :30, :30]).shape == (2, 3)


def test_smallest_resolution_of_a_transformer_is_a_patch():
    assert find_min_resolution(ShapesBySide(find_named("torchvision/vit_b_32"))) == 32
