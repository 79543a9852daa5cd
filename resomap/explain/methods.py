"""The methods of attribution, each a few lines around the library that defines it; a new one is a function and an entry of METHODS."""

import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

OCCLUSION_CELLS = 12
NOISE = 0.15  # standard deviation of SmoothGrad's noise in ranges of the picture (Smilkov et al. 2017, section 3.1)


@dataclass(frozen=True)
class AttributionSettings:
    """What a method may need: the block that a layer method reads, steps of Integrated Gradients, noises of SmoothGrad, pictures in a pass."""

    layer: nn.Module
    ig_steps: int
    smoothgrad_samples: int
    batch_size: int


class TargetScore(nn.Module):
    """A network reduced to the one number a picture that is explained: a weighted sum of its logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, weights: Tensor) -> Tensor:
        """Evidence (n,) of images (n, 3, r, r) under weights (n, classes)."""
        evidence: Tensor = (self.model(images) * weights).sum(dim=1)
        return evidence


def _gradcam(
    evidence: TargetScore, images: Tensor, weights: Tensor, settings: AttributionSettings
) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017) without its last ReLU; with frozen weights the graph starts at the layer."""
    from captum.attr import LayerGradCam

    explainer = LayerGradCam(evidence, settings.layer)
    attributions: Tensor = explainer.attribute(
        images, additional_forward_args=weights, relu_attributions=False
    )
    return attributions


def _hirescam(
    evidence: TargetScore, images: Tensor, weights: Tensor, settings: AttributionSettings
) -> Tensor:
    """HiResCAM (Draelos & Carin 2020): gradient times activation in every cell, where Grad-CAM averages the gradient over the map first.

    The two are the same where nothing but global pooling and a linear layer follow the block.
    """
    from captum.attr import LayerGradientXActivation

    explainer = LayerGradientXActivation(evidence, settings.layer)
    attributions: Tensor = explainer.attribute(images, additional_forward_args=weights)
    return attributions


def _gradcam_plus_plus(
    evidence: TargetScore, images: Tensor, weights: Tensor, settings: AttributionSettings
) -> Tensor:
    """Grad-CAM++ (Chattopadhay et al. 2018) before pytorch-grad-cam clips and scales it.

    Meant for a layer whose output is nowhere negative. It is not linear in the evidence, and the library's 1e-6 against division by zero
    outweighs gradients below about 1e-3: there a channel's weight grows with their cube.
    """
    from pytorch_grad_cam import GradCAMPlusPlus

    layer = settings.layer
    with ExitStack() as hooks:
        hooks.enter_context(layer.register_forward_hook(_start_graph))
        cam = GradCAMPlusPlus(_Bound(evidence, weights), [layer])
        hooks.callback(cam.activations_and_grads.release)
        hooks.enter_context(layer.register_forward_hook(_copy))
        cam.activations_and_grads(images).sum().backward()
        (activations,), (gradients,) = (
            cam.activations_and_grads.activations,
            cam.activations_and_grads.gradients,
        )
        attributions = cam.get_cam_image(
            images, layer, None, activations.numpy(), gradients.numpy()
        )
    return torch.from_numpy(attributions)[:, None]


class _Bound(nn.Module):
    """Evidence under fixed weights: pytorch-grad-cam gives a network nothing but images."""

    def __init__(self, evidence: TargetScore, weights: Tensor) -> None:
        super().__init__()
        self.evidence, self.weights = evidence, weights

    def forward(self, images: Tensor) -> Tensor:
        evidence: Tensor = self.evidence(images, self.weights)
        return evidence


def _start_graph(_layer: nn.Module, _inputs: object, output: Tensor) -> Tensor:
    return output.detach().requires_grad_()


def _copy(_layer: nn.Module, _inputs: object, output: Tensor) -> Tensor:
    """What follows works on a copy: pytorch-grad-cam on a CPU keeps the layer's own memory, which an operation in place overwrites."""
    return output.clone()


