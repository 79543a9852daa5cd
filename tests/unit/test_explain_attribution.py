import numpy as np
import pytest
import torch
from torch import Tensor, nn

from resomap.explain.attribution import METHODS, Target, attribute

torch.set_num_threads(1)
PAIRS = [[0, 1], [2, 3]]


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Softplus(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 8, 3, padding=1), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)),
    )


@pytest.fixture
def images() -> Tensor:
    return torch.randn(7, 3, 16, 16, generator=torch.Generator().manual_seed(1))


LABELS = np.array([0, 1, 2, 3, 4, 0, 1])


def explain(model: nn.Module, images: Tensor, method: str, *, target: Target = "label", pairs=None, ig_steps=8, batch_size=4):
    return attribute(method, model, images, LABELS, target=target, pairs=pairs, layer=model[5], ig_steps=ig_steps, batch_size=batch_size)


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_signed_float32_on_their_own_grid(model, images, method):
    attributions, targets = explain(model, images, method)
    side = 8 if METHODS[method].reads == "layer" else 16
    assert attributions.shape == (7, side, side)
    assert attributions.dtype == np.float32
    assert targets.dtype == np.int64
    assert attributions.min() < 0 < attributions.max()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("target", ["label", "prediction", "contrast"])
def test_the_size_of_the_micro_batch_does_not_change_the_maps(model, images, method, target):
    whole, targets = explain(model, images, method, target=target, pairs=PAIRS, batch_size=64)
    for batch_size in (1, 3):
        parts, same_targets = explain(model, images, method, target=target, pairs=PAIRS, batch_size=batch_size)
        np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-5 * np.abs(whole).max())
        np.testing.assert_array_equal(same_targets, targets)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_question_has_the_same_answer(model, images, method):
    np.testing.assert_array_equal(explain(model, images, method)[0], explain(model, images, method)[0])


def test_explaining_leaves_the_network_as_it_was(model, images):
    model[1].eval()
    model[4].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    explain(model, images, "gradcam")
    assert model.training
    assert not model[1].training
    assert [weight.requires_grad for weight in model[4].parameters()] == [False, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_explaining_leaves_the_images_as_they_were(model, images, memory_format):
    images = images.to(memory_format=memory_format)
    before = images.clone()
    explain(model, images, "saliency", batch_size=64)
    assert torch.equal(images, before)
    assert not images.requires_grad


def test_the_prediction_is_what_the_network_says_in_evaluation_mode(model, images):
    _, targets = explain(model, images, "saliency", target="prediction")
    np.testing.assert_array_equal(targets, model.eval()(images).argmax(dim=1))


@pytest.mark.parametrize("method", METHODS)
def test_inside_a_pair_the_contrast_is_the_difference_of_two_labels(model, images, method):
    contrast, targets = explain(model, images, method, target="contrast", pairs=PAIRS)
    label, _ = explain(model, images, method)
    partners = np.array([1, 0, 3, 2, 4])[LABELS]
    other, _ = attribute(method, model, images, partners, target="label", pairs=None, layer=model[5], ig_steps=8, batch_size=4)
    paired = partners != LABELS
    np.testing.assert_allclose(contrast[paired], (label - other)[paired], rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(targets, LABELS)


def test_without_pairs_the_contrast_is_with_the_strongest_other_class(model, images):
    contrast, _ = explain(model, images, "saliency", target="contrast")
    logits = model.eval()(images.requires_grad_())
    label = logits[range(7), LABELS]
    strongest = logits.scatter(1, torch.from_numpy(LABELS)[:, None], -torch.inf).amax(dim=1)
    (gradient,) = torch.autograd.grad((label - strongest).sum(), images)
    np.testing.assert_allclose(contrast, gradient.sum(dim=1), rtol=1e-4, atol=1e-6)


def test_an_in_place_activation_after_the_layer_does_not_overwrite_what_gradcam_reads(model, images):
    model[5] = nn.ReLU()
    kept, overwritten = (
        attribute("gradcam", model, images, LABELS, target="label", pairs=None, layer=model[4], ig_steps=8, batch_size=4)[0]
        for model[5].inplace in (False, True)
    )
    np.testing.assert_array_equal(overwritten, kept)


@pytest.mark.parametrize("target", ["label", "contrast"])
def test_integrated_gradients_add_up_to_what_the_picture_changed(model, images, target):
    attributions, _ = explain(model, images, "integrated_gradients", target=target, pairs=PAIRS, ig_steps=64)
    evidence = model.eval()(images) - model(torch.zeros_like(images))
    change = evidence[range(7), LABELS]
    if target == "contrast":
        change = (change - evidence[range(7), np.array([1, 0, 3, 2, 4])[LABELS]])[LABELS < 4]
        attributions = attributions[LABELS < 4]
    np.testing.assert_allclose(attributions.sum(axis=(1, 2)), change.detach(), rtol=1e-2)
