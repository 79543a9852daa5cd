import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from resomap.training.optimizers import align_state, build_optimizer
from tests.recipes import optimizer

ADAMW = optimizer(0.01).model_copy(update={"weight_decay": 0.1})


def build_network() -> nn.Module:
    torch.manual_seed(0)
    convolution, linear = nn.Conv2d(3, 4, 3, bias=False), nn.Linear(4 * 4, 2)
    return nn.Sequential(convolution, nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), linear)


def train(
    model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 3
) -> list[torch.Tensor]:
    torch.manual_seed(1)
    images, labels = torch.randn(8, 3, 4, 4), torch.arange(8) % 2
    for _ in range(steps):
        optimizer.zero_grad()
        functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


def ids(parameters: list[nn.Parameter]) -> set[int]:
    return {id(parameter) for parameter in parameters}


def test_only_weights_are_decayed():
    model = build_network()
    decayed, others = build_optimizer(ADAMW, model).param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert ids(decayed["params"]) == ids([model[0].weight, model[4].weight])
    assert ids(others["params"]) == ids([model[1].weight, model[1].bias, model[4].bias])


def test_frozen_parameters_are_left_out():
    model = build_network()
    model[0].requires_grad_(False)
    groups = build_optimizer(ADAMW, model).param_groups
    assert sum(len(group["params"]) for group in groups) == 4


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_steps_equal_plain_adamw(layout):
    plain_model = build_network()
    model = copy.deepcopy(plain_model).to(memory_format=layout)
    weights = [parameter for parameter in plain_model.parameters() if parameter.ndim >= 2]
    others = [parameter for parameter in plain_model.parameters() if parameter.ndim < 2]
    groups = [{"params": weights, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    plain = torch.optim.AdamW(groups, lr=0.01, foreach=False, fused=False)
    trained = train(model, build_optimizer(ADAMW, model))
    torch.testing.assert_close(trained, train(plain_model, plain), rtol=1e-5, atol=1e-7)


def test_zero_gradient_shrinks_only_decayed_weights():
    model = build_network()
    before = copy.deepcopy(model.state_dict())
    adamw = build_optimizer(ADAMW, model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    adamw.step()
    torch.testing.assert_close(model[4].weight.detach(), before["4.weight"] * (1 - 0.01 * 0.1))
    for name in ("1.weight", "1.bias", "4.bias"):
        assert torch.equal(model.state_dict()[name], before[name])


def test_loaded_state_takes_parameter_layout():
    model = build_network().to(memory_format=torch.channels_last)
    adamw = build_optimizer(ADAMW, model)
    train(model, adamw, steps=1)
    state = adamw.state[model[0].weight]
    momentum = state["exp_avg"].clone()
    state["exp_avg"] = momentum.contiguous()
    align_state(adamw)
    assert state["exp_avg"].stride() == model[0].weight.stride()
    assert torch.equal(state["exp_avg"], momentum)
