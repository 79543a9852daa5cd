"""Which tensors of a file fit a network: what is loaded, what is new, what is missing."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from resomap.config.schema import Architecture
from resomap.errors import ConfigError
from resomap.models.check import build_shapes

COUNTER = (
    "num_batches_tracked"  # of BatchNorm; absent from old files, and nothing reads it here
)
MOST_NAMES = 3
POSITIONS = ("pos_embed", "pos_embedding", "position_embeddings")
"""Ends of the names of learned positions, one row of the table for each token."""


@dataclass(frozen=True)
class Match:
    """The tensors of a file that a network takes, by the names and in the shapes of the network.

    `new` are the tensors of the classifier that keep their random weights, `resized` the tables
    of positions that were interpolated. `missing` and `misshapen` are tensors of the network
    without a counterpart, or with one of another shape; `unused` are tensors of the file.
    `num_backbone` counts the tensors of the network without its classifier.
    """

    tensors: dict[str, Tensor]
    new: tuple[str, ...] = ()
    resized: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    misshapen: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    num_backbone: int = 0

    @property
    def num_fitting(self) -> int:
        """Return the number of tensors of the backbone that are loaded."""
        return self.num_backbone - len(self.missing) - len(self.misshapen)

    @property
    def differing(self) -> list[str]:
        """Return the names that only one of both has, or in another shape, in order."""
        return sorted([*self.missing, *self.misshapen, *self.unused])

    def record(self) -> dict[str, Any]:
        """Return the counts and names for metrics.json."""
        return {
            "loaded": len(self.tensors),
            "backbone": self.num_backbone,
            "new_classifier": list(self.new),
            "resized": list(self.resized),
            "missing": list(self.missing),
            "other_shape": list(self.misshapen),
            "unused": list(self.unused),
        }

    def sentence(self) -> str:
        """Return what was loaded and what was not, in one line."""
        parts = [f"{self.num_fitting} of {self.num_backbone} tensors of the backbone loaded"]
        kinds = {
            "new classifier": self.new,
            "interpolated": self.resized,
            "missing": self.missing,
            "of another shape": self.misshapen,
            "unused": self.unused,
        }
        parts += [f"{kind}: {list_names(names)}" for kind, names in kinds.items() if names]
        return "; ".join(parts)


def match_weights(
    state: Mapping[str, Tensor], weights: Mapping[str, Tensor], classifier: Collection[str]
) -> Match:
    """Return how `weights` fit a network of tensors `state`, of which only shapes are read.

    `classifier` names the tensors of its last layers: see `classifier_tensors`.
    """
    tensors, resized = dict[str, Tensor](), list[str]()
    missing, misshapen, new = list[str](), list[str](), list[str]()
    counted = [name for name in state if not name.endswith(COUNTER)]
    for name in state:
        found = _fit(name, weights.get(name), state[name])
        if found is not None:
            tensors[name] = found
            if found is not weights[name]:
                resized.append(name)
        elif name in classifier:
            new.append(name)
        elif name in counted:
            (misshapen if name in weights else missing).append(name)
    unused = [name for name in weights if name not in state and not name.endswith(COUNTER)]
    return Match(
        tensors,
        tuple(new),
        tuple(resized),
        tuple(missing),
        tuple(misshapen),
        tuple(unused),
        num_backbone=len(set(counted) - set(classifier)),
    )


def _fit(name: str, tensor: Tensor | None, wanted: Tensor) -> Tensor | None:
    if tensor is None or tensor.shape == wanted.shape:
        return tensor
    if not name.endswith(POSITIONS):
        return None
    return resize_positions(tensor, wanted.shape)


def resize_positions(table: Tensor, shape: torch.Size) -> Tensor | None:
    """Return the positions (1, T, D) of a square grid of tokens for another square grid.

    Bicubic, antialiased, as in timm. Class and register tokens, which come first, stay. None
    where `table` or `shape` is no such table, or the embeddings differ in their size D.
    """
    if table.ndim != 3 or len(shape) != 3 or table.shape[0] != 1 or table.shape[2] != shape[2]:
        return None
    first = _num_first_tokens(table.shape[1], shape[1])
    if first is None:
        return None
    kept, grid = table[:, :first], table[:, first:].float()
    old, new = (math.isqrt(count - first) for count in (table.shape[1], shape[1]))
    # As an image of D channels: (1, D, side, side).
    image = grid.reshape(1, old, old, -1).permute(0, 3, 1, 2)
    resized = functional.interpolate(image, (new, new), mode="bicubic", antialias=True)
    tokens = resized.flatten(2).transpose(1, 2).to(table.dtype)
    return torch.cat([kept, tokens], dim=1)


def _num_first_tokens(*counts: int) -> int | None:
    """Return the smallest number of tokens beside a square grid that all `counts` allow."""
    for first in range(min(counts)):
        if all(math.isqrt(count - first) ** 2 == count - first for count in counts):
            return first
    return None


def classifier_tensors(architecture: Architecture) -> frozenset[str]:
    """Return the names of the tensors whose shape follows from the number of classes."""
    few, more = (
        build_shapes(architecture, num_classes=classes).state_dict() for classes in (3, 4)
    )
    return frozenset(name for name in few if few[name].shape != more[name].shape)


def to_rgb(weights: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Return `weights` for RGB images, where `weights` were trained on BGR.

    The first convolution reads its channels in the reverse order. ConfigError where the network
    has no single convolution of three channels.
    """
    firsts = [
        f"{name}.weight"
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.in_channels == 3 and module.groups == 1
    ]
    if len(firsts) != 1 or firsts[0] not in weights:
        raise ConfigError(
            f"color_order: bgr: {len(firsts)} convolutions take three channels: expected one, "
            "the first"
        )
    return {**weights, firsts[0]: weights[firsts[0]].flip(1)}


def list_names(names: Collection[str]) -> str:
    """Return the first names, and how many more there are."""
    shown = ", ".join(list(names)[:MOST_NAMES])
    more = len(names) - MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
