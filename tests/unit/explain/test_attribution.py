import numpy as np
import pytest
import torch
from torch import Tensor, nn

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
LINEAR = sorted(set(METHODS) - {"gradcam_plus_plus"})
LAYER_METHODS = [name for name, method in METHODS.items() if method.reads == "layer"]


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Softplus(), nn.MaxPool2d(2)),
        *(
            nn.Conv2d(8, 8, 3, padding=1),
            nn.Tanh(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 5),
        ),
    )


@pytest.fixture
def images() -> Tensor:
    return torch.randn(7, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def chosen(
    model: nn.Module,
    images: Tensor,
    target: Target = "label",
    *,
    pairs=None,
    labels=LABELS,
    batch_size=4,
) -> ExplainedTargets:
    return choose_targets(
        model, images, labels, target=target, pairs=pairs, batch_size=batch_size
    )


def explain(
    model: nn.Module,
    images: Tensor,
    method: str,
    *,
    weights=None,
    layer=5,
    ig_steps=8,
    batch_size=4,
) -> np.ndarray:
    weights = chosen(model, images).weights if weights is None else weights
    settings = AttributionSettings(
        model[layer], ig_steps=ig_steps, smoothgrad_samples=3, batch_size=batch_size
    )
    return attribute(method, model, images, weights, settings)


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_signed_float32_on_their_own_grid(model, images, method):
    attributions = explain(model, images, method)
    side = 8 if METHODS[method].reads == "layer" else 12 if method == "occlusion" else 16
    assert attributions.shape == (7, side, side)
    assert attributions.dtype == np.float32
    assert attributions.min() < 0 < attributions.max()


@pytest.mark.parametrize("method", METHODS)
def test_the_size_of_the_micro_batch_does_not_change_the_maps(model, images, method):
    whole = explain(model, images, method, batch_size=64)
    for batch_size in (1, 3):
        parts = explain(model, images, method, batch_size=batch_size)
        np.testing.assert_allclose(
            parts, whole, rtol=1e-4, atol=1e-6
        )  # occlusion subtracts two evidences of about 1


@pytest.mark.parametrize("method", METHODS)
def test_the_same_question_has_the_same_answer(model, images, method):
    np.testing.assert_array_equal(
        explain(model, images, method), explain(model, images, method)
    )


@pytest.mark.parametrize("method", METHODS)
def test_no_forward_pass_holds_more_than_the_batch(model, images, method):
    sizes = []
    model[0].register_forward_hook(
        lambda _module, inputs, _output: sizes.append(len(inputs[0]))
    )
    explain(model, images, method, weights=torch.eye(5)[LABELS], batch_size=3)
    assert max(sizes) == 3


def test_noise_comes_from_its_own_generator(model, images):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    explain(model, images, "smoothgrad")
    assert torch.rand(1) == expected


def test_smoothgrad_of_a_linear_network_is_its_gradient(images):
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    )
    smooth, plain = (
        explain(model, images, method, layer=0) for method in ("smoothgrad", "saliency")
    )
    np.testing.assert_allclose(smooth, plain, rtol=1e-5, atol=1e-7)


def test_smoothgrad_shakes_each_picture_by_a_share_of_its_own_range(images):
    seen = []
    model = nn.Sequential(nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5))
    model[0].register_forward_hook(
        lambda _module, inputs, _output: seen.append(inputs[0].detach())
    )
    images[1] = 10 * images[0]
    explain(model, images, "smoothgrad", weights=torch.eye(5)[LABELS], layer=0, batch_size=7)
    noise = torch.stack(seen) - images
    assert noise[:, 0].std() / (images[0].max() - images[0].min()) == pytest.approx(
        0.15, rel=0.1
    )
    np.testing.assert_allclose(noise[:, 1], 10 * noise[:, 0], rtol=1e-3, atol=1e-4)


def test_without_relu_modules_guided_backprop_is_the_gradient(model, images):
    np.testing.assert_array_equal(
        explain(model, images, "guided_backprop"), explain(model, images, "saliency")
    )


