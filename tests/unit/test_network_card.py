import pytest
from typer.testing import CliRunner

from resomap.cli import app
from resomap.config.architecture import build_architecture
from resomap.models.published import published_weights
from resomap.network_card import card_lines


def card(name: str, *resolutions: int) -> list[str]:
    return list(card_lines(build_architecture(name), resolutions))


def test_card_of_a_network_has_a_row_for_each_resolution():
    assert card("torchvision/resnet18", 224, 16) == [
        "torchvision_resnet18 (torchvision/resnet18), family resnet",
        "smallest resolution: 1 px",
        "weights: IMAGENET1K_V1: 224 px, bilinear, mean 0.485 0.456 0.406, std 0.229 0.224 0.225",
        "resolution  parameters  MACs (millions)   layer   grid  receptive field",
        "16 px       11,689,512             16.1  layer1  4 x 4            43 px",
        "224 px      11,689,512          1,814.1  layer4  7 x 7           435 px",
        "16 px: the map is 1 x 1 from layer3 on",
    ]


def test_card_of_a_transformer_names_the_sizes_that_it_refuses():
    lines = card("timm/vit_tiny_patch16_224", 64, 100)
    assert "smallest resolution: 16 px" in lines
    (row,) = [line for line in lines if line.startswith("64 px")]
    assert row.split()[-6:] == ["blocks.10", "4", "x", "4", "whole", "image"]
    assert lines[-1] == (
        "timm_vit_tiny_patch16_224 takes multiples of its patch of 16 px, and 100 is none: use 96 "
        "or 112, or models.timm_vit_tiny_patch16_224.off_grid: pad"
    )


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
        (["own_missing:make"], "there is no module own_missing"),
    ],
)
def test_command_refuses_what_it_cannot_find(words, message):
    result = CliRunner().invoke(app, ["models", *words])
    assert result.exit_code == 1
    assert message in result.output
