import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients, LayerGradCam, Saliency
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from resomap.explain.attribution import attribute

torch.set_num_threads(1)
LABELS = np.array([0, 1, 2, 3, 3, 2])
LIBRARIES = {
    "gradcam": lambda model, images: LayerGradCam(model, model[3]).attribute(images, torch.from_numpy(LABELS)),
    "integrated_gradients": lambda model, images: IntegratedGradients(model).attribute(images, target=torch.from_numpy(LABELS), n_steps=16),
    "saliency": lambda model, images: Saliency(model).attribute(images.requires_grad_(), torch.from_numpy(LABELS), abs=False),
}


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)),
    )
    return network.eval()


@pytest.fixture
def images() -> Tensor:
    return torch.randn(6, 3, 15, 15, generator=torch.Generator().manual_seed(1))


def ours(method: str, model: nn.Module, images: Tensor) -> np.ndarray:
    return attribute(method, model, images, LABELS, target="label", pairs=None, layer=model[3], ig_steps=16, batch_size=32)[0]


@pytest.mark.parametrize("method", LIBRARIES)
def test_maps_equal_those_of_captum(model, images, method):
    theirs = LIBRARIES[method](model, images).detach().sum(dim=1).numpy()
    np.testing.assert_allclose(ours(method, model, images), theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())


def test_gradcam_equals_pytorch_grad_cam_before_it_scales(model, images):
    with GradCAM(model, [model[3]]) as cam:
        targets = [ClassifierOutputTarget(label) for label in LABELS]
        loss = sum(target(output) for target, output in zip(targets, cam.activations_and_grads(images), strict=True))
        loss.backward()
        (activations,) = (one.numpy() for one in cam.activations_and_grads.activations)
        (gradients,) = (one.numpy() for one in cam.activations_and_grads.gradients)
        theirs = cam.get_cam_image(images, model[3], targets, activations, gradients)
    np.testing.assert_allclose(ours("gradcam", model, images), theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())
