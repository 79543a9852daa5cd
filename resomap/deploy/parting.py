"""Where an exported network first computes something else than the network in PyTorch.

Both run on one image. The output of every module is compared with what the nodes of that module
compute, in the order of the forward pass.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from resomap.deploy.export import node_module
from resomap.deploy.packages import import_package
from resomap.deploy.sessions import INPUT_NAME, open_session

# Two orders of adding float32 numbers differ by a few of their own rounding errors.
ROUNDINGS = 20
SMALLEST_TOLERANCE = 2e-6
LARGEST_TOLERANCE = 1e-3
ComputeValues = Callable[[bytes, Sequence[str], np.ndarray], Mapping[str, Any]]
"""From an ONNX file, names of its values and images to the values that a runtime computes."""


class Parting(NamedTuple):
    """The first module whose outputs differ.

    `operation` is the operator of the exported node, `weights` the tensors that it and the nodes
    since the last equal module read, `wrong_weights` those whose values are not the network's.
    `difference` is relative to the range of the module's output.
    """

    layer: str
    operation: str
    weights: tuple[str, ...]
    wrong_weights: tuple[str, ...]
    difference: float

    def __str__(self) -> str:
        named = f" ({self.operation}{_with(self.weights)})"
        wrong = f"; not the network's: {', '.join(self.wrong_weights)}"
        where = f"{self.layer or 'the network itself'}{named}, by {self.difference:.1e}"
        return where + (wrong if self.wrong_weights else "")


def _with(weights: Sequence[str]) -> str:
    return f" with {', '.join(weights[:4])}" if weights else ""


class _Output(NamedTuple):
    """The output of one call of a module, and the tolerance of its rounding."""

    module: str
    values: np.ndarray
    tolerance: float


def find_parting(
    network: nn.Module,
    content: bytes,
    image: np.ndarray,
    compute_values: ComputeValues | None = None,
) -> Parting | None:
    """Return where the two networks part on one normalised image (3, r, r).

    `compute_values` runs the exported one; without it ONNX Runtime does, without optimisations.
    None where every module computes the same: then what the runtime does to a whole network, and
    not to one whose inner values are read, parts them.
    """
    model = import_package("onnx").load_from_string(content)
    names = [each for node in model.graph.node for each in node.output if each]
    computed = (compute_values or _compute_values)(content, names, image[None])
    values = {
        name: value
        for name, value in computed.items()
        if isinstance(value, np.ndarray) and value.dtype == np.float32
    }
    by_module = _values_by_module(model, values)
    equal = {INPUT_NAME}
    for output in _module_outputs(network, image):
        names = [
            each
            for each in by_module(output.module)
            if values[each].shape == output.values.shape
        ]
        # A module without a node of its own, such as a convolution that took the norm after it.
        if not names:
            continue
        errors = {each: relative_difference(values[each], output.values) for each in names}
        close = [each for each, error in errors.items() if error <= output.tolerance]
        if not close:
            return _describe(network, model, output.module, names[-1], equal, errors[names[-1]])
        equal.update(close)
    return None


def relative_difference(values: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference relative to the range of `expected`; NaN where one is NaN."""
    span = float(np.ptp(expected)) if expected.size else 0.0
    return float(np.abs(values.astype(float) - expected).max(initial=0.0)) / (span or 1.0)


def _compute_values(content: bytes, names: Sequence[str], images: np.ndarray) -> dict[str, Any]:
    """Return the outputs of nodes by their names, as ONNX Runtime computes them one by one."""
    onnx = import_package("onnx")
    model = onnx.load_from_string(content)
    known = {each.name for each in model.graph.output}
    for name in names:
        if name not in known:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
    session = open_session(model.SerializeToString(), optimised=False)
    return dict(zip(names, session.run(list(names), {INPUT_NAME: images}), strict=True))


def _values_by_module(model: Any, values: Mapping[str, np.ndarray]) -> Any:
    """Return the function from a module to the values that it computes, in their order."""
    found = defaultdict[str, list[str]](list)
    for node in model.graph.node:
        module = node_module(node)
        for scope in _with_parents(module):
            found[scope] += [each for each in node.output if each in values]
    return lambda module: found.get(module, [])


def _with_parents(module: str) -> Iterator[str]:
    while module:
        yield module
        module = module.rpartition(".")[0]
    yield ""


def _module_outputs(network: nn.Module, image: np.ndarray) -> Iterator[_Output]:
    """Yield the output of every call of a module, with the tolerance of its rounding.

    The rounding errors of float32 grow from layer to layer, as a pass in float64 shows.
    """
    single = copy.deepcopy(network).to("cpu", torch.float32)
    single = single.to(memory_format=torch.contiguous_format).eval()
    images = torch.from_numpy(image[None])
    exact = _record_outputs(copy.deepcopy(single).double(), images.double())
    for (module, values), (_, true) in zip(_record_outputs(single, images), exact, strict=True):
        rounding = relative_difference(values, true)
        limited = min(max(ROUNDINGS * rounding, SMALLEST_TOLERANCE), LARGEST_TOLERANCE)
        yield _Output(module, values, limited)


@torch.no_grad()
def _record_outputs(network: nn.Module, images: Tensor) -> list[tuple[str, np.ndarray]]:
    """Return the module and the output of every call that returns one tensor."""
    outputs = list[tuple[str, np.ndarray]]()

    def record(name: str, _: nn.Module, __: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.is_floating_point():
            outputs.append((name, output.detach().numpy().copy()))

    hooks = [
        module.register_forward_hook(partial(record, name))
        for name, module in network.named_modules()
    ]
    try:
        network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return outputs


def _describe(
    network: nn.Module, model: Any, module: str, name: str, equal: set[str], error: float
) -> Parting:
    nodes = _nodes_since(model, name, equal)
    constants = {each.name: each for each in model.graph.initializer}
    weights = list(
        dict.fromkeys(each for node in nodes for each in node.input if each in constants)
    )
    state = network.state_dict()
    # A tensor that took a BatchNorm is another one than the network's.
    folded = {each for node in nodes if _is_norm(network, node) for each in node.input}
    wrong = [
        each
        for each in weights
        if each in state and each not in folded and _differs(state[each], constants[each])
    ]
    return Parting(
        layer=module,
        operation=nodes[0].op_type,
        # Shapes and axes have names that the exporter made.
        weights=tuple(each for each in weights if _is_weight(each, state)),
        wrong_weights=tuple(wrong),
        difference=error,
    )


def _nodes_since(model: Any, name: str, equal: set[str]) -> list[Any]:
    """Return the nodes from the value `name` back to those that are equal, the last one first."""
    maker = {output: node for node in model.graph.node for output in node.output}
    nodes, pending, seen = list[Any](), [name], set[str]()
    while pending:
        value = pending.pop(0)
        if value in maker and value not in seen:
            seen.add(value)
            if not any(node is maker[value] for node in nodes):
                nodes.append(maker[value])
            pending += [each for each in maker[value].input if each not in equal]
    return nodes


def _is_norm(network: nn.Module, node: Any) -> bool:
    modules = dict(network.named_modules())
    return isinstance(modules.get(node_module(node)), _BatchNorm)


def _is_weight(name: str, state: Iterable[str]) -> bool:
    return any(name == each or name.startswith(f"{each}_") for each in state)


def _differs(tensor: Tensor, constant: Any) -> bool:
    stored = import_package("onnx").numpy_helper.to_array(constant)
    own = tensor.detach().cpu().float().numpy()
    return stored.shape != own.shape or not np.array_equal(stored, own)
