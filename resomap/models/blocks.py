"""The blocks of a network, in the order of the forward pass.

They are found by the tensors that modules pass on, not by the names of attributes, so that the
rule holds for every network: `features`, `layers`, `trunk_output` or a list of blocks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from resomap.models.flow import (
    Call,
    group_by_caller,
    has_parameters,
    passes_on,
    trace_structure,
)


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
    calls = trace_structure(model, resolution)
    children = group_by_caller(calls)
    level = children[""]
    with_parameters = [call for call in level if has_parameters(model, call)]
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
    """Return whether `inner` pass the argument of `call` on, as in nn.Sequential.

    Parallel branches and residual sums are not chains: they stay within one block.
    """
    return passes_on(call, inner) and inner[0].argument is call.argument


def _is_transformer(call: Call, inner: Sequence[Call]) -> bool:
    """Return whether `inner` pass the tokens of a transformer on, from layer to layer."""
    return call.layout is not None and call.layout.kind == "tokens" and passes_on(call, inner)


def _is_plain(call: Call, children: Mapping[str, list[Call]]) -> bool:
    return not any(children[each.name] for each in children[call.name])


def _split_before_poolings(model: nn.Module, layers: Sequence[Call]) -> list[Call]:
    """Return the last layer before each pooling, where a convolution stands before it."""
    blocks, has_convolution = list[Call](), False
    for layer, following in pairwise(layers):
        has_convolution |= _is_convolution(model, layer)
        shrinks = layer.side and following.side and following.side < layer.side
        if has_convolution and shrinks and not has_parameters(model, following):
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
        if has_parameters(model, call):
            yield call.name


def _has_weights(model: nn.Module, call: Call) -> bool:
    """Return whether a call has more parameters than the vectors of a normalisation."""
    return any(each.ndim > 1 for each in model.get_submodule(call.name).parameters())


def _is_convolution(model: nn.Module, call: Call) -> bool:
    parameters = model.get_submodule(call.name).parameters(recurse=False)
    return any(parameter.ndim == 4 for parameter in parameters)
