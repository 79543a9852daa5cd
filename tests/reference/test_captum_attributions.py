"""Our attributions against the libraries that define them, called as their users would, in the same memory format."""

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
CELL = torch.arange(15) * 12 // 15  # of each row and column, on a grid of 12 x 12


def guided_backprop(model: nn.Module, images: Tensor) -> Tensor:
    with warnings.catch_warnings(
        action="ignore", category=UserWarning
    ):  # it announces its hooks at every call
        return GuidedBackprop(model).attribute(images.requires_grad_(), LABELS)


CAPTUM = {
    "gradcam": lambda model, images: LayerGradCam(model, model[3]).attribute(images, LABELS),
    "hirescam": lambda model, images: LayerGradientXActivation(model, model[3]).attribute(
        images, LABELS
    ),
    "integrated_gradients": lambda model, images: IntegratedGradients(model).attribute(
        images, target=LABELS, n_steps=16
    ),
    "saliency": lambda model, images: Saliency(model).attribute(
        images.requires_grad_(), LABELS, abs=False
    ),
    "guided_backprop": guided_backprop,
}
PYTORCH_GRAD_CAM = {
    "gradcam": GradCAM,
    "hirescam": HiResCAM,
    "gradcam_plus_plus": GradCAMPlusPlus,
}
FORMATS = pytest.mark.parametrize(
    "memory_format",
    [torch.contiguous_format, torch.channels_last],
    ids=["contiguous", "channels_last"],
)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU()),
        *(
            nn.Conv2d(8, 8, 3),
            nn.Tanh(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(32, 4),
        ),
    )
    return network.eval()


@pytest.fixture
def images() -> Tensor:
    return torch.randn(6, 3, 15, 15, generator=torch.Generator().manual_seed(1))


def ours(method: str, model: nn.Module, images: Tensor, layer: nn.Module) -> np.ndarray:
    classes = model(images[:1]).shape[1]
    weights = torch.eye(classes)[LABELS[: len(images)]]
    return attribute(
        method,
        model,
        images,
        weights,
        AttributionSettings(layer, ig_steps=16, smoothgrad_samples=4, batch_size=len(images)),
    )


def before_scaling(
    kind: type[GradCAM], model: nn.Module, images: Tensor, layer: nn.Module
) -> np.ndarray:
    """The map of pytorch-grad-cam before it clips and scales, by its own parts."""
    cam = kind(model, [layer])
    try:
        cam.activations_and_grads(images).gather(
            1, LABELS[: len(images), None]
        ).sum().backward()
        activations, gradients = (
            kept[0].numpy()
            for kept in (
                cam.activations_and_grads.activations,
                cam.activations_and_grads.gradients,
            )
        )
        return cam.get_cam_image(images, layer, None, activations, gradients, False)
    finally:
        cam.activations_and_grads.release()


def assert_equal(found: np.ndarray, theirs: np.ndarray) -> None:
    largest = np.abs(theirs).max()
    assert largest > 0
    np.testing.assert_allclose(found, theirs, rtol=1e-5, atol=1e-5 * largest)


@FORMATS
@pytest.mark.parametrize("method", CAPTUM)
def test_maps_equal_those_of_captum(model, images, method, memory_format):
    model, images = (
        model.to(memory_format=memory_format),
        images.to(memory_format=memory_format),
    )
    theirs = CAPTUM[method](model, images.clone()).detach().sum(dim=1)
    assert_equal(ours(method, model, images, model[3]), theirs.numpy())


def test_occlusion_equals_captums_ablation_of_the_same_cells(model, images):
    cells = CELL[:, None] * 12 + CELL
    theirs = (
        FeatureAblation(model)
        .attribute(images, target=LABELS, feature_mask=cells[None, None])[:, 0]
        .numpy()
    )
    assert_equal(ours("occlusion", model, images, model[3])[:, CELL][:, :, CELL], theirs)


@FORMATS
@pytest.mark.parametrize("method", PYTORCH_GRAD_CAM)
def test_maps_equal_those_of_pytorch_grad_cam_before_it_scales(
    model, images, method, memory_format
):
    model, images = (
        model.to(memory_format=memory_format),
        images.to(memory_format=memory_format),
    )
    assert_equal(
        ours(method, model, images, model[3]),
        before_scaling(PYTORCH_GRAD_CAM[method], model, images, model[3]),
    )


@pytest.mark.parametrize("method", PYTORCH_GRAD_CAM)
def test_scaled_as_pytorch_grad_cam_does_the_maps_are_those_it_shows(model, images, method):
    with PYTORCH_GRAD_CAM[method](model, [model[3]]) as cam:
        shown = cam(images, [ClassifierOutputTarget(label) for label in LABELS.tolist()])
    scaled = scale_cam_image(np.maximum(ours(method, model, images, model[3]), 0), (15, 15))
    np.testing.assert_allclose(scale_cam_image(scaled), shown, atol=1e-4)


@FORMATS
@pytest.mark.parametrize("method", PYTORCH_GRAD_CAM)
def test_on_a_resnet_nothing_follows_in_place_and_the_maps_are_the_same(method, memory_format):
    torch.manual_seed(0)
    model = resnet18(num_classes=4).eval().to(memory_format=memory_format)
    images = torch.randn(6, 3, 64, 64).to(memory_format=memory_format)
    assert_equal(
        ours(method, model, images, model.layer2),
        before_scaling(PYTORCH_GRAD_CAM[method], model, images, model.layer2),
    )


@pytest.mark.parametrize("build", [resnet18, mobilenet_v3_small])
def test_guided_backprop_holds_where_relus_are_reused_and_in_place(build):
    torch.manual_seed(0)
    model = build(num_classes=4).eval()
    images = torch.randn(2, 3, 48, 48)
    reference = GuidedBackpropReLUModel(copy.deepcopy(model))
    theirs = np.stack(
        [reference(images[[i]].clone(), int(LABELS[i])).sum(axis=-1) for i in range(2)]
    )
    assert_equal(ours("guided_backprop", model, images, model), theirs)
    gradient = ours("saliency", model, images, model)
    assert np.abs(gradient - theirs).max() > 0.1 * np.abs(gradient).max()
