"""The classifier: what other classes replace, what a frozen backbone leaves to train."""

import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from resomap.config.architecture import Architecture, build_architecture
from resomap.models.classifier import find_classifier
from resomap.models.layers import layer_depths
from resomap.models.matching import match_weights
from resomap.models.registry import build_on_meta, find_named, load_architectures
from resomap.training.finetune import Freezing, rate_scales
from tests.recipes import finetune

CLASSES, SIDE = 5, 224


class Features(nn.Module):
    """A convolution and what `build_head` makes of its four features."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)

    def features(self, images: Tensor) -> Tensor:
        return self.stem(images).mean((2, 3))


class TwoHeads(Features):
    """The mean of two heads on different features, as in a distilled DeiT."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(4, num_classes), nn.Linear(4, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images)
        return (self.left(features.mean((2, 3))) + self.right(features.amax((2, 3)))) / 2


class Sliced(Features):
    """The first of ten logits; its token is a matrix of no layer."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.count, self.head = num_classes, nn.Linear(4, 10)
        self.token = nn.Parameter(torch.zeros(1, 4))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images) + self.token)[:, : self.count]


class Scale(nn.Module):
    """A factor for each class, and one for all."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.each = nn.Parameter(torch.ones(num_classes))
        self.all = nn.Parameter(torch.ones(()))

    def forward(self, logits: Tensor) -> Tensor:
        return logits * self.each * self.all


class Scaled(Features):
    """Logits with a learned scale and BatchNorm for each class."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.head, self.scale = nn.Linear(4, num_classes), Scale(num_classes)
        self.norm = nn.BatchNorm1d(num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.scale(self.head(self.features(images))))


class Queries(Features):
    """A query for each class, as in ML-Decoder, beside a token of no class."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.zeros(num_classes, 4))
        self.token = nn.Parameter(torch.zeros(1, 4))

    def forward(self, images: Tensor) -> Tensor:
        return (self.features(images) + self.token) @ self.queries.T


class OneHeadEach(Features):
    """A list with a layer for each class."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(4, 1) for _ in range(num_classes))

    def forward(self, images: Tensor) -> Tensor:
        features = self.features(images)
        return torch.cat([head(features) for head in self.heads], dim=1)


class Auxiliary(Features):
    """A second classifier that only a loss of the author's training reads."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.head, self.auxiliary = nn.Linear(4, num_classes), nn.Linear(4, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


@pytest.fixture
def nets(monkeypatch) -> None:
    module = ModuleType("classifier_nets")
    own = (TwoHeads, Sliced, Scaled, Queries, OneHeadEach, Auxiliary)
    vars(module).update({each.__name__: each for each in own})
    monkeypatch.setitem(sys.modules, module.__name__, module)


LAYERS = {
    "TwoHeads": ("left", "right"),
    "Sliced": ("head",),
    "Scaled": ("head", "scale", "norm"),
    "OneHeadEach": tuple(f"heads.{index}" for index in range(CLASSES)),
    "Auxiliary": ("head", "auxiliary"),
    "torchvision/squeezenet1_0": ("classifier.1",),
    "torchvision/inception_v3": ("fc",),
    "torchvision/googlenet": ("fc",),
    "torchvision/vgg11": ("classifier.6",),
    "torchvision/swin_t": ("head",),
    "torchvision/vit_b_32": ("heads.head",),
    "timm/deit_tiny_distilled_patch16_224": ("head", "head_dist"),
    "timm/levit_128s": ("head.linear", "head_dist.linear"),
    "timm/convnext_atto": ("head.fc",),
    "timm/volo_d1_224": ("head", "aux_head"),
    "timm/inception_v3": ("fc",),
    "timm/mobilenetv4_conv_small_035": ("classifier",),
    "timm/efficientnet_lite0": ("classifier",),
    "timm/regnety_002": ("head.fc",),
}


def entry_of(name: str) -> Architecture:
    own = name[0].isupper()
    return build_architecture(f"classifier_nets:{name}") if own else find_named(name)


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize("name", LAYERS)
def test_classifier_is_the_layers_that_follow_from_the_classes(name):
    found = find_classifier(entry_of(name), CLASSES, SIDE)
    assert {each.rpartition(".")[0] for each in found} == set(LAYERS[name])


@pytest.mark.usefixtures("nets")
def test_parameter_of_the_network_itself_is_no_layer():
    assert find_classifier(entry_of("Queries"), CLASSES, SIDE) == {"queries"}


def test_layers_that_follow_from_the_classes_count_whole(nets):
    found = find_classifier(entry_of("Scaled"), CLASSES, SIDE)
    assert {"scale.each", "scale.all", "norm.running_mean", "head.bias"} <= found


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize("name", [*LAYERS, "Queries", *load_architectures()])
def test_replaced_frozen_and_scaled_tensors_agree(name):
    entry = entry_of(name)
    classifier = find_classifier(entry, CLASSES, SIDE)
    model = build_on_meta(entry, CLASSES, SIDE)
    parameters = {each for each, _ in model.named_parameters()}
    # Replaced: of weights for other classes, only the classifier is not loaded.
    others = build_on_meta(entry, CLASSES + 2, SIDE).state_dict()
    match = match_weights(model, others, classifier)
    assert set(match.new) <= classifier
    assert (match.share, match.missing, match.misshapen) == (1, (), ())
    # Trained with a frozen backbone: the classifier alone, and all that was replaced.
    Freezing(model, finetune(freeze="backbone"), SIDE, classifier).apply(model, 0)
    trained = {each for each, value in model.named_parameters() if value.requires_grad}
    assert trained == classifier & parameters
    # Rates: the classifier has the whole one and lies deepest, all others less of both.
    scales = rate_scales(model, finetune(backbone_lr=0.5), SIDE, classifier)
    assert {each for each, value in model.named_parameters() if scales[value] == 1} == trained
    depths = layer_depths(model, SIDE, classifier)
    assert {each for each in depths if depths[each] == max(depths.values())} == trained
