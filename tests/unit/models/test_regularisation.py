import pytest
import torch
from torch import nn
from torchvision.ops import StochasticDepth

from resomap.config.architecture import Architecture, build_architecture
from resomap.errors import ConfigError
from resomap.models.check import NetworkUse, check_networks
from resomap.models.registry import build_model, build_on_meta
from resomap.models.regularisation import Regularisation

KEY = "config/training.yaml: training"


def architecture(builder: str) -> Architecture:
    return Architecture(name=builder, family="other", builder=builder)


def rates(builder: str, layer: type[nn.Module], **regularisation: float) -> list[float]:
    options = Regularisation(**regularisation)
    model = build_on_meta(architecture(builder), 5, 64, options)
    return [module.p for module in model.modules() if isinstance(module, layer)]


@pytest.mark.parametrize("builder", ["mobilenet_v2", "efficientnet_b0", "vgg11"])
def test_dropout_replaces_that_of_the_builder(builder):
    assert set(rates(builder, nn.Dropout, dropout=0.35)) == {0.35}
    assert 0.35 not in rates(builder, nn.Dropout)


def test_stochastic_depth_rises_to_its_value():
    depths = rates("efficientnet_b0", StochasticDepth, drop_path=0.4)
    assert depths == sorted(depths)
    assert 0.35 < depths[-1] <= 0.4
    assert rates("efficientnet_b0", nn.Dropout, drop_path=0.4) == [0.2]


def test_both_can_be_set():
    both = {"dropout": 0.1, "drop_path": 0.4}
    assert rates("efficientnet_b0", nn.Dropout, **both) == [0.1]
    assert max(rates("efficientnet_b0", StochasticDepth, **both)) > 0.35


@pytest.mark.parametrize(
    ("option", "words"), [("dropout", "dropout"), ("drop_path", "stochastic depth")]
)
def test_network_without_it_is_refused_before_training(option, words):
    use = NetworkUse((64,), 2, None, regularisation=Regularisation(**{option: 0.1}))
    assert check_networks([architecture("resnet18")], use) == [
        f"{KEY}.{option}: the builder of resnet18 takes no {words}: write null, or leave the "
        "network out"
    ]
    with pytest.raises(ConfigError, match=f"{KEY}.{option}"):
        build_model(architecture("resnet18"), 5, 64, Regularisation(**{option: 0.1}))


def test_network_whose_weights_get_other_names_is_refused(tmp_path, monkeypatch):
    (tmp_path / "shifting.py").write_text(
        "from torch import nn\n"
        "def make(num_classes, dropout=0):\n"
        "    layers = [nn.AdaptiveAvgPool2d(2), nn.Flatten()] + [nn.Dropout(dropout)] * bool(dropout)\n"
        "    return nn.Sequential(*layers, nn.Linear(12, num_classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    use = NetworkUse((64,), 2, None, regularisation=Regularisation(dropout=0.1))
    (problem,) = check_networks([build_architecture("shifting:make")], use)
    assert "shifting:make: the names of its weights change with training.dropout" in problem


def test_regularised_network_has_the_weights_of_its_seed():
    networks = []
    for dropout in (None, 0.4):
        torch.manual_seed(1)
        network = build_model(
            architecture("squeezenet1_1"), 5, None, Regularisation(dropout=dropout)
        )
        networks.append(network.state_dict())
    for name, tensor in networks[0].items():
        assert torch.equal(tensor, networks[1][name])
