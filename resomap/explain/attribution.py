"""Attribution maps: how much each cell of an image contributes to the explained score.

Maps are signed, not rescaled, and on the method's own grid.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from resomap.explain.methods import METHODS, AttributionSettings, TargetScore
from resomap.metrics import pair_partners

__all__ = [
    "METHODS",
    "AttributionSettings",
    "ExplainedTargets",
    "Target",
    "TargetScore",
    "attribute",
    "choose_targets",
    "completeness_errors",
    "frozen",
]

Target = Literal["label", "prediction", "contrast"]


@dataclass(frozen=True)
class ExplainedTargets:
    """The explained score of each image.

    `logits` are float32 (n, C). `targets` and `rivals` are class indices int64 (n,), -1 for no
    rival. `weights` are float32 (n, C) on the CPU, 1 at the target and -1 at the rival: the
    score is the weighted sum of the logits.
    """

    logits: np.ndarray
    targets: np.ndarray
    rivals: np.ndarray
    weights: Tensor

    def first(self, count: int) -> "ExplainedTargets":
        """Return the targets of the first `count` images."""
        return ExplainedTargets(
            self.logits[:count], self.targets[:count], self.rivals[:count], self.weights[:count]
        )


def choose_targets(
    model: nn.Module,
    images: Tensor,
    labels: np.ndarray,
    *,
    target: Target,
    pairs: Sequence[Sequence[int]] | None,
    batch_size: int,
) -> ExplainedTargets:
    """Choose the explained score of normalised float32 images (n, 3, r, r), n > 0, labels (n,).

    `target` is the logit of the label, the logit of the predicted class, or for `contrast` the
    label's logit minus its pair partner's. A label without a partner is contrasted with the
    strongest other class.
    """
    with torch.no_grad(), frozen(model):
        parts = [model(batch).cpu() for (batch,) in _batches(model, batch_size, images)]
        logits = torch.cat(parts).numpy()
    targets = logits.argmax(axis=1) if target == "prediction" else labels
    rivals = np.full(len(labels), -1)
    if target == "contrast":
        rivals = _find_rivals(logits, labels, pairs)
    classes = np.arange(logits.shape[1])
    weights = (classes == targets[:, None]).astype(np.float32) - (classes == rivals[:, None])
    return ExplainedTargets(logits, targets, rivals, torch.from_numpy(weights))


def attribute(
    method: str,
    model: nn.Module,
    images: Tensor,
    weights: Tensor,
    settings: AttributionSettings,
) -> np.ndarray:
    """Compute the maps of normalised float32 images (n, 3, r, r), n > 0, by one of METHODS.

    Returns signed attributions summed over channels, float32 (n, h, w). `weights` (n, C) define
    the explained score: see `choose_targets`. `settings.batch_size` bounds the images (times
    steps) of a forward pass and affects results only by rounding.
    """
    score, compute = TargetScore(model), METHODS[method].compute
    maps = []
    with frozen(model):
        for batch, part in _batches(model, settings.batch_size, images, weights):
            attributions = compute(score, batch, part, settings)
            maps.append(attributions.detach().float().sum(dim=1).cpu())
    return torch.cat(maps).numpy()


def completeness_errors(
    model: nn.Module, images: Tensor, weights: Tensor, attributions: np.ndarray, batch_size: int
) -> np.ndarray:
    """Compute how far attributions (n, h, w) violate completeness: float64 (n,), 0 is exact.

    Completeness (Sundararajan et al. 2017, section 3) requires the attributions of an image to
    add up to its score minus the score of the baseline 0. The result is NaN where the network
    returns the same score for every image and the baseline.
    """
    score = TargetScore(model)
    changes = []
    with torch.no_grad(), frozen(model):
        for batch, part in _batches(model, batch_size, images, weights):
            change = score(batch, part) - score(torch.zeros_like(batch), part)
            changes.append(change.cpu().double())
        change = torch.cat(changes)
    # float64, because a float32 sum over thousands of pixels has an error of its own.
    error = torch.from_numpy(attributions).double().sum(dim=(1, 2)) - change
    # In units of the mean change over the images: the change of a single image may be near 0.
    return (error.abs() / change.abs().mean()).numpy()


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Freeze a network while it is explained, and restore its state afterwards.

    Sets evaluation mode, weights without gradients, out-of-place modules and deterministic
    convolutions.
    """
    modes = [(module, module.training) for module in model.modules()]
    trainable = [(weight, weight.requires_grad) for weight in model.parameters()]
    # A module that works in place overwrites the output of a layer before a hook has read it,
    # or, as the first module, the image itself.
    in_place: list[Any] = [
        module for module in model.modules() if getattr(module, "inplace", False)
    ]
    model.eval().requires_grad_(False)
    for module in in_place:
        module.inplace = False
    try:
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        for weight, requires_grad in trainable:
            weight.requires_grad_(requires_grad)
        for module in in_place:
            module.inplace = True


def _batches(
    model: nn.Module, batch_size: int, *tensors: Tensor
) -> Iterator[tuple[Tensor, ...]]:
    """Yield matching batches of the tensors on the device of the network."""
    device = next(model.parameters()).device
    splits = (torch.split(tensor, batch_size) for tensor in tensors)
    for parts in zip(*splits, strict=True):
        yield tuple(part.to(device) for part in parts)


def _find_rivals(
    logits: np.ndarray, labels: np.ndarray, pairs: Sequence[Sequence[int]] | None
) -> np.ndarray:
    """Return the class (n,) that each label is contrasted with."""
    others = logits.copy()
    np.put_along_axis(others, labels[:, None], -np.inf, axis=1)
    partners = pair_partners(pairs, logits.shape[1])[labels]
    rivals: np.ndarray = np.where(partners < 0, others.argmax(axis=1), partners)
    return rivals
