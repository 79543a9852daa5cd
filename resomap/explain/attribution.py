"""Attributions: how much each place of a picture speaks for what is explained, signed and unscaled, on the method's own grid."""

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
    """What is explained of each picture: the network's logits float32 (n, C), the class and its rival int64 (n,), -1 where there is none.

    `weights` float32 (n, C), on the CPU, make the evidence out of logits: 1 at the class, -1 at its rival.
    """

    logits: np.ndarray
    targets: np.ndarray
    rivals: np.ndarray
    weights: Tensor


def choose_targets(
    model: nn.Module,
    images: Tensor,
    labels: np.ndarray,
    *,
    target: Target,
    pairs: Sequence[Sequence[int]] | None,
    batch_size: int,
) -> ExplainedTargets:
    """Choose what is explained of normalised float32 images (n, 3, r, r), n > 0, with labels (n,), on the pictures as they are.

    `target` is the label's logit, the predicted class's, or for `contrast` the label's minus its pair partner's (minus the strongest
    other one's where its class is in no pair).
    """
    with torch.no_grad(), frozen(model):
        logits = torch.cat(
            [model(batch).cpu() for batch in _batches(model, images, batch_size)]
        ).numpy()
    targets = logits.argmax(axis=1) if target == "prediction" else labels
    rivals = (
        _rivals(logits, labels, pairs) if target == "contrast" else np.full(len(labels), -1)
    )
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
    """Explain the evidence of normalised float32 images (n, 3, r, r), n > 0, by one of METHODS, on the model's device.

    `weights` (n, C) make the evidence out of logits: see `choose`. Returns the attributions, signed, channels summed, float32
    (n, h, w). `settings.batch_size` bounds the pictures (times steps) of a forward pass and changes nothing but rounding.
    """
    evidence, compute = TargetScore(model), METHODS[method].compute
    with frozen(model):
        parts = zip(
            _batches(model, images, settings.batch_size),
            _batches(model, weights, settings.batch_size),
            strict=True,
        )
        maps = [
            compute(evidence, batch, part, settings).detach().float().sum(dim=1).cpu()
            for batch, part in parts
        ]
    return torch.cat(maps).numpy()


def completeness_errors(
    model: nn.Module, images: Tensor, weights: Tensor, attributions: np.ndarray, batch_size: int
) -> np.ndarray:
    """By how much attributions (n, h, w) fail to add up to what the picture changed: errors float64 (n,), 0 where they do.

    What changed is the evidence of the picture minus that of the baseline 0 (Sundararajan et al. 2017, axiom 3); the difference is in units
    of its mean magnitude over the pictures, so that no picture divides by almost nothing. NaN where the network says the same of all.
    """
    evidence = TargetScore(model)
    with torch.no_grad(), frozen(model):
        parts = zip(
            _batches(model, images, batch_size),
            _batches(model, weights, batch_size),
            strict=True,
        )
        changes = torch.cat(
            [
                (evidence(batch, part) - evidence(torch.zeros_like(batch), part)).cpu().double()
                for batch, part in parts
            ]
        )
    error = torch.from_numpy(attributions).double().sum(dim=(1, 2)) - changes
    return (error.abs() / changes.abs().mean()).numpy()


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, weights that ask for no gradient, no module that works in place, and reproducible convolutions; then all as it was.

    An operation in place would overwrite what a layer put out before a method has read it, or the picture itself.
    """
    modes = [(module, module.training) for module in model.modules()]
    trainable = [(weight, weight.requires_grad) for weight in model.parameters()]
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
        for weight, flag in trainable:
            weight.requires_grad_(flag)
        for module in in_place:
            module.inplace = True


def _batches(model: nn.Module, tensor: Tensor, batch_size: int) -> Iterator[Tensor]:
    device = next(model.parameters()).device
    return (part.to(device) for part in torch.split(tensor, batch_size))


def _rivals(
    logits: np.ndarray, labels: np.ndarray, pairs: Sequence[Sequence[int]] | None
) -> np.ndarray:
    others = logits.copy()
    np.put_along_axis(others, labels[:, None], -np.inf, axis=1)
    partners = pair_partners(pairs, logits.shape[1])[labels]
    rivals: np.ndarray = np.where(partners < 0, others.argmax(axis=1), partners)
    return rivals
