import copy
import json

import numpy as np
import pytest
import torch
from torch import nn

from resomap.config.evaluation import FineTuning
from resomap.config.training import Training
from resomap.data.loading.loader import Normalise
from resomap.training.evaluation import adapt
from tests.tiny_training import LimitedMemory

CPU = torch.device("cpu")
NORMALISE = Normalise((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), CPU)


HEAD = ("head.weight", "head.bias")


class SmallNet(nn.Module):
    """Convolution, BatchNorm and a linear layer; without `norm`, no BatchNorm."""

    def __init__(self, norm: bool = True) -> None:
        super().__init__()
        layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8) if norm else nn.Identity()]
        self.features = nn.Sequential(*layers, nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(8, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images).flatten(1))


@pytest.fixture
def images() -> torch.Tensor:
    """Images sorted by class, whose brightness is that of their class."""
    draw = np.random.default_rng(0)
    level = np.repeat([40, 100, 160, 220], 75)[:, None, None, None]
    return torch.from_numpy((level + draw.normal(0, 20, (300, 8, 8, 3))).clip(0, 255)).byte()


def outputs(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network.eval()(NORMALISE(images))


def statistics(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value for name, value in network.state_dict().items() if "running" in name}


def test_recalibrated_statistics_are_those_of_the_images(images):
    torch.manual_seed(0)
    model = SmallNet()
    network = adapt.recalibrate(model, images, NORMALISE)
    features = model.features[0](NORMALISE(images)).detach()
    norm = network.features[1]
    torch.testing.assert_close(norm.running_mean, features.mean((0, 2, 3)), rtol=0, atol=1e-5)
    # The images are sorted by class: batches in their order would have a tenth of the variance.
    torch.testing.assert_close(norm.running_var, features.var((0, 2, 3)), rtol=0.03, atol=0)


def test_recalibration_undoes_spoilt_statistics(images):
    torch.manual_seed(0)
    model = adapt.recalibrate(SmallNet(), images, NORMALISE)
    spoilt = copy.deepcopy(model)
    spoilt.features[1].running_mean += 3
    spoilt.features[1].running_var *= 25
    repaired = adapt.recalibrate(spoilt, images, NORMALISE)
    assert not torch.allclose(outputs(spoilt, images), outputs(model, images), atol=0.1)
    torch.testing.assert_close(outputs(repaired, images), outputs(model, images))


def test_recalibration_leaves_the_model_and_its_weights(images):
    model = SmallNet()
    before = copy.deepcopy(model.state_dict())
    network = adapt.recalibrate(model, images, NORMALISE, 100)
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in before)
    changed = {
        name
        for name, value in network.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed == {*statistics(model), "features.1.num_batches_tracked"}


def test_sample_for_statistics_is_the_same_in_every_call(images):
    model = SmallNet()
    first, second = (adapt.recalibrate(model, images, NORMALISE, 64) for _ in range(2))
    torch.testing.assert_close(statistics(first), statistics(second), rtol=0, atol=0)


def test_statistics_of_limited_memory_use_smaller_batches(images):
    model = SmallNet()
    limited = LimitedMemory(model, 50)
    network = adapt.recalibrate(limited, images, NORMALISE)
    whole = adapt.recalibrate(model, images, NORMALISE)
    torch.testing.assert_close(
        list(statistics(network).values()),
        list(statistics(whole).values()),
        rtol=0.1,
        atol=0.05,
    )


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (SmallNet(), True),
        (SmallNet(norm=False), False),
        (nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)), False),
        (nn.Sequential(nn.GroupNorm(1, 3)), False),
    ],
)
def test_only_tracked_batch_norm_has_statistics(model, expected):
    assert adapt.has_statistics(model) is expected


def test_fine_tuning_changes_classifier_and_batch_norm_only(images, default_recipe):
    torch.manual_seed(0)
    model = SmallNet()
    before = copy.deepcopy(model.state_dict())
    network = fine_tune(model, images, default_recipe)
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in before)
    kept = {
        name for name, value in network.state_dict().items() if torch.equal(value, before[name])
    }
    assert kept == {"features.0.weight", "features.0.bias"}


def test_fine_tuning_lowers_the_loss_the_same_in_every_call(images, default_recipe):
    torch.manual_seed(0)
    model, labels = SmallNet(), torch.arange(300) // 75
    first, second = (fine_tune(model, images, default_recipe) for _ in range(2))
    losses = [
        nn.functional.cross_entropy(outputs(net, images), labels) for net in (model, first)
    ]
    assert losses[1] < 0.8 * losses[0]
    assert torch.equal(outputs(first, images), outputs(second, images))


@pytest.fixture
def default_recipe(defaults) -> Training:
    recipe = {**defaults["training"], "batch_size": 30}
    return Training.model_validate_json(json.dumps(recipe), strict=True)


def fine_tune(model: nn.Module, images: torch.Tensor, recipe: Training) -> nn.Module:
    return adapt.fine_tune(
        model,
        images,
        torch.arange(300) // 75,
        NORMALISE,
        nn.CrossEntropyLoss(),
        classifier=HEAD,
        recipe=recipe,
        settings=FineTuning(epochs=3, learning_rate_factor=10.0),
        seed=0,
    )
