import copy

import pytest
import torch
from torch import nn

from resomap.training.optimizers import build_optimizer
from tests.recipes import optimizer

ASKED = optimizer(0.01).model_copy(update={"weight_decay": 0.1})


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 4, 2),
    )


def step(
    model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 1
) -> list[torch.Tensor]:
    torch.manual_seed(1)
    images, labels = torch.randn(8, 3, 4, 4), torch.arange(8) % 2
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


def test_weights_are_decayed_and_norms_and_biases_are_not():
    model = network()
    decayed, others = build_optimizer(ASKED, model).param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert [id(parameter) for parameter in decayed["params"]] == [
        id(model[0].weight),
        id(model[4].weight),
    ]
    assert {id(parameter) for parameter in others["params"]} == {
        id(parameter) for parameter in (model[1].weight, model[1].bias, model[4].bias)
    }


def test_what_is_frozen_is_left_out():
    model = network()
    model[0].requires_grad_(False)
    held = [
        parameter
        for group in build_optimizer(ASKED, model).param_groups
        for parameter in group["params"]
    ]
    assert len(held) == 4


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_its_steps_are_those_of_torchs_plain_adamw(layout):
    twin = network()
    model = copy.deepcopy(twin).to(memory_format=layout)
    groups = [
        {
            "params": [parameter for parameter in twin.parameters() if parameter.ndim >= 2],
            "weight_decay": 0.1,
        },
        {
            "params": [parameter for parameter in twin.parameters() if parameter.ndim < 2],
            "weight_decay": 0.0,
        },
    ]
    plain = torch.optim.AdamW(groups, lr=0.01, foreach=False, fused=False)
    for ours, theirs in zip(
        step(model, build_optimizer(ASKED, model), 3), step(twin, plain, 3), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


def test_without_a_gradient_only_what_is_decayed_shrinks():
    model = network()
    before = copy.deepcopy(model.state_dict())
    optimizer = build_optimizer(ASKED, model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(model[4].weight.detach(), before["4.weight"] * (1 - 0.01 * 0.1))
    for name in ("1.weight", "1.bias", "4.bias"):
        assert torch.equal(model.state_dict()[name], before[name])
