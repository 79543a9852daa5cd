"""Attribution methods, each a thin layer over the library that defines it.

To add a method, write a function with the signature of `AttributionMethod.compute` and list it
in `METHODS`. Every method returns signed values without rescaling.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

OCCLUSION_CELLS = 12
# Standard deviation of SmoothGrad's noise, in units of the image's value range
# (Smilkov et al. 2017, section 3.1 recommends 10 to 20 %).
SMOOTHGRAD_NOISE = 0.15


class MapView(Protocol):
    """How the output of a layer holds a map: as one of a convolution, or as a grid of tokens."""

    def to_map(self, output: Tensor) -> Tensor:
        """Return the map (N, C, h, h) of an output."""
        ...

    def from_map(self, features: Tensor, output: Tensor) -> Tensor:
        """Return `output` with the map `features` (N, C, h, h) in the place of its own."""
        ...


@dataclass(frozen=True)
class AttributionSettings:
    """Parameters of the methods: the block of layer methods, sample counts, batch size.

    `view` is None where the output of `layer` is a map (N, C, h, h) itself.
    """

    layer: nn.Module
    ig_steps: int
    smoothgrad_samples: int
    batch_size: int
    view: MapView | None = None


@contextmanager
def readable_layer(settings: AttributionSettings) -> Iterator[nn.Module]:
    """Yield a module whose output is the map (N, C, h, h) of the layer, in every forward pass.

    The libraries read modules. For tokens it is a module of its own in the path of the layer's
    output, which is reshaped to a map for it and back; extra tokens pass beside it.
    """
    view = settings.view
    if view is None:
        yield settings.layer
        return
    window = nn.Identity()

    def look(_layer: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        return view.from_map(window(view.to_map(output)), output)

    with ExitStack() as hooks:
        hooks.callback(settings.layer.register_forward_hook(look).remove)
        yield window


class TargetScore(nn.Module):
    """A network reduced to the scalar that is explained: a weighted sum of its logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, weights: Tensor) -> Tensor:
        """Return the scores (n,) of images (n, 3, r, r) under logit weights (n, classes)."""
        score: Tensor = (self.model(images) * weights).sum(dim=1)
        return score


class _FixedTargetScore(nn.Module):
    """A `TargetScore` with fixed weights, for pytorch-grad-cam, which passes only images."""

    def __init__(self, score: TargetScore, weights: Tensor) -> None:
        super().__init__()
        self.score, self.weights = score, weights

    def forward(self, images: Tensor) -> Tensor:
        score: Tensor = self.score(images, self.weights)
        return score


def _gradcam(
    score: TargetScore, images: Tensor, weights: Tensor, settings: AttributionSettings
) -> Tensor:
    """Compute Grad-CAM without its final ReLU (Selvaraju et al. 2017)."""
    from captum.attr import LayerGradCam

    # Neither images nor weights require gradients here, so captum starts the graph at the
    # layer: nothing below it is differentiated or kept in memory.
    with readable_layer(settings) as layer:
        attributions: Tensor = LayerGradCam(score, layer).attribute(
            images, additional_forward_args=weights, relu_attributions=False
        )
    return attributions


def _hirescam(
    score: TargetScore, images: Tensor, weights: Tensor, settings: AttributionSettings
) -> Tensor:
    """Compute HiResCAM (Draelos & Carin 2020): gradient times activation in every cell.

    Grad-CAM averages the gradient over the map first. Both are equal where only global pooling
    and a linear layer follow the block.
    """
    from captum.attr import LayerGradientXActivation

    with readable_layer(settings) as layer:
        attributions: Tensor = LayerGradientXActivation(score, layer).attribute(
            images, additional_forward_args=weights
        )
    return attributions


def _gradcam_plus_plus(
    score: TargetScore, images: Tensor, weights: Tensor, settings: AttributionSettings
) -> Tensor:
    """Compute Grad-CAM++ (Chattopadhay et al. 2018) before clipping and rescaling.

    The method assumes a layer with non-negative output and is not linear in the score. Where
    gradients are below about 1e-3, the library's epsilon of 1e-6 dominates the denominator, and
    the weight of a channel grows with the cube of the gradient.
    """
    from pytorch_grad_cam import GradCAMPlusPlus

    with readable_layer(settings) as layer, ExitStack() as hooks:
        # Forward hooks run in the order of registration: start the graph at the layer, let
        # pytorch-grad-cam record the output, then pass a copy on. On a CPU the library keeps
        # the layer's own memory, which a later in-place operation would overwrite.
        hooks.enter_context(layer.register_forward_hook(_start_graph))
        cam = GradCAMPlusPlus(_FixedTargetScore(score, weights), [layer])
        recorded = cam.activations_and_grads
        hooks.callback(recorded.release)
        hooks.enter_context(layer.register_forward_hook(_copy_output))
        recorded(images).sum().backward()
        (activations,), (gradients,) = recorded.activations, recorded.gradients
        attributions = cam.get_cam_image(
            images, layer, None, activations.numpy(), gradients.numpy()
        )
    return torch.from_numpy(attributions)[:, None]


