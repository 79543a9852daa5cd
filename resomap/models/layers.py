"""The layers of a network by depth, from its first to its classifier.

Like blocks (`resomap.models.blocks`), they are found by the tensors that modules pass on, so that
the rule holds for networks of any library and for those of a user. What the classifier is:
`resomap.models.classifier`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from resomap.models.flow import (
    Call,
    group_by_caller,
    has_parameters,
    parents,
    passes_on,
    trace_structure,
)


class Unit(NamedTuple):
    """Names of parameters that share a depth; those of no layer join another unit."""

    names: tuple[str, ...]
    is_layer: bool


def find_head(model: nn.Module, resolution: int, classifier: Collection[str]) -> set[str]:
    """Return the names of the modules of `classifier`, and of the dropout before them."""
    head = {name.rpartition(".")[0] for name in classifier}
    for call in reversed(_leaves(trace_structure(model, resolution))):
        if call.name not in head and has_parameters(model, call):
            break
        if isinstance(model.get_submodule(call.name), nn.modules.dropout._DropoutNd):
            head.add(call.name)
    return head


def layer_depths(
    model: nn.Module, resolution: int, classifier: Collection[str]
) -> dict[str, int]:
    """Return the depth of each parameter by name: 0 for the stem, the largest for `classifier`.

    A layer is a residual block, a module with branches, or a single matrix of weights with the
    normalisation that follows it. Parameters of no layer (position embeddings, tokens) have the
    depth of the layer before them.
    """
    units = _join_to_layers(_CallTree(model, trace_structure(model, resolution)).units(""))
    depths = dict.fromkeys((name for name, _ in model.named_parameters()), 0)
    for depth, unit in enumerate(units):
        depths.update(dict.fromkeys(unit.names, depth))
    depths.update(dict.fromkeys(depths.keys() & set(classifier), len(units)))
    used = sorted(set(depths.values()))
    return {name: used.index(depth) for name, depth in depths.items()}


class _CallTree:
    """The calls of a forward pass as a tree of modules, each module where it is first called."""

    def __init__(self, model: nn.Module, calls: Sequence[Call]) -> None:
        self._model = model
        self._calls: Mapping[str, Call] = {call.name: call for call in reversed(calls)}
        first = [call for call in calls if self._calls[call.name] is call]
        self._children = group_by_caller(first)

    def units(self, name: str) -> list[Unit]:
        """Return the units of a module, in the order of the forward pass."""
        module, prefix = self._model.get_submodule(name), f"{name}." if name else ""
        if name and not self._is_trunk(name):
            parameters = dict(module.named_parameters())
            # A norm alone is part of the layer beside it.
            has_matrix = any(parameter.ndim >= 2 for parameter in parameters.values())
            return [Unit(tuple(prefix + each for each in parameters), has_matrix)]
        own = tuple(prefix + each for each, _ in module.named_parameters(recurse=False))
        inner = list[Unit]()
        for call in self._children[name]:
            inner += self.units(call.name)
        # The own parameters come first and alone, so that they join what precedes the module.
        return [Unit(own, is_layer=False), *_join_to_layers(inner)]

    def _is_trunk(self, name: str) -> bool:
        """Return whether a module passes one tensor through layers, rather than being one."""
        if isinstance(self._model.get_submodule(name), nn.Sequential):
            return bool(self._children[name])
        return self._is_chain(name) and self._has_stage(name)

    def _has_stage(self, name: str) -> bool:
        """Return whether a chain of modules contains a residual block or another branch."""
        return any(
            self._has_stage(call.name) if self._is_chain(call.name) else self._is_block(call)
            for call in self._children[name]
        )

    def _is_chain(self, name: str) -> bool:
        return passes_on(self._calls[name], self._children[name])

    def _is_block(self, call: Call) -> bool:
        """Return whether the layers of a module see the maps that the module returns.

        Those of a gate (squeeze and excitation) see averages of them.
        """
        inner = [each for each in self._children[call.name] if isinstance(each.output, Tensor)]
        if not isinstance(call.output, Tensor):
            return bool(inner)
        return any(
            each.output.numel() >= call.output.numel() and has_parameters(self._model, each)
            for each in inner
        )


def _join_to_layers(units: Sequence[Unit]) -> list[Unit]:
    """Join each unit of no layer to the layer before it, and at the start to the one after."""
    joined, waiting = list[Unit](), tuple[str, ...]()
    for names, is_layer in units:
        if is_layer:
            joined.append(Unit(waiting + names, is_layer=True))
            waiting = ()
        elif joined:
            joined[-1] = Unit(joined[-1].names + names, is_layer=True)
        else:
            waiting += names
    return [*joined, Unit(waiting, is_layer=False)] if waiting else joined


def _leaves(calls: Sequence[Call]) -> list[Call]:
    """Return the calls of modules that call no other."""
    callers = set[str]()
    for call in calls:
        callers.update(parents(call.name))
    return [call for call in calls if call.name not in callers]
