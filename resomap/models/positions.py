"""Position embeddings of vision transformers, resized to another grid of patches."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from resomap.errors import ConfigError

# In the names of parameters that hold one value for each position, or for each offset of two.
POSITION_WORDS = ("pos", "relative_position", "attention_bias")
LINE_ENDINGS = ("rel_pos_h", "rel_pos_w")  # offsets along one axis (MViT)
STATISTICS = ("running_mean", "running_var")  # buffers of BatchNorm, which no size changes
MAX_EXTRA_TOKENS = 16
"""Class, distillation and register tokens, which have no place on the grid."""


def resize_position_embeddings(
    state: Mapping[str, Tensor], model: nn.Module
) -> dict[str, Tensor]:
    """Return the weights `state` with every position embedding of the sizes that `model` has.

    Grids are resized bicubically with antialiasing, as timm does. Buffers that follow from the
    size are taken from `model`. Other tensors are returned as they are, of other shapes too: a
    new classifier is no matter of this function. ConfigError names an embedding that is of
    another network: of another width, another number of axes, or no square grid.
    """
    own, resized = model.state_dict(), dict(state)
    parameters = {name for name, _ in model.named_parameters()}
    for name, tensor in state.items():
        if name not in own or own[name].shape == tensor.shape:
            continue
        if name not in parameters and not name.endswith(STATISTICS):
            resized[name] = own[name]
        elif any(word in name for word in POSITION_WORDS):
            resized[name] = _resize(name, tensor, own[name].shape)
    return resized


def size_bound_names(state: Mapping[str, Tensor], model: nn.Module) -> list[str]:
    """Return the names of weights whose shapes differ and that cannot be resized."""
    own, resized = model.state_dict(), resize_position_embeddings(state, model)
    return [name for name in resized if name in own and own[name].shape != resized[name].shape]


def _resize(name: str, tensor: Tensor, shape: torch.Size) -> Tensor:
    """Return `tensor` interpolated to `shape`, over two axes or over one that holds a grid."""
    axes = [
        axis
        for axis, (old, new) in enumerate(zip(tensor.shape, shape, strict=False))
        if old != new
    ]
    if tensor.ndim == len(shape):
        if axes == [0] and name.endswith(LINE_ENDINGS):
            line = tensor.float().T[None]
            return interpolate(line, shape[0], mode="linear")[0].T.to(tensor.dtype)
        if axes == [_position_axis(name, tensor.ndim)]:
            return _resize_tokens(name, tensor, shape, axes[0])
        if len(axes) == 2 and _are_square(name, tensor.shape, shape, axes):
            return _resize_axes(tensor, shape, axes)
    raise ConfigError(f"{name}: {tuple(tensor.shape)} cannot be resized to {tuple(shape)}")


def _position_axis(name: str, dimensions: int) -> int:
    """Return the axis that holds positions, of a tensor with one such axis."""
    # (heads, offsets) in one, (1, tokens, width) or a table (offsets, heads) in all others.
    return dimensions - 1 if "attention_bias" in name else dimensions - 2


def _are_square(name: str, old: torch.Size, new: torch.Size, axes: list[int]) -> bool:
    """Return whether two axes are the sides of a grid; others are tokens and their width."""
    first, second = axes
    is_grid = len(old) == 4 or "relative" in name or "rel_pos" in name
    return is_grid and old[first] == old[second] and new[first] == new[second]


def _resize_axes(tensor: Tensor, shape: torch.Size, axes: list[int]) -> Tensor:
    others = [axis for axis in range(tensor.ndim) if axis not in axes]
    planes = tensor.permute(*others, *axes)
    rows = planes.reshape(1, -1, *planes.shape[-2:])
    size = shape[axes[0]], shape[axes[1]]
    smooth = interpolate(rows.float(), size, mode="bicubic", antialias=True)
    order = torch.tensor([*others, *axes]).argsort().tolist()
    return smooth.reshape(*planes.shape[:-2], *size).permute(order).to(tensor.dtype)


def _resize_tokens(name: str, tensor: Tensor, shape: torch.Size, axis: int) -> Tensor:
    """Return `tensor` whose `axis` holds extra tokens and a square grid, row by row."""
    tokens, new_tokens = tensor.shape[axis], shape[axis]
    extra = find_extra_tokens(tokens, new_tokens)
    if extra is None:
        raise ConfigError(f"{name}: {tokens} positions are no square grid of patches")
    side, new_side = math.isqrt(tokens - extra), math.isqrt(new_tokens - extra)
    # Tables of offsets (BEiT) have theirs at the end, embeddings of tokens at the start.
    split = tokens - extra if "relative_position" in name else extra
    first, last = tensor.split([split, tokens - split], dim=axis)
    grid, kept = (first, last) if "relative_position" in name else (last, first)
    square = grid.unflatten(axis, (side, side))
    target = torch.Size([*square.shape[:axis], new_side, new_side, *square.shape[axis + 2 :]])
    resized = _resize_axes(square, target, [axis, axis + 1]).flatten(axis, axis + 1)
    parts = (resized, kept) if "relative_position" in name else (kept, resized)
    return torch.cat(parts, dim=axis)


def find_extra_tokens(*counts: int) -> int | None:
    """Return the fewest extra tokens that leave a square grid of each count; None if none do."""
    for extra in range(min(MAX_EXTRA_TOKENS + 1, *counts)):
        if all(math.isqrt(count - extra) ** 2 == count - extra for count in counts):
            return extra
    return None
