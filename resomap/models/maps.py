"""Square maps among the outputs of modules: feature maps of convolutions and grids of tokens."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from resomap.models.positions import MAX_EXTRA_TOKENS

MapKind = Literal["channels_first", "channels_last", "tokens"]


class MapLayout(NamedTuple):
    """How an output holds a map of side x side cells.

    `channels_first` is (N, C, side, side), `channels_last` (N, side, side, C). `tokens` is
    (N, extra + side * side, C): class, distillation and register tokens, then the cells row by
    row.
    """

    kind: MapKind
    side: int
    extra: int = 0

    def to_map(self, output: Tensor) -> Tensor:
        """Return the map (N, C, side, side) of an output; extra tokens are dropped."""
        if self.kind == "channels_first":
            return output
        if self.kind == "tokens":
            output = output[:, self.extra :].unflatten(1, (self.side, self.side))
        return output.permute(0, 3, 1, 2)

    def from_map(self, features: Tensor, output: Tensor) -> Tensor:
        """Return `output` with the map `features` (N, C, side, side) in the place of its own."""
        if self.kind == "channels_first":
            return features
        cells = features.permute(0, 2, 3, 1)
        if self.kind == "tokens":
            return torch.cat([output[:, : self.extra], cells.flatten(1, 2)], dim=1)
        return cells


class ModuleOutput(NamedTuple):
    """The class of a module that was called, and its output."""

    kind: type[nn.Module]
    output: Any


def find_layouts(
    outputs: Sequence[ModuleOutput], batch_size: int
) -> Iterator[MapLayout | None]:
    """Yield the layout of each output of a forward pass, in its order; None for no square map."""
    axes = _axes_by_kind(outputs)
    side = 0  # of the last convolution: its cells become tokens
    for kind, output in outputs:
        layout = None
        if isinstance(output, Tensor) and output.ndim in (3, 4) and len(output) == batch_size:
            layout = _find_layout(output.shape, side, axes[kind])
        if layout is not None and issubclass(kind, nn.Conv2d):
            side = layout.side
        yield layout


def _find_layout(shape: torch.Size, side: int, usual: MapKind) -> MapLayout | None:
    if len(shape) == 3:
        return _token_layout(shape[1], side)
    possible = _possible_kinds(shape)
    if not possible:
        return None
    kind = usual if usual in possible else possible[0]
    return MapLayout(kind, shape[2])


def _possible_kinds(shape: Iterable[int]) -> list[MapKind]:
    _, second, third, fourth = shape
    kinds = list[MapKind]()
    if third == fourth:
        kinds.append("channels_first")
    if second == third:
        kinds.append("channels_last")
    return kinds


def _axes_by_kind(outputs: Sequence[ModuleOutput]) -> defaultdict[type[nn.Module], MapKind]:
    """Return the layout that the modules of each class have where only one is possible.

    A map of 96 x 96 cells and 96 channels alone does not show which axis is which.
    """
    votes = defaultdict[type[nn.Module], Counter[MapKind]](Counter)
    for kind, output in outputs:
        if isinstance(output, Tensor) and output.ndim == 4:
            possible = _possible_kinds(output.shape)
            if len(possible) == 1:
                votes[kind][possible[0]] += 1
    usual = defaultdict[type[nn.Module], MapKind](lambda: "channels_first")
    usual.update({kind: count.most_common(1)[0][0] for kind, count in votes.items()})
    return usual


def _token_layout(count: int, side: int) -> MapLayout | None:
    if 0 <= count - side**2 <= MAX_EXTRA_TOKENS and side:
        return MapLayout("tokens", side, count - side**2)
    # Tokens that were merged without a convolution (LeViT).
    root = math.isqrt(count)
    return MapLayout("tokens", root) if root**2 == count else None
