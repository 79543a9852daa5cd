"""The size of a network, and the blocks whose feature maps Grad-CAM can read."""

from collections.abc import Iterable, Sequence

from torch import nn

from resomap.errors import ConfigError, suggest
from resomap.models.blocks import Blocks, find_blocks
from resomap.models.flow import Call, trace
from resomap.models.maps import MapLayout

# Grad-CAM reads the deepest block whose map is at least this wide. On a coarser map it
# localises worse than chance.
MIN_MAP_SIDE = 6
ACTIVATION_MODULES = ("torch.nn.modules.activation", "timm.layers.activations")
# Gates, and what is no activation.
NOT_RECTIFIERS = {"ReLU", "Sigmoid", "Hardsigmoid", "HardSigmoid", "Tanh", "Softmax"}
NOT_RECTIFIERS |= {"Softmax2d", "LogSoftmax", "MultiheadAttention"}


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
    if layer != "auto":
        check_layer_name(model, layer)
    blocks, calls = find_blocks(model, resolution), trace(model, resolution)
    name, side = choose_layer(blocks, calls, layer)
    return name, model.get_submodule(name), side


def check_layer_name(model: nn.Module, layer: str) -> None:
    """Raise ConfigError when `model` has no module called `layer`."""
    modules = dict(model.named_modules())
    if not layer or layer not in modules:
        raise ConfigError(f"unknown layer '{layer}'; {suggest(layer, filter(None, modules))}")


def choose_layer(blocks: Blocks, calls: Sequence[Call], layer: str) -> tuple[str, int]:
    """Return name and side of Grad-CAM's `layer` in a network with `blocks`, from its `calls`."""
    sides = _map_sides(blocks, calls)
    if layer == "auto":
        return _deepest_wide_enough([(name, sides[name]) for name in blocks.names], sides)
    if layer not in sides:
        raise ConfigError(
            f"layer '{layer}': its output is not a square map, so Grad-CAM cannot read it"
        )
    return layer, sides[layer]


def candidate_layers(model: nn.Module, resolution: int) -> list[tuple[str, int]]:
    """Return name and side of the map of each block, in the order of the forward pass."""
    blocks = find_blocks(model, resolution)
    sides = _map_sides(blocks, trace(model, resolution))
    return [(name, sides[name]) for name in blocks.names]


def top_modules(model: nn.Module, resolution: int = 224) -> tuple[str, ...]:
    """Return the names of the last block's modules and of the head, those with parameters.

    The sanity check re-initialises them. The head is the last child of the network with
    parameters that a forward pass calls; the last block is all between the block before it and
    the head. `resolution` is a side of images that the network takes.
    """
    return find_blocks(model, resolution).top


def _map_sides(blocks: Blocks, calls: Sequence[Call]) -> dict[str, int]:
    # A map at one resolution only is none: the scores of attention look like a square map
    # where there are as many heads or channels as tokens.
    sides = {call.name: call.side for call in calls if call.name in blocks.maps}
    return {name: side for name, side in sides.items() if side}


def _deepest_wide_enough(
    candidates: Sequence[tuple[str, int]], sides: dict[str, int]
) -> tuple[str, int]:
    if not candidates:
        maps = [name for name, side in sides.items() if side > 1 and name]
        hint = f" with a square map, such as {maps[-1]}" if maps else ""
        raise ConfigError(
            "this network has no blocks with square maps; set explainability.layer to a module"
            f"{hint}"
        )
    side = min(MIN_MAP_SIDE, max(side for _, side in candidates))
    return [candidate for candidate in candidates if candidate[1] >= side][-1]


def layer_layout(model: nn.Module, resolution: int, layer: str) -> MapLayout:
    """Return how the output of the module `layer` holds its map at `resolution`."""
    layouts = [call.layout for call in trace(model, resolution) if call.name == layer]
    if not layouts or layouts[-1] is None:
        raise ConfigError(f"layer '{layer}': its output is not a square map")
    return layouts[-1]


def token_layouts(
    model: nn.Module, resolution: int, layers: Iterable[str]
) -> dict[str, MapLayout]:
    """Return the layouts of those `layers` whose output is no map (N, C, h, h) itself."""
    layouts = {layer: layer_layout(model, resolution, layer) for layer in layers}
    return {
        layer: layout for layer, layout in layouts.items() if layout.kind != "channels_first"
    }


def why_not_applicable(method: str, model: nn.Module) -> str | None:
    """Return why an attribution method does not apply to a network; None where it does.

    Guided backpropagation is defined for ReLU. Other gradients would pass unchanged, and the
    map would be a mixture that no paper describes.
    """
    if method != "guided_backprop":
        return None
    kinds = {type(module) for module in model.modules()}
    others = sorted(
        kind.__name__
        for kind in kinds
        if kind.__module__.startswith(ACTIVATION_MODULES)
        and kind.__name__ not in NOT_RECTIFIERS
    )
    if others:
        return f"it is defined for ReLU, and this network has {', '.join(others)}"
    if nn.ReLU not in kinds:
        return "it is defined for modules nn.ReLU, and this network has none"
    return None
