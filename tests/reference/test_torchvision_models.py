"""Our networks against those of torchvision, and our counts against its published numbers."""

import pytest
import torch
from torchvision.models import get_model, get_model_weights

from resomap.models.custom import CUSTOM_BUILDERS
from resomap.models.inspect import get_model_info
from resomap.models.registry import build_model, load_architectures
from resomap.profiling.summary import count_macs

torch.set_num_threads(1)

ARCHITECTURES = {
    name: entry
    for name, entry in load_architectures().items()
    if entry.builder not in CUSTOM_BUILDERS and entry.width_mult is None
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameters_and_macs_equal_published(name):
    weights = next(iter(get_model_weights(ARCHITECTURES[name].builder)))
    with torch.device("meta"):
        model = build_model(ARCHITECTURES[name], num_classes=1000)
    assert get_model_info(model)["total_params"] == weights.meta["num_params"]
    macs = count_macs(model, weights.transforms.keywords["crop_size"])
    assert macs / 1e9 == pytest.approx(weights.meta["_ops"], rel=0.01)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "efficientnet_b0"])
def test_equal_seed_builds_network_of_torchvision(name):
    torch.manual_seed(1)
    ours = build_model(ARCHITECTURES[name], num_classes=7).eval()
    torch.manual_seed(1)
    theirs = get_model(name, weights=None, num_classes=7).eval()
    images = torch.randn(2, 3, 64, 64)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert torch.equal(ours(images), theirs(images))
