"""Attributions: how much each place of a picture speaks for what is explained, signed and unscaled, on the method's own grid."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from resomap.scores import pair_partners

Target = Literal["label", "prediction", "contrast"]


@dataclass(frozen=True)
class Settings:
    """What a method may need: the block that Grad-CAM reads, the steps of Integrated Gradients, the pictures in one forward pass."""

    layer: nn.Module
    ig_steps: int
    batch_size: int


@dataclass(frozen=True)
class Method:
    """A way to attribute: `compute(evidence, images, weights, settings)` gives signed values (n, channels, h, w)."""

    compute: Callable[["Evidence", Tensor, Tensor, Settings], Tensor]
    reads: Literal["layer", "input"]


class Evidence(nn.Module):
    """A network reduced to the one number a picture that is explained: a weighted sum of its logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, weights: Tensor) -> Tensor:
        """Evidence (n,) of images (n, 3, r, r) under weights (n, classes)."""
        evidence: Tensor = (self.model(images) * weights).sum(dim=1)
        return evidence


def _gradcam(evidence: Evidence, images: Tensor, weights: Tensor, settings: Settings) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017) without its last ReLU; with frozen weights the graph starts at the layer."""
    from captum.attr import LayerGradCam

    explainer = LayerGradCam(evidence, settings.layer)
    attributions: Tensor = explainer.attribute(images, additional_forward_args=weights, relu_attributions=False)
    return attributions


def _integrated_gradients(evidence: Evidence, images: Tensor, weights: Tensor, settings: Settings) -> Tensor:
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


def _saliency(evidence: Evidence, images: Tensor, weights: Tensor, settings: Settings) -> Tensor:
    """The gradient (Simonyan et al. 2014) with its sign."""
    from captum.attr import Saliency

    attributions: Tensor = Saliency(evidence).attribute(images.requires_grad_(), abs=False, additional_forward_args=weights)
    return attributions


METHODS = {
    "gradcam": Method(_gradcam, reads="layer"),
    "integrated_gradients": Method(_integrated_gradients, reads="input"),
    "saliency": Method(_saliency, reads="input"),
}


def attribute(
    method: str,
    model: nn.Module,
    images: Tensor,
    labels: np.ndarray,
    *,
    target: Target,
    pairs: Sequence[Sequence[int]] | None,
    layer: nn.Module,
    ig_steps: int,
    batch_size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Explain normalised float32 images (N, 3, r, r), N > 0, by one of METHODS, on the model's device.

    `target` is what is explained: the label's logit, the predicted class's, or for `contrast` the label's minus its pair partner's
    (minus the strongest other one's where its class is in no pair). Classes are chosen on the pictures as they are, before any
    method changes them.

    Returns the attributions, channels summed, float32 (N, h, w), and the explained class of each picture, int64 (N,). `batch_size` bounds
    the pictures (times steps) of a forward pass and changes nothing but rounding.
    """
    settings = Settings(layer, ig_steps, batch_size)
    with _frozen(model), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        batches = [batch.to(_device(model), memory_format=torch.channels_last) for batch in torch.split(images, batch_size)]
        targets, weights = _choose(target, _logits(model, batches), labels, pairs)
        evidence = Evidence(model)
        maps = [
            METHODS[method].compute(evidence, batch, part.to(_device(model)), settings).detach().float().sum(dim=1).cpu()
            for batch, part in zip(batches, torch.split(weights, batch_size), strict=True)
        ]
    return torch.cat(maps).numpy(), targets


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and weights that ask for no gradient; both as they were afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    trainable = [(weight, weight.requires_grad) for weight in model.parameters()]
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for weight, flag in trainable:
            weight.requires_grad_(flag)


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


@torch.no_grad()
def _logits(model: nn.Module, batches: Sequence[Tensor]) -> np.ndarray:
    return torch.cat([model(batch).cpu() for batch in batches]).numpy()


def _choose(target: Target, logits: np.ndarray, labels: np.ndarray, pairs: Sequence[Sequence[int]] | None) -> tuple[np.ndarray, Tensor]:
    """The explained classes (N,) and the weights (N, C) that make their evidence out of the logits."""
    targets = logits.argmax(axis=1) if target == "prediction" else labels
    weights = np.eye(logits.shape[1], dtype=np.float32)[targets]
    if target == "contrast":
        weights -= np.eye(logits.shape[1], dtype=np.float32)[_rivals(logits, labels, pairs)]
    return targets, torch.from_numpy(weights)


def _rivals(logits: np.ndarray, labels: np.ndarray, pairs: Sequence[Sequence[int]] | None) -> np.ndarray:
    others = logits.copy()
    np.put_along_axis(others, labels[:, None], -np.inf, axis=1)
    partners = pair_partners(pairs, logits.shape[1])[labels]
    rivals: np.ndarray = np.where(partners < 0, others.argmax(axis=1), partners)
    return rivals
