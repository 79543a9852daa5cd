"""Nested dicts, lists and tuples of tensors and plain values in one safetensors file: states without pickle."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from resomap.system.files import replacing
from resomap.training.checkpoint import KEY, write_tensors


def save_tree(path: Path, tree: Any) -> None:
    """Write `tree` whole or not at all; TypeError when it holds what is neither a tensor nor plain."""
    with replacing(path) as temporary:
        write_tree(temporary, tree)


def write_tree(path: Path, tree: Any) -> None:
    """Write `tree` straight into `path`."""
    tensors: dict[str, Tensor] = {}
    shape = _pack(tree, tensors)
    # Two entries may share memory, which safetensors refuses: each is written for itself.
    own = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    write_tensors(path, own, shape)


def load_tree(path: Path) -> Any:
    """Read what `save_tree` wrote, its tensors on the CPU."""
    with safe_open(path, framework="pt") as stored:
        return _unpack(json.loads(stored.metadata()[KEY]), stored)


def _pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, dict):
        return {
            "dict": [[_pack(key, tensors), _pack(item, tensors)] for key, item in value.items()]
        }
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_pack(item, tensors) for item in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} cannot be stored")


def _unpack(shape: Any, stored: Any) -> Any:
    if not isinstance(shape, dict):
        return shape
    ((kind, inside),) = shape.items()
    if kind == "tensor":
        return stored.get_tensor(inside)
    if kind == "dict":
        return {_unpack(key, stored): _unpack(item, stored) for key, item in inside}
    items = [_unpack(item, stored) for item in inside]
    return tuple(items) if kind == "tuple" else items
