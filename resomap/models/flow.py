"""The path of a batch through a network: the calls of its modules in the order of the pass."""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from resomap.models.maps import MapLayout, ModuleOutput, find_layouts

# The side at which blocks are distinguished. Below it the maps of several blocks would have one
# side, and the blocks of one network would differ between resolutions.
STRUCTURE_SIDE = 224


class Call(NamedTuple):
    """One call of a module: its dotted name, its first argument, its output.

    `layout` is that of the output where it holds a square map, else None.
    """

    name: str
    argument: Any
    output: Any
    layout: MapLayout | None = None

    @property
    def side(self) -> int | None:
        """Return the side of the output where it is a square map, else None."""
        return self.layout.side if self.layout else None


def trace(
    model: nn.Module, resolution: int, batch_size: int = 1, *, training: bool = False
) -> list[Call]:
    """Return the calls of all modules in the order in which they end; the last is the network.

    Shapes only: the pass runs on a copy on the meta device, and `model` is unchanged.
    """
    shapes = _without_decompositions(meta_copy(model))
    return trace_shapes(shapes, resolution, batch_size, training=training)


def trace_shapes(
    shapes: nn.Module, resolution: int, batch_size: int = 1, *, training: bool = False
) -> list[Call]:
    """Return the calls of a network that is on the meta device itself; its mode changes."""
    calls, hooks = list[Call](), list[Any]()

    def record(name: str, _: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        calls.append(Call(name, arguments[0] if arguments else None, output))

    for name, module in shapes.train(training).named_modules():
        hooks.append(module.register_forward_hook(partial(record, name)))
    try:
        with torch.no_grad():
            shapes(torch.empty(batch_size, 3, resolution, resolution, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
    return list(_with_layouts(shapes, calls, batch_size))


def _with_layouts(model: nn.Module, calls: Sequence[Call], batch_size: int) -> Iterator[Call]:
    modules = dict(model.named_modules())
    outputs = [ModuleOutput(type(modules[call.name]), call.output) for call in calls]
    for call, layout in zip(calls, find_layouts(outputs, batch_size), strict=True):
        yield call._replace(layout=layout)


def meta_copy(model: nn.Module) -> nn.Module:
    """Return a copy on the meta device, which computes shapes only."""
    # The memo makes deepcopy use the meta tensors in place of the real ones, so that no weight
    # is copied: VGG-16 would be half a gigabyte.
    tensors = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): tensor.to("meta") for tensor in tensors})


def _without_decompositions(shapes: nn.Module) -> nn.Module:
    """Make common modules of a network on the meta device return a tensor of their shape alone.

    torch decomposes these modules there, and imports its compiler for the first of them, which
    takes two to three CPU seconds of a process. Returns the network.
    """
    for module in shapes.modules():
        # Not of a subclass, whose forward pass may be another.
        shape_only = SHAPES.get(type(module))
        if shape_only is not None:
            module.forward = partial(shape_only, module)  # type: ignore[method-assign]
    return shapes


def _keep_shape(module: Any, features: Tensor) -> Tensor:
    # Blocks are found by which tensors modules pass on, so a tensor is new where it is new.
    return features if getattr(module, "inplace", False) else torch.empty_like(features)


def _pool(module: Any, features: Tensor) -> Tensor:
    size = module.output_size
    sides = size if isinstance(size, tuple) else (size, size)
    kept = zip(sides, features.shape[-2:], strict=True)
    return features.new_empty(
        (*features.shape[:-2], *(given if side is None else side for side, given in kept))
    )


def _project(module: Any, features: Tensor) -> Tensor:
    # A network that takes one size only is recognised by its error for any other.
    if features.shape[-1] != module.in_features:
        raise ValueError(f"expected {module.in_features} features, found {features.shape[-1]}")
    return features.new_empty((*features.shape[:-1], module.out_features))


SHAPES: dict[type[nn.Module], Callable[[Any, Tensor], Tensor]] = {
    **dict.fromkeys((nn.BatchNorm2d, nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish), _keep_shape),
    nn.AdaptiveAvgPool2d: _pool,
    nn.Linear: _project,
}


def trace_structure(model: nn.Module, resolution: int) -> list[Call]:
    """Return the calls at STRUCTURE_SIDE, or at `resolution` where the network refuses that."""
    shapes = _without_decompositions(meta_copy(model))
    # Networks that take one size only refuse every other, in errors of any type.
    with suppress(Exception):
        return trace_shapes(shapes, STRUCTURE_SIDE)
    return trace_shapes(shapes, resolution)


def group_by_caller(calls: Sequence[Call]) -> Mapping[str, list[Call]]:
    """Return the calls by the name of the module that contains them; "" is the network.

    A container that is not called itself, such as a ModuleList, is no caller.
    """
    called = {call.name for call in calls}
    children = defaultdict[str, list[Call]](list)
    for call in calls[:-1]:
        children[next(name for name in parents(call.name) if name in called)].append(call)
    return children


def passes_on(call: Call, inner: Sequence[Call]) -> bool:
    """Return whether each of `inner` takes what the one before returned, and `call` the last.

    The first may take more than the argument of `call`: position embeddings are added to it.
    """
    ends_meet = bool(inner) and inner[-1].output is call.output
    return ends_meet and all(later.argument is each.output for each, later in pairwise(inner))


def parents(name: str) -> Iterator[str]:
    """Yield the names of the modules around the module `name`; the last is "", the network."""
    while name:
        name = name.rpartition(".")[0]
        yield name


def has_parameters(model: nn.Module, call: Call) -> bool:
    """Return whether the module of a call has parameters, or one inside it."""
    return any(True for _ in model.get_submodule(call.name).parameters())
