"""The path of a batch through a network: the modules in the order of the forward pass, and the
blocks among them.

Blocks are found by the tensors that modules pass on, not by the names of attributes, so that the
rule holds for every network: `features`, `layers`, `trunk_output` or a list of blocks.
"""

import copy
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import nn

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
    return trace_shapes(meta_copy(model), resolution, batch_size, training=training)


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


@dataclass(frozen=True)
class Blocks:
    """The blocks of a network by name, in the order of the forward pass.

    `maps` names every module whose output is a square map, `top` the modules with parameters of
    the last block, of what follows it, and of the head. Where a class token takes part, `names`
    ends before the last block: the logits may follow from that token alone, and then nothing
    follows from the cells beside it.
    """

    names: tuple[str, ...]
    maps: frozenset[str]
    top: tuple[str, ...]


def find_blocks(model: nn.Module, resolution: int) -> Blocks:
    """Return the blocks of a network that takes images of `resolution`."""
    calls = _trace_structure(meta_copy(model), resolution)
    children = _group_by_caller(calls)
    level = children[""]
    with_parameters = [call for call in level if _has_parameters(model, call)]
    head = with_parameters[-1]
    items = list(_open_trunks(level[: level.index(head)], children))
    blocks = [
        call
        for call in items
        if call.side and children[call.name] and _has_weights(model, call)
    ]
    if len(blocks) == 1 and _is_plain(blocks[0], children):
        # A plain chain of layers, as the features of VGG, is one block only for its author.
        layers, position = children[blocks[0].name], items.index(blocks[0])
        parts = _split_before_poolings(model, layers)
        if parts:
            items[position : position + 1], blocks = layers, parts
    if not blocks:
        blocks = _split_before_poolings(model, items)
    elif blocks[-1] in items:
        blocks += _last_layers(model, items[items.index(blocks[-1]) + 1 :])
    return Blocks(
        tuple(call.name for call in _readable(blocks)),
        frozenset(call.name for call in calls if call.side),
        (*_top_names(model, items, blocks), head.name),
    )


def _trace_structure(shapes: nn.Module, resolution: int) -> list[Call]:
    # Networks that take one size only refuse every other, in errors of any type.
    with suppress(Exception):
        return trace_shapes(shapes, STRUCTURE_SIDE)
    return trace_shapes(shapes, resolution)


def _group_by_caller(calls: Sequence[Call]) -> Mapping[str, list[Call]]:
    """Return the calls by the name of the module that contains them; "" is the network.

    A container that is not called itself, such as a ModuleList, is no caller.
    """
    called = {call.name for call in calls}
    children = defaultdict[str, list[Call]](list)
    for call in calls[:-1]:
        caller = call.name.rpartition(".")[0]
        while caller not in called:
            caller = caller.rpartition(".")[0]
        children[caller].append(call)
    return children


def _readable(blocks: Sequence[Call]) -> Sequence[Call]:
    """Return the blocks on whose cells the logits depend."""
    last = blocks[-1].layout if blocks else None
    return blocks[:-1] if last is not None and last.extra and len(blocks) > 1 else blocks


def _open_trunks(calls: Sequence[Call], children: Mapping[str, list[Call]]) -> Iterator[Call]:
    """Yield `calls`, each trunk replaced by its children.

    A trunk passes one tensor through several blocks whose maps differ in size, or through the
    layers of a transformer.
    """
    for call in calls:
        inner = children[call.name]
        sides = [each.side for each in inner if each.side and children[each.name]]
        if (len(set(sides)) > 1 and _is_chain(call, inner)) or (
            sides and _is_transformer(call, inner)
        ):
            yield from _open_trunks(inner, children)
        else:
            yield call


def _is_chain(call: Call, inner: Sequence[Call]) -> bool:
    """Return whether each of `inner` takes what the one before returned, as in nn.Sequential.

    Parallel branches and residual sums are not chains: they stay within one block.
    """
    ends_meet = inner[0].argument is call.argument and inner[-1].output is call.output
    return ends_meet and all(later.argument is call.output for call, later in pairwise(inner))


def _is_transformer(call: Call, inner: Sequence[Call]) -> bool:
    """Return whether `inner` pass the tokens of a transformer on, from layer to layer.

    The first may take more than its argument: position embeddings are added to it.
    """
    if call.layout is None or call.layout.kind != "tokens":
        return False
    chained = all(later.argument is each.output for each, later in pairwise(inner))
    return chained and inner[-1].output is call.output


def _is_plain(call: Call, children: Mapping[str, list[Call]]) -> bool:
    return not any(children[each.name] for each in children[call.name])


def _split_before_poolings(model: nn.Module, layers: Sequence[Call]) -> list[Call]:
    """Return the last layer before each pooling, where a convolution stands before it."""
    blocks, has_convolution = list[Call](), False
    for layer, following in pairwise(layers):
        has_convolution |= _is_convolution(model, layer)
        shrinks = layer.side and following.side and following.side < layer.side
        if has_convolution and shrinks and not _has_parameters(model, following):
            blocks.append(layer)
            has_convolution = False
    return blocks


def _last_layers(model: nn.Module, layers: Sequence[Call]) -> list[Call]:
    """Return the end of a convolution that follows the last block (MNASNet), or nothing."""
    if not any(_is_convolution(model, layer) for layer in layers):
        return []
    maps = [layer for layer in layers if layer.side == layers[0].side]
    return maps[-1:]


def _top_names(
    model: nn.Module, items: Sequence[Call], blocks: Sequence[Call]
) -> Iterator[str]:
    """Yield the items with parameters that follow the last block but one."""
    if not blocks:
        return
    start = items.index(blocks[-2]) + 1 if len(blocks) > 1 else 0
    for call in items[start:]:
        if _has_parameters(model, call):
            yield call.name


def _has_parameters(model: nn.Module, call: Call) -> bool:
    return any(True for _ in model.get_submodule(call.name).parameters())


def _has_weights(model: nn.Module, call: Call) -> bool:
    """Return whether a call has more parameters than the vectors of a normalisation."""
    return any(each.ndim > 1 for each in model.get_submodule(call.name).parameters())


def _is_convolution(model: nn.Module, call: Call) -> bool:
    parameters = model.get_submodule(call.name).parameters(recurse=False)
    return any(parameter.ndim == 4 for parameter in parameters)
