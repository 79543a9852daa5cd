"""The classifier of a network: the layers that other classes replace."""

from collections.abc import Iterable, Iterator

from torch import nn

from resomap.config.architecture import Architecture
from resomap.models.flow import parents, trace_structure
from resomap.models.registry import build_on_meta
from resomap.models.regularisation import BUILDERS_OWN, Regularisation


def find_classifier(
    architecture: Architecture,
    num_classes: int,
    resolution: int,
    regularisation: Regularisation = BUILDERS_OWN,
) -> frozenset[str]:
    """Return the names of the tensors of a network's classifier; all others are its backbone.

    These are the layers with a tensor whose shape follows from the number of classes: the heads
    of a distilled transformer, a convolution that makes the logits, a scale for each class. They
    have no weights in a file of other classes, so they must be trained where the backbone is
    not. A network without such a layer, which slices its logits from more of them, has its last
    layer with a matrix of weights as its classifier.
    """
    network, larger = (
        build_on_meta(architecture, classes, resolution, regularisation)
        for classes in (num_classes, num_classes + 1)
    )
    names = set(_names_by_classes(network, larger)) or set(_last_matrix(network, resolution))
    return frozenset(_complete_layers(network, names))


def _names_by_classes(network: nn.Module, larger: nn.Module) -> Iterator[str]:
    """Yield the tensors of `network` that `larger`, of one more class, has not alike."""
    own, others = network.state_dict(), larger.state_dict()
    for name, tensor in own.items():
        if name not in others or others[name].shape != tensor.shape:
            yield name
    for name in others.keys() - own.keys():
        # One layer for each class, in a list: the first of them stand beside the new one.
        yield from next(filter(None, (_inside(own, around) for around in parents(name))), ())


def _inside(names: Iterable[str], module: str) -> list[str]:
    return [name for name in names if module and name.startswith(f"{module}.")]


def _complete_layers(network: nn.Module, names: Iterable[str]) -> Iterator[str]:
    """Yield `names`, and the other tensors of the layers that hold nothing but their own."""
    for name in names:
        layer = name.rpartition(".")[0]
        module = network.get_submodule(layer)
        is_layer = bool(layer) and not any(True for _ in module.children())
        yield from (f"{layer}.{own}" for own in module.state_dict()) if is_layer else (name,)


def _last_matrix(network: nn.Module, resolution: int) -> list[str]:
    """Return the tensors of the layer that is called last among those with a matrix."""
    for call in reversed(trace_structure(network, resolution)):
        layer = network.get_submodule(call.name)
        is_leaf = not any(True for _ in layer.children())
        if is_leaf and any(parameter.ndim >= 2 for parameter in layer.parameters()):
            return [name for name, _ in layer.named_parameters(call.name)]
    return []
