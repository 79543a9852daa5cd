import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from resomap.training.optimizers import (
    WeightAverage,
    align_state,
    build_optimizer,
    warmed_up_decay,
)
from tests.recipes import optimizer
from tests.tiny_training import build_network as build_noise_network
from tests.tiny_training import build_noise_trainer

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


@pytest.mark.parametrize(
    ("updates", "decay"), [(1, 2 / 11), (8, 0.5), (90, 0.91), (8990, 0.999), (10**6, 0.999)]
)
def test_decay_warms_up_to_its_value(updates, decay):
    assert warmed_up_decay(0.999, updates) == pytest.approx(decay)


def test_average_follows_its_recursion():
    model, expected = nn.Linear(1, 1, bias=False), 0.0
    average = WeightAverage(model, 0.9)
    for step, value in enumerate([1.0, 2.0, -1.0, 4.0]):
        nn.init.constant_(model.weight, value)
        average.update_parameters(model)
        decay = min(0.9, (1 + step) / (10 + step)) if step else 0.0
        expected = decay * expected + (1 - decay) * value
        assert average.module.weight.item() == pytest.approx(expected, rel=1e-6)


def test_restored_average_continues_its_warm_up():
    model = nn.Linear(2, 2)
    first = WeightAverage(model, 0.999)
    for _ in range(5):
        first.update_parameters(model)
    second = WeightAverage(model, 0.999)
    second.load_state_dict(first.state_dict())
    nn.init.ones_(model.weight)
    for average in (first, second):
        average.update_parameters(model)
    assert int(first.n_averaged) == int(second.n_averaged) == 6
    assert torch.equal(first.module.weight, second.module.weight)


def test_short_training_with_long_memory_validates_what_it_learned():
    # 12 steps with a memory of 1,000: without the warm-up the first step would be validated.
    trainers = [
        build_noise_trainer(build_noise_network(), ema_decay=decay) for decay in (None, 0.999)
    ]
    for epoch in range(4):
        for trainer in trainers:
            trainer.train_epoch(epoch)
    plain, averaged = (
        nn.utils.parameters_to_vector(trainer.eval_model.parameters()) for trainer in trainers
    )
    start = nn.utils.parameters_to_vector(build_noise_network().parameters())
    assert (averaged - plain).norm() < 0.5 * (start - plain).norm()


def test_average_follows_weights_and_buffers_of_every_type():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1).double())
    average = WeightAverage(model, 0.9)
    for step in range(2):
        for tensor in [*model.parameters(), *model.buffers()]:
            tensor.data.fill_(step + 1)
        average.update_parameters(model)
    decay = warmed_up_decay(0.9, 1)
    expected = decay * 1 + (1 - decay) * 2
    for parameter in average.module.parameters():
        torch.testing.assert_close(parameter, torch.full_like(parameter, expected))
    assert all((buffer == 2).all() for buffer in average.module.buffers())
