from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from resomap.config.schema import Method
from resomap.explain.attribution import (
    METHODS,
    AttributionSettings,
    ExplainedTargets,
    Target,
    attribute,
    choose_targets,
    completeness_errors,
    frozen,
)

torch.set_num_threads(1)
PAIRS = [[0, 1], [2, 3]]
LABELS = np.array([0, 1, 2, 3, 4, 0, 1])
ONE_HOT = torch.eye(5)[LABELS]
LINEAR_METHODS = sorted(set(METHODS) - {"gradcam_plus_plus"})
LAYER_METHODS = [name for name, method in METHODS.items() if method.reads == "layer"]
ALL_METHODS = pytest.mark.parametrize("method", METHODS)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    first = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Softplus(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(8, 8, 3, padding=1), nn.Tanh()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)]
    return nn.Sequential(*first, *second, *head)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(7, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def choose(
    model: nn.Module, images: Tensor, target: Target = "label", pairs=None, batch_size: int = 4
) -> ExplainedTargets:
    return choose_targets(
        model, images, LABELS, target=target, pairs=pairs, batch_size=batch_size
    )


def explain(
    model: nn.Module,
    images: Tensor,
    method: str,
    *,
    weights: Tensor = ONE_HOT,
    layer: int = 5,
    ig_steps: int = 8,
    batch_size: int = 4,
) -> np.ndarray:
    settings = AttributionSettings(
        model[layer], ig_steps=ig_steps, smoothgrad_samples=3, batch_size=batch_size
    )
    return attribute(method, model, images, weights, settings)


# Every method


def test_methods_equal_those_of_the_configuration():
    assert set(METHODS) == set(get_args(Method))


@ALL_METHODS
def test_maps_are_signed_float32_on_their_grid(model, images, method):
    attributions = explain(model, images, method)
    side = {"layer": 8, "input": 16}[METHODS[method].reads]
    side = 12 if method == "occlusion" else side
    assert attributions.shape == (7, side, side)
    assert attributions.dtype == np.float32
    assert attributions.min() < 0 < attributions.max()


@ALL_METHODS
def test_batch_size_does_not_change_maps(model, images, method):
    whole = explain(model, images, method, batch_size=64)
    for batch_size in (1, 3):
        parts = explain(model, images, method, batch_size=batch_size)
        # The tolerance is absolute because occlusion subtracts two scores of about 1.
        np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-6)


