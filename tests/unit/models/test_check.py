import pytest

from resomap.config.schema import LAYER_METHODS, Architecture
from resomap.explain.methods import METHODS
from resomap.models.check import NetworkUse, check_networks
from resomap.models.registry import load_architectures

ARCHITECTURES = load_architectures()
USE = NetworkUse(resolutions=(24, 48), images_per_pass=32, layer="auto")
LAYER = "config/explainability.yaml: explainability.layer"
SIZE = "config/sweep.yaml: sweep.resolutions"


def architecture(builder: str) -> Architecture:
    return Architecture(name="mine", family="other", builder=builder, min_resolution=1)


def problems(builder: str, **changes: object) -> list[str]:
    return check_networks([architecture(builder)], NetworkUse(**{**vars(USE), **changes}))


def test_shipped_networks_have_no_problems():
    assert check_networks(list(ARCHITECTURES.values()), NetworkUse((64, 224), 1, "auto")) == []


@pytest.mark.parametrize(
    "builder", ["googlenet", "inception_v3", "mnasnet0_5", "regnet_y_400mf"]
)
def test_other_classifiers_have_no_problems(builder):
    assert problems(builder, resolutions=(128,)) == []


@pytest.mark.parametrize(
    ("builder", "hint"),
    [
        ("resnet19", "did you mean resnet18?"),
        ("fcn_resnet50", "did you mean"),
        ("r3d_18", "known are simple_cnn"),
        ("ResNet", "did you mean resnet"),
    ],
)
def test_unknown_builder_gets_a_suggestion(builder, hint):
    (problem,) = problems(builder)
    assert problem.startswith(
        f"config/models.yaml: models.mine.builder: unknown builder '{builder}'; "
    )
    assert hint in problem


def test_refused_sizes_are_in_one_line():
    assert problems("vit_b_16", layer=None) == [
        f"{SIZE}: mine cannot take images of 24, 48 px: Wrong image height! "
        "Expected 224 but got 24!"
    ]


def test_smallest_size_that_layers_take_is_found():
    (problem,) = problems("alexnet", resolutions=(24, 96))
    assert problem.startswith(f"{SIZE}: mine cannot take images of 24 px: ")


def test_network_without_blocks_needs_no_layer_for_gradients():
    assert problems("swin_t", resolutions=(64,), layer=None) == []
    (problem,) = problems("swin_t", resolutions=(64,))
    assert problem.startswith(f"{LAYER}: mine: this network has no blocks with square maps")


@pytest.mark.parametrize("name", ["layer9", "avg", " "])
def test_unknown_layer_is_named_for_each_network(name):
    models = [ARCHITECTURES["tiny_cnn"], ARCHITECTURES["resnet18"]]
    lines = check_networks(models, NetworkUse((24,), 32, name))
    assert [line.partition("; ")[0] for line in lines] == [
        f"{LAYER}: {model.name}: unknown layer '{name}'" for model in models
    ]


def test_single_image_on_one_cell_is_refused():
    resnet18 = ARCHITECTURES["resnet18"]
    assert check_networks([resnet18], NetworkUse((24, 32, 48), 1, "auto")) == [
        "config/training.yaml: training.batch_size: resnet18 at 24, 32 px: BatchNorm cannot "
        "normalise 1 image per process where the map is 1 x 1: take 2 images or more"
    ]
    assert check_networks([resnet18], NetworkUse((24, 32, 48), 2, "auto")) == []


def test_one_problem_does_not_hide_another():
    models = [architecture("resnet19"), architecture("vit_b_16"), ARCHITECTURES["resnet18"]]
    lines = check_networks(models, NetworkUse((24, 224), 1, "layer4"))
    assert len(lines) == 4
    assert [line.partition(":")[0] for line in lines] == [
        *("config/models.yaml", "config/sweep.yaml"),
        *("config/explainability.yaml", "config/training.yaml"),
    ]


def test_layer_methods_are_those_that_read_a_layer():
    assert set(LAYER_METHODS) == {name for name in METHODS if METHODS[name].reads == "layer"}
