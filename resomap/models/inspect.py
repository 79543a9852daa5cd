"""What a built network is: its size, and the blocks whose maps Grad-CAM can read."""

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from resomap.errors import ConfigError, suggest

ENOUGH_CELLS = 6
"""Grad-CAM reads the deepest block whose map is at least this wide: on a coarser one it localises worse than chance."""


def get_model_info(model: nn.Module) -> dict[str, int | float]:
    """total_params, trainable_params, params_millions, and model_size_mb: parameters and buffers in units of 10^6 bytes."""
    parameters = list(model.parameters())
    total = sum(parameter.numel() for parameter in parameters)
    size = sum(tensor.nbytes for tensor in [*parameters, *model.buffers()])
    return {
        "total_params": total,
        "trainable_params": sum(
            parameter.numel() for parameter in parameters if parameter.requires_grad
        ),
        "params_millions": total / 1e6,
        "model_size_mb": size / 1e6,
    }


def get_target_layer_for_gradcam(model: nn.Module, resolution: int = 224) -> nn.Module:
    """The module that Grad-CAM should read at `resolution`: see `find_layer`."""
    return find_layer(model, resolution, "auto")[1]


def find_layer(model: nn.Module, resolution: int, layer: str) -> tuple[str, nn.Module, int]:
    """The name, the module and the side of the map of Grad-CAM's `layer` for input of `resolution` px.

    `auto` takes the deepest block whose map is at least 6 wide, or the deepest of those with the widest map where none is;
    any other `layer` is the name of a module. ConfigError when there is no such module, or its output is not a square map.
    """
    if layer == "auto":
        name, side = _deepest(candidate_layers(model, resolution))
        return name, model.get_submodule(name), side
    modules = dict(model.named_modules())
    if layer not in modules:
        raise ConfigError(f"unknown layer '{layer}'; {suggest(layer, modules)}")
    sides = _map_sides(model, resolution, [layer])
    if layer not in sides:
        raise ConfigError(
            f"layer '{layer}': its output is not a square map, so Grad-CAM cannot read it"
        )
    return layer, modules[layer], sides[layer]


def candidate_layers(model: nn.Module, resolution: int) -> list[tuple[str, int]]:
    """The name of each block and the side of its map for input of `resolution` px, in the order of the forward pass."""
    return list(_map_sides(model, resolution, _block_names(model)).items())


def top_modules(model: nn.Module) -> tuple[str, ...]:
    """Names of the last block's modules and of the head: what a network decides with, for a sanity check that draws it anew.

    The head is the last child with parameters; the last block is what follows the block before it in the trunk, and learns.
    """
    learning = [
        name
        for name, module in model.named_modules()
        if name and any(True for _ in module.parameters())
    ]
    head = [name for name in learning if "." not in name][-1]
    blocks = _block_names(model)
    trunk = blocks[-1].rpartition(".")[0] if blocks else ""
    siblings = [
        f"{trunk}.{name}".lstrip(".") for name, _ in model.get_submodule(trunk).named_children()
    ]
    start, stop = [0, 0, *(siblings.index(name) + 1 for name in blocks)][-2:]
    block = [name for name in siblings[start:stop] if name in learning]
    return (*block, head)


def _deepest(candidates: Sequence[tuple[str, int]]) -> tuple[str, int]:
    if not candidates:
        raise ConfigError(
            "this network has no blocks with square maps; name a module in explainability.layer"
        )
    enough = min(ENOUGH_CELLS, max(side for _, side in candidates))
    return [candidate for candidate in candidates if candidate[1] >= enough][-1]


def _block_names(model: nn.Module) -> list[str]:
    """The compound children of the network's trunk, or where it is a plain chain of layers (VGG), those before a pooling."""
    trunk = next((name for name in ("stages", "features") if hasattr(model, name)), "")
    children = list(model.get_submodule(trunk).named_children())
    compound = [name for name, child in children if any(True for _ in child.children())]
    before_pooling = [
        name
        for (name, _), (_, following) in pairwise(children)
        if isinstance(following, nn.MaxPool2d)
    ]
    return [f"{trunk}.{name}".lstrip(".") for name in compound or before_pooling]


def _map_sides(model: nn.Module, resolution: int, names: Sequence[str]) -> dict[str, int]:
    """Sides of the square maps that the named modules put out in a dry forward pass; others are left out."""
    twin = _without_numbers(model)
    sides: dict[str, int] = {}

    def note(name: str, output: Any) -> None:
        if (
            isinstance(output, Tensor)
            and output.ndim == 4
            and output.shape[2] == output.shape[3]
        ):
            sides[name] = output.shape[3]

    for name in names:
        twin.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: note(name, output)
        )
    with torch.no_grad():
        twin(torch.empty(1, 3, resolution, resolution, device="meta"))
    return sides


def _without_numbers(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode through which shapes flow at no cost; `model` itself stays untouched."""
    tensors = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): tensor.to("meta") for tensor in tensors}).eval()
