"""Which tensors of a file fit a network: what is loaded, what is new, what is missing."""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from resomap.errors import ConfigError
from resomap.models.positions import STATISTICS, resize_position_embeddings

MIN_SHARE = 0.9  # of a backbone's parameters; resnet18 has half of those of resnet34
MOST_NAMES = 3


@dataclass(frozen=True)
class Match:
    """The tensors of a file that a network takes, by the names and in the shapes of the network.

    `new` are the tensors of the classifier that keep their random weights, `resized` the tables
    of positions that were interpolated. `missing` and `misshapen` are tensors of the network
    without a counterpart, or with one of another shape; `unused` are tensors of the file.
    `num_backbone` counts the tensors of the network without its classifier, `share` is the part
    of the parameters among them that is loaded. `prefix` stood before every name in the file.
    """

    tensors: dict[str, Tensor]
    new: tuple[str, ...] = ()
    resized: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    misshapen: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    num_backbone: int = 0
    share: float = 0.0
    prefix: str = ""

    @property
    def num_fitting(self) -> int:
        """Return the number of tensors of the backbone that are loaded."""
        return self.num_backbone - len(self.missing) - len(self.misshapen)

    @property
    def percentage(self) -> str:
        """Return `share` in whole percent, rounded down: 100 % is all of it."""
        return f"{math.floor(100 * self.share)} %"

    @property
    def differing(self) -> list[str]:
        """Return the names that only one of both has, or in another shape, in order."""
        return sorted([*self.missing, *self.misshapen, *self.unused])

    def record(self) -> dict[str, Any]:
        """Return the counts and names for metrics.json."""
        return {
            "loaded": len(self.tensors),
            "backbone": self.num_backbone,
            "share_of_parameters": self.share,
            "prefix": self.prefix,
            "new_classifier": list(self.new),
            "resized": list(self.resized),
            "missing": list(self.missing),
            "other_shape": list(self.misshapen),
            "unused": list(self.unused),
        }

    def sentence(self) -> str:
        """Return what was loaded and what was not, in one line."""
        parts = [
            f"{self.num_fitting} of {self.num_backbone} tensors of the backbone loaded, "
            f"{self.percentage} of its parameters"
        ]
        kinds = {
            "prefix removed": [self.prefix] if self.prefix else [],
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

    `classifier` names the tensors of its last layers (`find_classifier`). Names of `weights`
    may all stand behind one prefix, such as `module.`.
    """
    state, learned = network.state_dict(), _learned_names(network)
    prefix = find_prefix(weights, state)
    given = {
        name.removeprefix(prefix): tensor
        for name, tensor in weights.items()
        if name.startswith(prefix)
    }
    fitted, tensors = dict(_resized_positions(given, network)), dict[str, Tensor]()
    missing, misshapen, new = list[str](), list[str](), list[str]()
    for name in state:
        found = fitted.get(name, given.get(name))
        if found is not None and found.shape == state[name].shape:
            tensors[name] = found
        elif name in classifier:
            new.append(name)
        elif name in learned:
            (misshapen if name in given else missing).append(name)
    backbone = [name for name in learned if name not in classifier]
    return Match(
        tensors,
        tuple(new),
        tuple(fitted),
        tuple(missing),
        tuple(misshapen),
        tuple(name for name in weights if not _is_used(name, prefix, state)),
        num_backbone=len(backbone),
        share=_share_of_parameters(network, backbone, tensors),
        prefix=prefix,
    )


def find_prefix(names: Collection[str], expected: Collection[str]) -> str:
    """Return what stands before most of the names of a network among the `names` of a file.

    Wrappers put it there: DistributedDataParallel, torch.compile, the modules of frameworks.
    ConfigError where two prefixes stand before as many names, as those of two encoders.
    """
    counts = Counter[str]()
    for name in names:
        for start in (0, *(dot.end() for dot in re.finditer(r"\.", name))):
            if name[start:] in expected:
                counts[name[:start]] += 1
    most = max(counts.values(), default=0)
    best = [prefix for prefix, count in counts.items() if count == most]
    # A few names such as 0.weight stand in many networks: no sign of several.
    if not best or "" in best or (len(best) > 1 and 2 * most < len(expected)):
        return ""
    if len(best) > 1:
        raise ConfigError(
            f"it holds several networks, as {list_names(best)}: choose one by "
            f"training.start.rename: {{'^{re.escape(best[0])}': ''}}"
        )
    return best[0]


def _is_used(name: str, prefix: str, state: Collection[str]) -> bool:
    return name.startswith(prefix) and name.removeprefix(prefix) in state


def _learned_names(network: nn.Module) -> list[str]:
    """Return the names of parameters and BatchNorm statistics; other buffers hold no weights."""
    parameters = {name for name, _ in network.named_parameters()}
    return [
        name for name in network.state_dict() if name in parameters or name.endswith(STATISTICS)
    ]


def _resized_positions(
    weights: Mapping[str, Tensor], network: nn.Module
) -> Iterator[tuple[str, Tensor]]:
    """Yield the position embeddings among `weights` that fit once they are interpolated."""
    for name, parameter in network.named_parameters():
        if name in weights and weights[name].shape != parameter.shape:
            with suppress(ConfigError):  # no grid: the match names it
                fitted = resize_position_embeddings({name: weights[name]}, network)[name]
                if fitted.shape == parameter.shape:
                    yield name, fitted


def _share_of_parameters(
    network: nn.Module, backbone: Collection[str], loaded: Collection[str]
) -> float:
    sizes = {
        name: each.numel() for name, each in network.named_parameters() if name in backbone
    }
    kept = sum(size for name, size in sizes.items() if name in loaded)
    return kept / sum(sizes.values()) if sizes else 0.0


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
