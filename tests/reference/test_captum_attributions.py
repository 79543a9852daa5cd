"""Attributions against the libraries that define them, called as their users call them."""

import copy
import warnings

import numpy as np
import pytest
import torch
from captum.attr import (
    FeatureAblation,
    GuidedBackprop,
    IntegratedGradients,
    LayerGradCam,
    LayerGradientXActivation,
    Saliency,
)
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, GuidedBackpropReLUModel, HiResCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_small, resnet18

from resomap.explain.attribution import AttributionSettings, attribute

torch.set_num_threads(1)
LABELS = torch.tensor([0, 1, 2, 3, 3, 2])
CELL_OF_PIXEL = torch.arange(15) * 12 // 15  # on a grid of 12 x 12


def captum_maps(method: str, model: nn.Module, images: Tensor) -> Tensor:
    """Return the attributions of captum, reading layer 3 of the model."""
    if method == "gradcam":
        return LayerGradCam(model, model[3]).attribute(images, LABELS)
    if method == "hirescam":
        return LayerGradientXActivation(model, model[3]).attribute(images, LABELS)
    if method == "integrated_gradients":
        return IntegratedGradients(model).attribute(images, target=LABELS, n_steps=16)
    if method == "saliency":
        return Saliency(model).attribute(images.requires_grad_(), LABELS, abs=False)
    # captum announces its hooks at every call.
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        return GuidedBackprop(model).attribute(images.requires_grad_(), LABELS)


CAPTUM = ("gradcam", "hirescam", "integrated_gradients", "saliency", "guided_backprop")
PYTORCH_GRAD_CAM = {
    "gradcam": GradCAM,
    "hirescam": HiResCAM,
    "gradcam_plus_plus": GradCAMPlusPlus,
}
EVERY_MEMORY_FORMAT = pytest.mark.parametrize(
    "memory_format",
    [torch.contiguous_format, torch.channels_last],
    ids=["contiguous", "channels_last"],
)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    first = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU()]
    second = [nn.Conv2d(8, 8, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(2)]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(32, 4)).eval()


@pytest.fixture
def images() -> Tensor:
    return torch.randn(6, 3, 15, 15, generator=torch.Generator().manual_seed(1))


def our_maps(method: str, model: nn.Module, images: Tensor, layer: nn.Module) -> np.ndarray:
    classes = model(images[:1]).shape[1]
    weights = torch.eye(classes)[LABELS[: len(images)]]
    settings = AttributionSettings(
        layer, ig_steps=16, smoothgrad_samples=4, batch_size=len(images)
    )
    return attribute(method, model, images, weights, settings)


def unscaled_cam(
    kind: type[GradCAM], model: nn.Module, images: Tensor, layer: nn.Module
) -> np.ndarray:
    """Return the map of pytorch-grad-cam before clipping and scaling, from its own parts."""
    cam = kind(model, [layer])
    recorded = cam.activations_and_grads
    try:
        recorded(images).gather(1, LABELS[: len(images), None]).sum().backward()
        activations, gradients = recorded.activations[0], recorded.gradients[0]
        return cam.get_cam_image(
            images, layer, None, activations.numpy(), gradients.numpy(), False
        )
    finally:
        recorded.release()


def assert_maps_equal(ours: np.ndarray, theirs: np.ndarray) -> None:
    largest = np.abs(theirs).max()
    assert largest > 0
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * largest)


@EVERY_MEMORY_FORMAT
@pytest.mark.parametrize("method", CAPTUM)
def test_maps_equal_captum(model, images, method, memory_format):
    model = model.to(memory_format=memory_format)
    images = images.to(memory_format=memory_format)
    theirs = captum_maps(method, model, images.clone()).detach().sum(dim=1)
    assert_maps_equal(our_maps(method, model, images, model[3]), theirs.numpy())


def test_occlusion_equals_feature_ablation_of_captum(model, images):
    mask = (CELL_OF_PIXEL[:, None] * 12 + CELL_OF_PIXEL)[None, None]
    ablation = FeatureAblation(model).attribute(images, target=LABELS, feature_mask=mask)
    ours = our_maps("occlusion", model, images, model[3])
    assert_maps_equal(ours[:, CELL_OF_PIXEL][:, :, CELL_OF_PIXEL], ablation[:, 0].numpy())


@EVERY_MEMORY_FORMAT
@pytest.mark.parametrize("method", PYTORCH_GRAD_CAM)
def test_unscaled_maps_equal_pytorch_grad_cam(model, images, method, memory_format):
    model = model.to(memory_format=memory_format)
    images = images.to(memory_format=memory_format)
    theirs = unscaled_cam(PYTORCH_GRAD_CAM[method], model, images, model[3])
    assert_maps_equal(our_maps(method, model, images, model[3]), theirs)


@pytest.mark.parametrize("method", PYTORCH_GRAD_CAM)
def test_scaled_maps_equal_pytorch_grad_cam(model, images, method):
    with PYTORCH_GRAD_CAM[method](model, [model[3]]) as cam:
        theirs = cam(images, [ClassifierOutputTarget(label) for label in LABELS.tolist()])
    ours = np.maximum(our_maps(method, model, images, model[3]), 0)
    scaled = scale_cam_image(scale_cam_image(ours, (15, 15)))
    np.testing.assert_allclose(scaled, theirs, atol=1e-4)


@EVERY_MEMORY_FORMAT
@pytest.mark.parametrize("method", PYTORCH_GRAD_CAM)
def test_resnet_maps_equal_pytorch_grad_cam(method, memory_format):
    """No in-place operation follows the block, so the library's own record is intact."""
    torch.manual_seed(0)
    model = resnet18(num_classes=4).eval().to(memory_format=memory_format)
    images = torch.randn(6, 3, 64, 64).to(memory_format=memory_format)
    theirs = unscaled_cam(PYTORCH_GRAD_CAM[method], model, images, model.layer2)
    assert_maps_equal(our_maps(method, model, images, model.layer2), theirs)


@pytest.mark.parametrize("build", [resnet18, mobilenet_v3_small])
def test_guided_backprop_handles_reused_in_place_relus(build):
    torch.manual_seed(0)
    model = build(num_classes=4).eval()
    images = torch.randn(2, 3, 48, 48)
    reference = GuidedBackpropReLUModel(copy.deepcopy(model))
    theirs = np.stack(
        [reference(images[[i]].clone(), int(LABELS[i])).sum(axis=-1) for i in range(2)]
    )
    assert_maps_equal(our_maps("guided_backprop", model, images, model), theirs)
    gradient = our_maps("saliency", model, images, model)
    assert np.abs(gradient - theirs).max() > 0.1 * np.abs(gradient).max()