def _start_graph(_layer: nn.Module, _inputs: object, output: Tensor) -> Tensor:
    return output.detach().requires_grad_()


def _copy_output(_layer: nn.Module, _inputs: object, output: Tensor) -> Tensor:
    return output.clone()


def _integrated_gradients(
    score: TargetScore, images: Tensor, weights: Tensor, settings: AttributionSettings
) -> Tensor:
    """Compute Integrated Gradients (Sundararajan et al. 2017) from the baseline 0.

    After normalisation, 0 is the mean colour of the training images, or of those that the
    initial weights were trained on.
    """
    from captum.attr import IntegratedGradients

    # captum evaluates images x steps in one pass; `internal_batch_size` bounds that product.
    attributions: Tensor = IntegratedGradients(score).attribute(
        images,
        baselines=0,
        additional_forward_args=weights,
        n_steps=settings.ig_steps,
        internal_batch_size=settings.batch_size,
    )
    return attributions


def _saliency(
    score: TargetScore, images: Tensor, weights: Tensor, _settings: AttributionSettings
) -> Tensor:
    """Compute the signed gradient (Simonyan et al. 2014)."""
    from captum.attr import Saliency

    attributions: Tensor = Saliency(score).attribute(
        images.requires_grad_(), abs=False, additional_forward_args=weights
    )
    return attributions


def _smoothgrad(
    score: TargetScore, images: Tensor, weights: Tensor, settings: AttributionSettings
) -> Tensor:
    """Compute SmoothGrad (Smilkov et al. 2017): the mean signed gradient over noisy copies."""
    value_range = images.amax(dim=(1, 2, 3), keepdim=True) - images.amin(
        dim=(1, 2, 3), keepdim=True
    )
    # One noise sample is drawn on the CPU and shared by all images, so that the maps depend on
    # neither the batch size nor the device. captum's NoiseTunnel draws new noise per batch.
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros_like(images)
    for _ in range(settings.smoothgrad_samples):
        noise = torch.randn(images.shape[1:], generator=generator).to(images.device)
        noisy = images + SMOOTHGRAD_NOISE * value_range * noise
        total += _saliency(score, noisy, weights, settings)
    return total / settings.smoothgrad_samples


def _guided_backprop(
    score: TargetScore, images: Tensor, weights: Tensor, _settings: AttributionSettings
) -> Tensor:
    """Compute guided backpropagation (Springenberg et al. 2015).

    Every `nn.ReLU` module passes only positive gradients, also when it is used twice. A check
    before the sweep refuses networks with other activations, whose gradients would pass
    unchanged; those of functions, such as F.gelu, it cannot see.
    """
    from captum.attr import GuidedBackprop

    with warnings.catch_warnings():
        # captum warns at every call that it sets hooks, which it removes afterwards.
        warnings.filterwarnings("ignore", message="Setting backward hooks on ReLU")
        attributions: Tensor = GuidedBackprop(score).attribute(
            images.requires_grad_(), additional_forward_args=weights
        )
    return attributions


def _occlusion(
    score: TargetScore, images: Tensor, weights: Tensor, settings: AttributionSettings
) -> Tensor:
    """Compute occlusion (Zeiler & Fergus 2014): the score lost when a cell is set to 0.

    The grid has 12 x 12 cells whose sides differ by at most one pixel, or one cell per pixel
    for smaller images.
    """
    from captum.attr import FeatureAblation

    side = images.shape[-1]
    cells = torch.arange(min(OCCLUSION_CELLS, side), device=images.device)
    cell_of_pixel = torch.arange(side, device=images.device) * len(cells) // side
    lost: Tensor = FeatureAblation(score).attribute(
        images,
        baselines=0,
        additional_forward_args=weights,
        feature_mask=(cell_of_pixel[:, None] * len(cells) + cell_of_pixel)[None, None],
        # A pass holds images x ablated cells.
        perturbations_per_eval=max(1, settings.batch_size // len(images)),
    )
    corners = torch.searchsorted(cell_of_pixel, cells)
    return lost[:, :1, corners][..., corners]


@dataclass(frozen=True)
class AttributionMethod:
    """A method: `compute(score, images, weights, settings)` returns (n, channels, h, w)."""

    compute: Callable[[TargetScore, Tensor, Tensor, AttributionSettings], Tensor]
    reads: Literal["layer", "input"]


METHODS = {
    "gradcam": AttributionMethod(_gradcam, reads="layer"),
    "hirescam": AttributionMethod(_hirescam, reads="layer"),
    "gradcam_plus_plus": AttributionMethod(_gradcam_plus_plus, reads="layer"),
    "integrated_gradients": AttributionMethod(_integrated_gradients, reads="input"),
    "saliency": AttributionMethod(_saliency, reads="input"),
    "smoothgrad": AttributionMethod(_smoothgrad, reads="input"),
    "guided_backprop": AttributionMethod(_guided_backprop, reads="input"),
    "occlusion": AttributionMethod(_occlusion, reads="input"),
}
