"""The rates of layer decay equal those of timm, where both see the same layers."""

import pytest
import torch

from resomap.models.classifier import find_classifier
from resomap.models.registry import find_named
from resomap.training.finetune import rate_scales
from tests.optional_packages import require_packages
from tests.recipes import finetune

require_packages("timm")
import timm  # noqa: E402


@pytest.mark.parametrize(
    ("name", "classifier"),
    [
        ("resnet18", ("fc",)),
        ("regnety_002", ("head.fc",)),
        ("vit_tiny_patch16_224", ("head",)),
        ("deit_tiny_distilled_patch16_224", ("head", "head_dist")),
        ("mixer_s32_224", ("head",)),
    ],
)
def test_scales_equal_timms(name, classifier):
    from timm.optim import param_groups_layer_decay

    with torch.device("meta"):
        model = timm.create_model(name)
    expected = {}
    for group in param_groups_layer_decay(model, layer_decay=0.7):
        for parameter in group["params"]:
            expected[parameter] = group["lr_scale"]
    found = find_classifier(find_named(f"timm/{name}"), 1000, 224)
    assert found == {f"{layer}.{each}" for layer in classifier for each in ("weight", "bias")}
    scales = rate_scales(model, finetune(layer_decay=0.7), 224, found)
    assert set(scales) == set(expected)
    for parameter, scale in scales.items():
        assert scale == pytest.approx(expected[parameter])