@pytest.mark.parametrize(("side", "cells"), [(5, 5), (12, 12), (16, 12), (24, 12)])
def test_occlusion_tells_what_the_evidence_loses_with_each_cell(side, cells):
    """A network that sums one pixel's colours loses them with the one cell that holds the pixel, and nothing elsewhere."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * side**2, 2, bias=False))
    row, column = side // 2, side - 1
    pixel = torch.zeros(3, side, side)
    pixel[:, row, column] = 1
    model[1].weight.data = torch.stack([pixel.flatten(), torch.zeros(3 * side**2)])
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    lost = explain(
        model, images, "occlusion", weights=torch.tensor([[1.0, 0], [-1, 0]]), layer=0
    )
    expected = np.zeros((2, cells, cells))
    expected[:, row * cells // side, -1] = images[:, :, row, column].sum(dim=1) * torch.tensor(
        [1, -1]
    )
    np.testing.assert_allclose(lost, expected, atol=1e-6)


def explaining_leaves_as_it_was(model: nn.Module, ask) -> None:
    model[1].eval()
    model[2] = nn.ReLU(inplace=True)
    model[4].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    _held = (
        ask()
    )  # an error holds the frames that it passed, so nothing is put back by their end alone
    assert model.training
    assert not model[1].training
    assert model[2].inplace
    assert [weight.requires_grad for weight in model[4].parameters()] == [False, True]
    assert all(weight.grad is None for weight in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(
        module._forward_hooks or module._forward_pre_hooks for module in model.modules()
    )


@pytest.mark.parametrize("method", METHODS)
def test_explaining_leaves_the_network_as_it_was(model, images, method):
    explaining_leaves_as_it_was(model, lambda: explain(model, images, method))


@pytest.mark.parametrize("method", METHODS)
def test_a_failure_leaves_the_network_as_it_was(model, images, method):
    weights = torch.eye(4)[LABELS % 4]  # of a network with four classes, and this one has five

    def ask() -> object:
        with pytest.raises(RuntimeError, match="size") as failure:
            explain(model, images, method, weights=weights)
        return failure

    explaining_leaves_as_it_was(model, ask)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_explaining_leaves_the_images_as_they_were(model, images, method, memory_format):
    model[0] = nn.Sequential(nn.ReLU(inplace=True), model[0])
    images = images.to(memory_format=memory_format)
    before = images.clone()
    explain(model, images, method, batch_size=64)
    assert torch.equal(images, before)
    assert not images.requires_grad


class Shift(nn.Module):
    """Adds 1 as a residual sum does: in the memory of what came in, and without a flag that could be turned off."""

    def __init__(self, overwrite: bool) -> None:
        super().__init__()
        self.overwrite = overwrite

    def forward(self, values: Tensor) -> Tensor:
        return values.add_(1) if self.overwrite else values + 1


@pytest.mark.parametrize("method", LAYER_METHODS)
@pytest.mark.parametrize("following", [nn.ReLU, Shift])
def test_what_follows_in_place_does_not_overwrite_what_a_method_reads(
    model, images, method, following
):
    maps = []
    for in_place in (False, True):
        model[5] = following(in_place)
        maps.append(explain(model, images, method, layer=4))
    np.testing.assert_array_equal(*maps)


@pytest.mark.parametrize("target", ["label", "prediction", "contrast"])
def test_the_size_of_the_micro_batch_does_not_change_what_is_chosen(model, images, target):
    whole, parts = (
        chosen(model, images, target, pairs=PAIRS, batch_size=batch_size)
        for batch_size in (64, 3)
    )
    np.testing.assert_allclose(parts.logits, whole.logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(parts.targets, whole.targets)
    np.testing.assert_array_equal(parts.rivals, whole.rivals)


def test_the_label_is_explained_alone(model, images):
    explained = chosen(model, images, "label", pairs=PAIRS)
    assert explained.targets.tolist() == LABELS.tolist()
    assert explained.rivals.tolist() == [-1] * 7
    assert torch.equal(explained.weights, torch.eye(5)[LABELS])
    assert (explained.targets.dtype, explained.rivals.dtype, explained.logits.dtype) == (
        np.int64,
        np.int64,
        np.float32,
    )


def test_the_prediction_is_what_the_network_says_in_evaluation_mode(model, images):
    explained = chosen(model, images, "prediction")
    logits = model.eval()(images).detach()
    np.testing.assert_allclose(explained.logits, logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(explained.targets, logits.argmax(dim=1))
    assert torch.equal(explained.weights, torch.eye(5)[logits.argmax(dim=1)])


def test_inside_a_pair_the_rival_is_the_partner(model, images):
    explained = chosen(model, images, "contrast", pairs=PAIRS)
    paired = LABELS < 4
    assert explained.targets.tolist() == LABELS.tolist()
    assert explained.rivals[paired].tolist() == (LABELS[paired] ^ 1).tolist()
    assert torch.equal(explained.weights, torch.eye(5)[LABELS] - torch.eye(5)[explained.rivals])


def test_without_pairs_the_rival_is_the_strongest_other_class(model, images):
    explained = chosen(model, images, "contrast")
    others = (
        model.eval()(images).detach().scatter(1, torch.from_numpy(LABELS)[:, None], -torch.inf)
    )
    np.testing.assert_array_equal(explained.rivals, others.argmax(dim=1))


@pytest.mark.parametrize("method", LINEAR)
def test_the_contrast_is_the_difference_of_two_labels(model, images, method):
    contrast = chosen(model, images, "contrast", pairs=PAIRS)
    difference = explain(model, images, method, weights=contrast.weights)
    label, rival = (
        explain(model, images, method, weights=torch.eye(5)[classes])
        for classes in (contrast.targets, contrast.rivals)
    )
    np.testing.assert_allclose(difference, label - rival, rtol=1e-3, atol=1e-5)


def test_the_contrast_explains_the_difference_of_two_logits(model, images):
    contrast = chosen(model, images, "contrast")
    logits = model.eval()(images.requires_grad_())
    (gradient,) = torch.autograd.grad(
        (logits[range(7), LABELS] - logits[range(7), contrast.rivals]).sum(), images
    )
    ours = explain(model, images.detach(), "saliency", weights=contrast.weights)
    np.testing.assert_allclose(ours, gradient.sum(dim=1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("target", ["label", "contrast"])
def test_integrated_gradients_add_up_to_what_the_picture_changed_given_enough_steps(
    model, images, target
):
    for layer in (model[0], model[4]):
        layer.weight.data *= (
            6  # as drawn, the network is so nearly linear that two steps are enough
        )
    explained = chosen(model, images, target, pairs=PAIRS)
    errors = {}
    for steps in (2, 64):
        attributions = explain(
            model, images, "integrated_gradients", weights=explained.weights, ig_steps=steps
        )
        errors[steps] = completeness_errors(
            model, images, explained.weights, attributions, batch_size=3
        )
    assert errors[64].max() < 0.01 < errors[2].mean()


def test_the_completeness_error_is_in_units_of_the_mean_change(images):
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1))
    weights = torch.ones(7, 1)
    model[2].weight.data = torch.ones(1, 3)
    changes = images.mean(dim=(2, 3)).sum(dim=1).numpy()
    errors = completeness_errors(
        model, images, weights, np.zeros((7, 4, 4), np.float32), batch_size=3
    )
    assert errors.dtype == np.float64
    np.testing.assert_allclose(errors, np.abs(changes) / np.abs(changes).mean(), rtol=1e-4)


def test_a_network_that_says_the_same_of_everything_has_no_completeness(images):
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1))
    nn.init.zeros_(model[2].weight)
    assert np.isnan(
        completeness_errors(
            model, images, torch.ones(7, 1), np.zeros((7, 4, 4), np.float32), batch_size=3
        )
    ).all()


def test_what_is_frozen_thaws_after_an_error(model):
    model[2] = nn.ReLU(inplace=True)
    with pytest.raises(ZeroDivisionError), frozen(model):
        assert not model.training
        assert not model[2].inplace
        assert not any(weight.requires_grad for weight in model.parameters())
        raise ZeroDivisionError
    assert model.training
    assert model[2].inplace
    assert all(weight.requires_grad for weight in model.parameters())