@ALL_METHODS
def test_repeated_explanation_is_identical(model, images, method):
    first, second = (explain(model, images, method) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@ALL_METHODS
def test_forward_pass_holds_at_most_one_batch(model, images, method):
    sizes = []
    model[0].register_forward_hook(
        lambda _module, inputs, _output: sizes.append(len(inputs[0]))
    )
    explain(model, images, method, batch_size=3)
    assert max(sizes) == 3


@pytest.mark.parametrize("method", LINEAR_METHODS)
def test_contrast_map_is_difference_of_label_maps(model, images, method):
    contrast = choose(model, images, "contrast", PAIRS)
    difference = explain(model, images, method, weights=contrast.weights)
    target, rival = (
        explain(model, images, method, weights=torch.eye(5)[classes])
        for classes in (contrast.targets, contrast.rivals)
    )
    np.testing.assert_allclose(difference, target - rival, rtol=1e-3, atol=1e-5)


def assert_explaining_restores_network(model: nn.Module, action: Callable[[], object]) -> None:
    model[1].eval()
    model[2] = nn.ReLU(inplace=True)
    model[4].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    # Keep the result: an exception holds the frames that it passed, so that nothing is
    # restored merely because they are freed.
    _result = action()
    assert model.training
    assert not model[1].training
    assert model[2].inplace
    assert [weight.requires_grad for weight in model[4].parameters()] == [False, True]
    assert all(weight.grad is None for weight in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


@ALL_METHODS
def test_explaining_restores_network(model, images, method):
    assert_explaining_restores_network(model, lambda: explain(model, images, method))


@ALL_METHODS
def test_failed_explanation_restores_network(model, images, method):
    weights = torch.eye(4)[LABELS % 4]  # the network has five classes

    def fail() -> object:
        with pytest.raises(RuntimeError, match="size") as failure:
            explain(model, images, method, weights=weights)
        return failure

    assert_explaining_restores_network(model, fail)


@ALL_METHODS
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_explaining_keeps_images(model, images, method, memory_format):
    model[0] = nn.Sequential(nn.ReLU(inplace=True), model[0])
    images = images.to(memory_format=memory_format)
    before = images.clone()
    explain(model, images, method, batch_size=64)
    assert torch.equal(images, before)
    assert not images.requires_grad


class Shift(nn.Module):
    """Adds 1 like a residual sum: in the memory of its input, without an `inplace` flag."""

    def __init__(self, overwrite: bool) -> None:
        super().__init__()
        self.overwrite = overwrite

    def forward(self, values: Tensor) -> Tensor:
        return values.add_(1) if self.overwrite else values + 1


@pytest.mark.parametrize("method", LAYER_METHODS)
@pytest.mark.parametrize("next_module", [nn.ReLU, Shift])
def test_in_place_successor_does_not_change_maps(model, images, method, next_module):
    maps = []
    for in_place in (False, True):
        model[5] = next_module(in_place)
        maps.append(explain(model, images, method, layer=4))
    np.testing.assert_array_equal(*maps)


def test_frozen_restores_network_after_error(model):
    model[2] = nn.ReLU(inplace=True)
    with pytest.raises(ZeroDivisionError), frozen(model):
        assert not model.training
        assert not model[2].inplace
        assert not any(weight.requires_grad for weight in model.parameters())
        raise ZeroDivisionError
    assert model.training
    assert model[2].inplace
    assert all(weight.requires_grad for weight in model.parameters())


# Single methods


def test_smoothgrad_uses_its_own_generator(model, images):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    explain(model, images, "smoothgrad")
    assert torch.rand(1) == expected


def test_smoothgrad_of_linear_network_is_gradient(images):
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    )
    smooth, plain = (
        explain(model, images, method, layer=0) for method in ("smoothgrad", "saliency")
    )
    np.testing.assert_allclose(smooth, plain, rtol=1e-5, atol=1e-7)


def test_smoothgrad_noise_scales_with_value_range(images):
    seen = []
    model = nn.Sequential(nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5))
    model[0].register_forward_hook(
        lambda _module, inputs, _output: seen.append(inputs[0].detach())
    )
    images[1] = 10 * images[0]
    explain(model, images, "smoothgrad", layer=0, batch_size=7)
    noise = torch.stack(seen) - images
    relative = noise[:, 0].std() / (images[0].max() - images[0].min())
    assert relative == pytest.approx(0.15, rel=0.1)
    np.testing.assert_allclose(noise[:, 1], 10 * noise[:, 0], rtol=1e-3, atol=1e-4)


def test_guided_backprop_without_relu_is_gradient(model, images):
    guided, plain = (
        explain(model, images, method) for method in ("guided_backprop", "saliency")
    )
    np.testing.assert_array_equal(guided, plain)


