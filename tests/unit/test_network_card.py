import pytest
from typer.testing import CliRunner

from resomap.cli import app
from resomap.config.architecture import build_architecture
from resomap.config.library_names import find_model, registered_names
from resomap.errors import ConfigError
from resomap.models.published import published_weights
from resomap.network_card import card_lines


def card(name: str, *resolutions: int) -> list[str]:
    return list(card_lines(build_architecture(name), resolutions))


def test_card_of_a_network_has_a_row_for_each_resolution():
    assert card("torchvision/resnet18", 224, 16, 8) == [
        "torchvision_resnet18 (torchvision/resnet18), family resnet",
        "smallest resolution: 1 px",
        "",
        "published weights  resolution    filter               mean                std",
        "IMAGENET1K_V1          224 px  bilinear  0.485 0.456 0.406  0.229 0.224 0.225",
        "",
        "resolution  parameters  MACs (millions)  Grad-CAM layer   grid    sees",
        "8 px        11,689,512             12.3          layer1  2 x 2   43 px",
        "16 px       11,689,512             16.1          layer1  4 x 4   43 px",
        "224 px      11,689,512          1,814.1          layer4  7 x 7  435 px",
        "Parameters and MACs of 1000 classes; `sees`: the receptive field of a cell.",
        "8 px: the map is 1 x 1 from layer2 on",
        "16 px: the map is 1 x 1 from layer3 on",
    ]


def test_card_of_a_transformer_names_the_sizes_that_it_refuses():
    lines = card("timm/vit_tiny_patch16_224", 64, 100)
    assert "smallest resolution: 16 px" in lines
    (row,) = [line for line in lines if line.startswith("64 px")]
    assert row.split()[-6:] == ["blocks.10", "4", "x", "4", "whole", "image"]
    text = " ".join(line.strip() for line in lines)
    assert text.endswith(
        "100 px: timm_vit_tiny_patch16_224 takes multiples of its patch of 16 px, and 100 is none: "
        "use 96 or 112, or an entry in models with builder: timm/vit_tiny_patch16_224 and "
        "off_grid: pad"
    )


@pytest.mark.parametrize("name", ["timm/vit_base_patch16_224", "torchvision/vit_l_16"])
def test_card_fits_into_96_columns(name):
    assert max(map(len, card(name, 50, 64))) <= 96


NETS = """
from torch import nn

def make(num_classes, resolution):
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))

def features(num_classes):
    return nn.Conv2d(3, 8, 3)
"""


def test_cards_of_own_networks(tmp_path, monkeypatch):
    (tmp_path / "card_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    lines = card("card_nets:make", 64, 4)
    assert lines[1:4] == ["smallest resolution: 13 px", "", "published weights: none"]
    assert any(line.startswith("64 px") for line in lines)
    assert any(line.startswith("4 px: it cannot take them: ") for line in lines)
    message = r"card_nets:features: expected logits \(1, 3\) for 1 image of 3 classes, found"
    with pytest.raises(ConfigError, match=message):
        card("card_nets:features", 64, 128)


@pytest.mark.parametrize(
    ("name", "tag", "side", "mean"),
    [
        ("timm/efficientnet_lite0", "ra_in1k", 224, (0.485, 0.456, 0.406)),
        ("timm/vit_tiny_patch16_224", "augreg_in21k_ft_in1k", 224, (0.5, 0.5, 0.5)),
        ("torchvision/resnet50", "IMAGENET1K_V2", 224, (0.485, 0.456, 0.406)),
    ],
)
def test_default_weights_come_first_with_their_normalisation(name, tag, side, mean):
    first = published_weights(build_architecture(name))[0]
    expected = first.input
    assert (first.tag, expected.resolution, expected.normalisation.mean) == (tag, side, mean)


def test_own_networks_have_no_published_weights():
    assert published_weights(build_architecture("nets:make")) == []


def test_command_lists_by_pattern_and_describes_by_name():
    listed = CliRunner().invoke(app, ["models", "regnet_y_8*"])
    assert listed.exit_code == 0
    assert listed.stdout == "torchvision/regnet_y_800mf\ntorchvision/regnet_y_8gf\n"
    described = CliRunner().invoke(app, ["models", "tiny_cnn", "--resolutions", "24", "48"])
    assert described.exit_code == 0
    rows = [line.split()[0] for line in described.stdout.splitlines() if " px  " in line]
    assert rows == ["24", "48"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["resnet81"], "error: no model matches 'resnet81'; did you mean resnet18?"),
        (["resnet18", "vgg11"], "error: give one name or pattern, not resnet18 vgg11"),
        (["resnet18", "--resolutions", "0"], "error: --resolutions: 0 is no side in pixels"),
        (
            ["regnet_y_8*", "--resolutions", "64"],
            "error: --resolutions: describes one model, and 2 match: name one, as "
            "torchvision/regnet_y_800mf, torchvision/regnet_y_8gf",
        ),
        (["own_missing:make"], "there is no module own_missing"),
    ],
)
def test_command_refuses_what_it_cannot_find(words, message):
    result = CliRunner().invoke(app, ["models", *words])
    assert result.exit_code == 1
    assert message in result.output


def test_part_of_a_name_that_only_one_model_has_describes_it_at_given_sides():
    described = CliRunner().invoke(app, ["models", "vit_b_16", "--resolutions", "64"])
    assert described.exit_code == 0
    assert described.stdout.startswith("torchvision_vit_b_16 (torchvision/vit_b_16), family")


def test_tag_of_weights_names_a_model():
    found = find_model("timm/vit_tiny_patch16_224.augreg_in21k", [])
    assert found == build_architecture("timm/vit_tiny_patch16_224.augreg_in21k")
    assert find_model("timm/vit_tiny_patch16_225.augreg_in21k", []) is None


def test_list_without_timm_says_how_to_install_it(monkeypatch):
    names = registered_names("torchvision")
    monkeypatch.setattr(
        "resomap.config.library_names.registered_names",
        lambda library: names if library != "timm" else (),
    )
    listed = CliRunner().invoke(app, ["models", "maxvit"])
    assert (listed.exit_code, listed.stdout) == (0, "torchvision/maxvit_t\n")
    assert "timm is not installed: install it with" in listed.stderr
    refused = CliRunner().invoke(app, ["models", "timm/convnext*"])
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: timm is not installed: install it with")
