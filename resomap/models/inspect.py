"""The size of a network, and the blocks whose feature maps Grad-CAM can read."""

import copy
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from resomap.errors import ConfigError, suggest

# Grad-CAM reads the deepest block whose map is at least this wide. On a coarser map it
# localises worse than chance.
MIN_MAP_SIDE = 6


def get_model_info(model: nn.Module) -> dict[str, int | float]:
    """Return total_params, trainable_params, params_millions and model_size_mb.

    >>> get_model_info(nn.Linear(10, 2))["total_params"]
    22

    The size counts parameters and buffers at their own dtype, in units of 10^6 bytes.
    """
    total, trainable = 0, 0
    for parameter in model.parameters():
        total += parameter.numel()
        trainable += parameter.numel() * parameter.requires_grad
    size = sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])
    return {
        "total_params": total,
        "trainable_params": trainable,
        "params_millions": total / 1e6,
        "model_size_mb": size / 1e6,
    }


def get_target_layer_for_gradcam(model: nn.Module, resolution: int = 224) -> nn.Module:
    """Return the module that Grad-CAM should read for images of `resolution` pixels a side.

    >>> model = load_model_from_config("resnet18", num_classes=10)
    >>> get_target_layer_for_gradcam(model, 224) is model.layer4
    True

    It is the deepest block whose map is at least 6 x 6: see `find_layer`.
    """
    return find_layer(model, resolution, "auto")[1]


def find_layer(model: nn.Module, resolution: int, layer: str) -> tuple[str, nn.Module, int]:
    """Return name, module and side of the feature map of Grad-CAM's `layer` at `resolution`.

    "auto" is the deepest block whose map is at least MIN_MAP_SIDE wide; where none is, the
    deepest of those with the widest map. Any other `layer` is the name of a module. ConfigError
    when there is no such module, or its output is not a square map.
    """
    if layer == "auto":
        name, side = _deepest_wide_enough(candidate_layers(model, resolution))
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
    """Return name and side of the map of each block, in the order of the forward pass."""
    return list(_map_sides(model, resolution, _block_names(model)).items())


def top_modules(model: nn.Module) -> tuple[str, ...]:
    """Return the names of the last block's modules and of the head, those with parameters.

    The sanity check re-initialises them. The head is the last module with parameters; the last
    block is all that follows the block before it in the trunk.
    """
    trainable = list[str]()
    for name, module in model.named_modules():
        if name and any(True for _ in module.parameters()):
            trainable.append(name)
    # The last without a dot: a child of the network itself, such as `fc` or `classifier`.
    head = [name for name in trainable if "." not in name][-1]
    blocks = _block_names(model)
    trunk = blocks[-1].rpartition(".")[0] if blocks else ""
    siblings = _child_names(model, trunk)
    start, stop = [0, 0, *(siblings.index(name) + 1 for name in blocks)][-2:]
    return (*(name for name in siblings[start:stop] if name in trainable), head)


def _deepest_wide_enough(candidates: Sequence[tuple[str, int]]) -> tuple[str, int]:
    if not candidates:
        raise ConfigError(
            "this network has no blocks with square maps; set explainability.layer to a module"
        )
    side = min(MIN_MAP_SIDE, max(side for _, side in candidates))
    return [candidate for candidate in candidates if candidate[1] >= side][-1]


def _block_names(model: nn.Module) -> list[str]:
    """Return the names of the blocks: the children of the trunk that have children themselves.

    In a plain chain of layers (VGG) these are the layers before each pooling.
    """
    trunk = next((name for name in ("stages", "features") if hasattr(model, name)), "")
    children = list(model.get_submodule(trunk).children())
    names = _child_names(model, trunk)
    compound = list[str]()
    for name, child in zip(names, children, strict=True):
        if any(True for _ in child.children()):
            compound.append(name)
    if compound:
        return compound
    before_pooling = list[str]()
    for name, (_, following) in zip(names, pairwise(children), strict=False):
        if isinstance(following, nn.MaxPool2d):
            before_pooling.append(name)
    return before_pooling


def _child_names(model: nn.Module, trunk: str) -> list[str]:
    children = model.get_submodule(trunk).named_children()
    return [f"{trunk}.{name}".lstrip(".") for name, _ in children]


def _map_sides(model: nn.Module, resolution: int, names: Sequence[str]) -> dict[str, int]:
    """Return the sides of the named modules' maps, without those that are not square maps."""
    shapes = _meta_copy(model)
    sides: dict[str, int] = {}

    def record(name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        is_map = isinstance(output, Tensor) and output.ndim == 4
        if is_map and output.shape[2] == output.shape[3]:
            sides[name] = output.shape[3]

    for name in names:
        shapes.get_submodule(name).register_forward_hook(partial(record, name))
    with torch.no_grad():
        shapes(torch.empty(1, 3, resolution, resolution, device="meta"))
    return sides


def _meta_copy(model: nn.Module) -> nn.Module:
    """Return a copy on the meta device, in evaluation mode; it computes shapes only."""
    # The memo makes deepcopy use the meta tensors in place of the real ones, so that no weight
    # is copied: VGG-16 would be half a gigabyte.
    tensors = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): tensor.to("meta") for tensor in tensors}).eval()