@pytest.mark.parametrize(("side", "cells"), [(5, 5), (12, 12), (16, 12), (24, 12)])
def test_occlusion_returns_lost_score_per_cell(side, cells):
    """A network that reads a single pixel loses its value with the cell of that pixel alone."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * side**2, 2, bias=False))
    row, column = side // 2, side - 1
    pixel = torch.zeros(3, side, side)
    pixel[:, row, column] = 1
    model[1].weight.data = torch.stack([pixel.flatten(), torch.zeros(3 * side**2)])
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([[1.0, 0], [-1, 0]])
    lost = explain(model, images, "occlusion", weights=weights, layer=0)
    expected = np.zeros((2, cells, cells))
    expected[:, row * cells // side, -1] = images[:, :, row, column].sum(dim=1) * weights[:, 0]
    np.testing.assert_allclose(lost, expected, atol=1e-6)


# Targets


@pytest.mark.parametrize("target", ["label", "prediction", "contrast"])
def test_batch_size_does_not_change_targets(model, images, target):
    whole, parts = (choose(model, images, target, PAIRS, size) for size in (64, 3))
    np.testing.assert_allclose(parts.logits, whole.logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(parts.targets, whole.targets)
    np.testing.assert_array_equal(parts.rivals, whole.rivals)


def test_label_target_has_no_rival(model, images):
    chosen = choose(model, images, "label", PAIRS)
    assert chosen.targets.tolist() == LABELS.tolist()
    assert chosen.rivals.tolist() == [-1] * 7
    assert torch.equal(chosen.weights, ONE_HOT)
    dtypes = (chosen.targets.dtype, chosen.rivals.dtype, chosen.logits.dtype)
    assert dtypes == (np.int64, np.int64, np.float32)


def test_prediction_target_uses_evaluation_mode(model, images):
    chosen = choose(model, images, "prediction")
    logits = model.eval()(images).detach()
    np.testing.assert_allclose(chosen.logits, logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(chosen.targets, logits.argmax(dim=1))
    assert torch.equal(chosen.weights, torch.eye(5)[logits.argmax(dim=1)])


def test_contrast_rival_is_pair_partner(model, images):
    chosen = choose(model, images, "contrast", PAIRS)
    paired = LABELS < 4
    assert chosen.targets.tolist() == LABELS.tolist()
    assert chosen.rivals[paired].tolist() == (LABELS[paired] ^ 1).tolist()
    assert torch.equal(chosen.weights, ONE_HOT - torch.eye(5)[chosen.rivals])


def test_contrast_rival_without_pairs_is_strongest_other(model, images):
    rivals = choose(model, images, "contrast").rivals
    logits = model.eval()(images).detach()
    others = logits.scatter(1, torch.from_numpy(LABELS)[:, None], -torch.inf)
    np.testing.assert_array_equal(rivals, others.argmax(dim=1))


def test_contrast_explains_logit_difference(model, images):
    contrast = choose(model, images, "contrast")
    logits = model.eval()(images.requires_grad_())
    difference = logits[range(7), LABELS] - logits[range(7), contrast.rivals]
    (gradient,) = torch.autograd.grad(difference.sum(), images)
    ours = explain(model, images.detach(), "saliency", weights=contrast.weights)
    np.testing.assert_allclose(ours, gradient.sum(dim=1), rtol=1e-4, atol=1e-6)


# Completeness


@pytest.mark.parametrize("target", ["label", "contrast"])
def test_completeness_error_vanishes_with_more_steps(model, images, target):
    # Freshly initialised, the network is so nearly linear that two steps suffice.
    for layer in (model[0], model[4]):
        layer.weight.data *= 6
    weights = choose(model, images, target, PAIRS).weights
    errors = {}
    for steps in (2, 64):
        maps = explain(model, images, "integrated_gradients", weights=weights, ig_steps=steps)
        errors[steps] = completeness_errors(model, images, weights, maps, batch_size=3)
    assert errors[64].max() < 0.01 < errors[2].mean()


def completeness_of_zero_maps(weight: float, images: Tensor) -> np.ndarray:
    """Return the errors of empty maps for a network that averages the colours of an image."""
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1))
    nn.init.constant_(model[2].weight, weight)
    maps = np.zeros((7, 4, 4), np.float32)
    return completeness_errors(model, images, torch.ones(7, 1), maps, batch_size=3)


def test_completeness_error_is_relative_to_mean_change(images):
    changes = images.mean(dim=(2, 3)).sum(dim=1).numpy()
    errors = completeness_of_zero_maps(1.0, images)
    assert errors.dtype == np.float64
    np.testing.assert_allclose(errors, np.abs(changes) / np.abs(changes).mean(), rtol=1e-4)


def test_completeness_error_of_constant_network_is_nan(images):
    assert np.isnan(completeness_of_zero_maps(0.0, images)).all()


# Maps of tokens


class Tokens:
    """A view of tokens (n, 1 + 16, C): one extra token, then 4 x 4 cells."""

    def to_map(self, output: Tensor) -> Tensor:
        """Return the cells as a map."""
        return output[:, 1:].unflatten(1, (4, 4)).permute(0, 3, 1, 2)

    def from_map(self, features: Tensor, output: Tensor) -> Tensor:
        """Return the tokens with the cells of a map."""
        return torch.cat([output[:, :1], features.flatten(2).transpose(1, 2)], dim=1)


class ToTokens(nn.Module):
    """Appends the cells of a map to an extra token."""

    def forward(self, features: Tensor) -> Tensor:
        """Return the tokens of a map (n, C, 4, 4)."""
        cells = features.flatten(2).transpose(1, 2)
        return torch.cat([torch.ones_like(cells[:, :1]), cells], dim=1)


class OfCells(nn.Module):
    """Averages all tokens but the first."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the mean of the cells."""
        return tokens[:, 1:].mean(dim=1)


@pytest.mark.parametrize("method", LAYER_METHODS)
def test_map_of_tokens_equals_that_of_a_convolution(method):
    torch.manual_seed(0)
    trunk, act = nn.Conv2d(3, 8, 4, stride=4), nn.Softplus()
    head = nn.Linear(8, 5)
    images = torch.randn(7, 3, 16, 16)
    plain = nn.Sequential(trunk, act, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    tokens = nn.Sequential(trunk, act, ToTokens(), OfCells(), head)
    settings = AttributionSettings(tokens[2], 4, 3, 4, Tokens())
    maps = attribute(method, tokens, images, ONE_HOT, settings)
    assert maps.shape == (7, 4, 4)
    np.testing.assert_allclose(
        maps, explain(plain, images, method, layer=1), rtol=1e-4, atol=1e-7
    )
    assert not tokens[2]._forward_hooks
