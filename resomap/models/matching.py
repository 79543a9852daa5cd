"""Which tensors of a file fit a network: what is loaded, what is new, what is missing."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from resomap.config.architecture import Architecture
from resomap.errors import ConfigError
from resomap.models.positions import resize_position_embeddings
from resomap.models.registry import build_on_meta

COUNTER = (
    "num_batches_tracked"  # of BatchNorm; absent from old files, and nothing reads it here
)
MOST_NAMES = 3


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
    network: nn.Module, weights: Mapping[str, Tensor], classifier: Collection[str]
) -> Match:
    """Return how `weights` fit a network, which may be on the meta device.

    `classifier` names the tensors of its last layers: see `classifier_tensors`.
    """
    state, fitted = network.state_dict(), _resize_positions(weights, network)
    tensors, resized = dict[str, Tensor](), list[str]()
    missing, misshapen, new = list[str](), list[str](), list[str]()
    counted = [name for name in state if not name.endswith(COUNTER)]
    for name in state:
        found = fitted.get(name)
        if found is not None and found.shape == state[name].shape:
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


def _resize_positions(weights: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Return `weights` with positions on the grid of the network, where they are of its kind."""
    state, kept = network.state_dict(), dict(weights)
    for name, tensor in weights.items():
        if name in state and tensor.shape != state[name].shape:
            # A table (1, T, D) for another width D belongs to another network.
            is_alike = tensor.ndim == state[name].ndim
            if is_alike and (tensor.ndim != 3 or tensor.shape[2] == state[name].shape[2]):
                with suppress(ConfigError):  # no grid: the match names it
                    kept.update(resize_position_embeddings({name: tensor}, network))
    return kept


def classifier_tensors(architecture: Architecture) -> frozenset[str]:
    """Return the names of the tensors whose shape follows from the number of classes."""
    few, more = (build_on_meta(architecture, classes, None).state_dict() for classes in (3, 4))
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