def _integrated_gradients(
    evidence: TargetScore, images: Tensor, weights: Tensor, settings: AttributionSettings
) -> Tensor:
    """Integrated Gradients (Sundararajan et al. 2017) from the baseline 0, which after normalisation is the mean training colour."""
    from captum.attr import IntegratedGradients

    explainer = IntegratedGradients(evidence)
    attributions: Tensor = explainer.attribute(
        images,
        baselines=0,
        additional_forward_args=weights,
        n_steps=settings.ig_steps,
        internal_batch_size=settings.batch_size,
    )
    return attributions


def _saliency(
    evidence: TargetScore, images: Tensor, weights: Tensor, _settings: AttributionSettings
) -> Tensor:
    """The gradient (Simonyan et al. 2014) with its sign."""
    from captum.attr import Saliency

    attributions: Tensor = Saliency(evidence).attribute(
        images.requires_grad_(), abs=False, additional_forward_args=weights
    )
    return attributions


def _smoothgrad(
    evidence: TargetScore, images: Tensor, weights: Tensor, settings: AttributionSettings
) -> Tensor:
    """SmoothGrad (Smilkov et al. 2017): the mean gradient with its sign over noisy copies of the picture.

    The noises are drawn on the CPU for one picture and shared by all, so that neither the batch nor the device changes them; captum's
    NoiseTunnel draws anew for every batch.
    """
    spread = NOISE * (
        images.amax(dim=(1, 2, 3), keepdim=True) - images.amin(dim=(1, 2, 3), keepdim=True)
    )
    draw = torch.Generator().manual_seed(0)
    total = torch.zeros_like(images)
    for _ in range(settings.smoothgrad_samples):
        noise = torch.randn(images.shape[1:], generator=draw).to(images.device)
        total += _saliency(evidence, images + spread * noise, weights, settings)
    return total / settings.smoothgrad_samples


def _guided_backprop(
    evidence: TargetScore, images: Tensor, weights: Tensor, _settings: AttributionSettings
) -> Tensor:
    """Guided backpropagation (Springenberg et al. 2015): the gradient, of which every ReLU lets only positive parts through.

    It changes modules of type nn.ReLU alone, also those that are used twice: a network without them (F.relu, GELU, SiLU) gets its plain
    gradient, one with some of them (mobilenet_v3) something between.
    """
    from captum.attr import GuidedBackprop

    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Setting backward hooks on ReLU"
        )  # said at every call, and they are removed again
        attributions: Tensor = GuidedBackprop(evidence).attribute(
            images.requires_grad_(), additional_forward_args=weights
        )
    return attributions


def _occlusion(
    evidence: TargetScore, images: Tensor, weights: Tensor, settings: AttributionSettings
) -> Tensor:
    """Occlusion (Zeiler & Fergus 2014) on a grid: the evidence that is lost with each cell painted in the mean training colour.

    The map has a value for each of 12 x 12 cells, equal but for a pixel, or for each pixel of a smaller picture.
    """
    from captum.attr import FeatureAblation

    side = images.shape[-1]
    cells = torch.arange(min(OCCLUSION_CELLS, side), device=images.device)
    line = torch.arange(side, device=images.device) * len(cells) // side
    lost: Tensor = FeatureAblation(evidence).attribute(
        images,
        baselines=0,
        additional_forward_args=weights,
        feature_mask=(line[:, None] * len(cells) + line)[None, None],
        perturbations_per_eval=max(1, settings.batch_size // len(images)),
    )
    corners = torch.searchsorted(line, cells)
    return lost[:, :1, corners][..., corners]


@dataclass(frozen=True)
class Method:
    """A way to attribute: `compute(evidence, images, weights, settings)` gives signed values (n, channels, h, w)."""

    compute: Callable[[TargetScore, Tensor, Tensor, AttributionSettings], Tensor]
    reads: Literal["layer", "input"]


METHODS = {
    "gradcam": Method(_gradcam, reads="layer"),
    "hirescam": Method(_hirescam, reads="layer"),
    "gradcam_plus_plus": Method(_gradcam_plus_plus, reads="layer"),
    "integrated_gradients": Method(_integrated_gradients, reads="input"),
    "saliency": Method(_saliency, reads="input"),
    "smoothgrad": Method(_smoothgrad, reads="input"),
    "guided_backprop": Method(_guided_backprop, reads="input"),
    "occlusion": Method(_occlusion, reads="input"),
}
