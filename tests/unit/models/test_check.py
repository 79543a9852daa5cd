import pytest
from torch import nn

from resomap.config.architecture import Architecture
from resomap.config.schema import LAYER_METHODS
from resomap.explain.methods import METHODS
from resomap.models.check import NetworkUse, check_networks, inspect_networks
from resomap.models.custom import CUSTOM_BUILDERS
from resomap.models.registry import find_named, load_architectures

ARCHITECTURES = load_architectures()
USE = NetworkUse(resolutions=(24, 48), images_per_pass=32, layer="auto")
METHODS_KEY = "config/explainability.yaml: explainability.methods"
LAYER = "config/explainability.yaml: explainability.layer"
SIZE = "config/sweep.yaml: sweep.resolutions"


def architecture(builder: str) -> Architecture:
    return Architecture(name="mine", family="other", builder=builder)


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
        ("ResNet", "did you mean resnet"),
    ],
)
def test_unknown_builder_gets_a_suggestion(builder, hint):
    (problem,) = problems(builder)
    assert problem.startswith(
        f"config/models.yaml: models.mine.builder: unknown builder '{builder}'; "
    )
    assert hint in problem


@pytest.mark.parametrize("builder", ["fcn_resnet50", "r3d_18"])
def test_builder_of_another_task_is_refused(builder):
    (problem,) = problems(builder)
    assert problem.startswith(
        f"config/models.yaml: models.mine.builder: {builder} is no classifier of images: "
    )


def test_refused_sizes_are_in_one_line():
    assert problems("alexnet", resolutions=(24, 48, 96)) == [
        f"{SIZE}: mine needs images of at least 63 px, not 24, 48"
    ]


def test_resolution_off_the_grid_of_patches_is_refused():
    assert problems("vit_b_16", resolutions=(24, 48)) == [
        f"{SIZE}: mine takes multiples of its patch of 16 px, and 24 is none: use 16 or 32, or "
        "models.mine.off_grid: pad"
    ]


def test_size_that_a_builder_refuses_gives_its_reason():
    (problem,) = problems("maxvit_t", resolutions=(64, 224))
    assert problem.startswith(f"{SIZE}: mine cannot be built for 64 px: Input size (16, 16)")


def test_network_without_blocks_needs_no_layer_for_gradients(monkeypatch):
    flat = lambda num_classes: nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))  # noqa: E731
    monkeypatch.setitem(CUSTOM_BUILDERS, "flat", flat)
    assert problems("flat", resolutions=(24,), layer=None) == []
    (problem,) = problems("flat", resolutions=(24,))
    assert problem.startswith(f"{LAYER}: mine: this network has no blocks with square maps")


def test_network_of_one_size_cannot_be_evaluated_at_another():
    mixer = find_named("timm/mixer_s32_224")
    (problem,) = check_networks([mixer], NetworkUse((64, 96), 32, "auto"))
    assert problem.startswith(f"{SIZE}: timm_mixer_s32_224: every run is evaluated at every")
    assert check_networks([mixer], NetworkUse((96,), 32, "auto")) == []


@pytest.mark.parametrize(
    ("builder", "reason"),
    [
        ("resnet18", None),
        ("mobilenet_v2", "it is defined for ReLU, and this network has ReLU6"),
        ("mobilenet_v3_small", "it is defined for ReLU, and this network has Hardswish"),
        ("convnext_tiny", "it is defined for ReLU, and this network has GELU"),
    ],
)
def test_guided_backpropagation_is_for_relu_only(builder, reason):
    found = problems(builder, resolutions=(64,), methods=("saliency", "guided_backprop"))
    expected = f"{METHODS_KEY}: guided_backprop does not apply to mine: {reason}: leave it out"
    assert found == ([] if reason is None else [expected])


def test_single_cell_before_the_last_block_is_a_note():
    use = NetworkUse((16, 64), 32, "auto")
    findings = inspect_networks([ARCHITECTURES["resnet18"]], use)
    assert findings.problems == []
    assert findings.notes == [
        "resnet18 at 16 px: its map is 1 x 1 from layer3 on, before its last block"
    ]


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
