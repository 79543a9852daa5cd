"""Export of a network to ONNX: images of one size, any batch size, BatchNorm folded."""

import copy
import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from resomap.deploy.packages import import_package, package_versions
from resomap.deploy.sessions import INPUT_NAME, OUTPUT_NAME
from resomap.errors import ResoMapError

OPSET = 20
BATCH_NAME = "batch"
METADATA_KEY = "resomap"
"""Key of the record, as JSON, in the metadata of a model."""
MODULE_KEY = "resomap.module"
"""Key of the module that a node computes, in the metadata of the node."""
SCHEMA_VERSION = 1
BRANCH_HINT = "; its forward pass branches on values of the images: use `torch.where` instead"
# What the exporter records of a node: the modules around it, from the outermost to its operator.
_SCOPES_KEY = "pkg.torch.onnx.name_scopes"


class ExportError(ResoMapError):
    """A network that cannot be exported."""


@dataclass(frozen=True)
class ExportedNetwork:
    """A network as the bytes of an ONNX file, and how it was made."""

    content: bytes
    record: dict[str, Any]


def export_network(network: nn.Module, resolution: int, name: str) -> ExportedNetwork:
    """Return `network` as ONNX for float32 images (batch, 3, resolution, resolution).

    The images are normalised as for the network, which is unchanged. `name` stands in the
    record and in messages. Equal weights give equal bytes. ExportError where PyTorch cannot
    export the network, or BatchNorm cannot be folded.
    """
    onnx = import_package("onnx")
    model = _trace(_copy_for_inference(network), resolution, name)
    _check_batch(model, name)
    _label_nodes(model)
    fold_batch_norms(model, name)
    record = {
        "schema": SCHEMA_VERSION,
        "network": name,
        "precision": "fp32",
        "resolution": resolution,
        "opset": OPSET,
        "versions": package_versions(),
        "nodes": len(model.graph.node),
    }
    onnx.checker.check_model(model)
    return seal(model, record)


def seal(model: Any, record: dict[str, Any]) -> ExportedNetwork:
    """Return a model with its record in its metadata; the size and digest of its bytes are added."""
    del model.metadata_props[:]
    text = json.dumps(record, sort_keys=True)
    model.metadata_props.add(key=METADATA_KEY, value=text)
    content = model.SerializeToString(deterministic=True)
    digest = hashlib.sha256(content).hexdigest()
    return ExportedNetwork(content, {**record, "bytes": len(content), "sha256": digest})


def read_record(content: bytes) -> dict[str, Any]:
    """Return the record in the metadata of an ONNX file; ExportError where it is no export."""
    onnx = import_package("onnx")
    # protobuf's own error is no ValueError, and its type differs between its versions.
    try:
        properties = onnx.load_from_string(content).metadata_props
        return dict(json.loads({each.key: each.value for each in properties}[METADATA_KEY]))
    except Exception as error:
        raise ExportError("it is no network that ResoMap exported, or is damaged") from error


def _copy_for_inference(network: nn.Module) -> nn.Module:
    copied = copy.deepcopy(network).to("cpu", torch.float32)
    return copied.to(memory_format=torch.contiguous_format).eval()


def _trace(network: nn.Module, resolution: int, name: str) -> Any:
    """Return the model as PyTorch exports it."""
    import_package("onnxscript")
    # After an export, the first backward pass of a process would start threads, and forks of a
    # process with such threads cannot train. Profiles measure the memory of a step in a fork.
    torch.zeros(1, requires_grad=True).sum().backward()
    # Two images, because the exporter takes a batch of one for a constant.
    images = torch.zeros(2, 3, resolution, resolution)
    batch = torch.export.Dim(BATCH_NAME)
    try:
        with _without_messages(), torch.no_grad():
            program = torch.onnx.export(
                network,
                (images,),
                dynamo=True,
                # Weights in a second file could not be quantised.
                external_data=False,
                dynamic_shapes=({0: batch},),
                input_names=[INPUT_NAME],
                output_names=[OUTPUT_NAME],
                opset_version=OPSET,
                verbose=False,
            )
    # The exporter wraps whatever a network raises while it is traced.
    except Exception as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        hint = BRANCH_HINT if "data-dependent" in reason else ""
        raise ExportError(
            f"{name} cannot be exported: {type(error).__name__}: {reason}{hint}"
        ) from error
    if program is None:
        raise ExportError(f"{name} cannot be exported")
    return program.model_proto


def _check_batch(model: Any, name: str) -> None:
    """Raise ExportError where the exporter has fixed the number of images."""
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.shape.dim[0].HasField("dim_value"):
            raise ExportError(
                f"{name} cannot be exported for any number of images: its forward pass loops over "
                "them, or has their number as a constant"
            )


@contextmanager
def _without_messages() -> Iterator[None]:
    """Keep the exporter from writing progress and hints for its developers to the log."""
    loggers = [logging.getLogger(each) for each in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _label_nodes(model: Any) -> None:
    """Keep of what the exporter records only the module of each node.

    Stack traces hold paths of this machine, and names of symbols differ between exports.
    """
    graph = model.graph
    for node in graph.node:
        properties = {each.key: each.value for each in node.metadata_props}
        del node.metadata_props[:]
        node.doc_string = ""
        node.metadata_props.add(key=MODULE_KEY, value=_module_of(properties))
    del graph.metadata_props[:]
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del value.metadata_props[:]
        value.doc_string = ""


def _module_of(properties: dict[str, str]) -> str:
    """Return the dotted name of the innermost module of a node; blank for the network itself."""
    scopes = json.loads(properties.get(_SCOPES_KEY, "[]").replace("'", '"'))
    # The last is the operator. Sizes of the batch are computed outside of all modules.
    modules = [scope for scope in scopes[:-1] if not scope.startswith("_empty")]
    return modules[-1] if modules else ""


def node_module(node: Any) -> str:
    """Return the module that a node of an exported network computes."""
    return next((each.value for each in node.metadata_props if each.key == MODULE_KEY), "")


def fold_batch_norms(model: Any, name: str) -> None:
    """Replace every BatchNormalization that the exporter has left by a product and a sum.

    The exporter folds those that follow a convolution into its weights. What remains, such as a
    norm in front of its convolution (DenseNet), scales and shifts channels. ExportError where
    its statistics are no constants.
    """
    onnx = import_package("onnx")
    graph = model.graph
    if not any(node.op_type == "BatchNormalization" for node in graph.node):
        return
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    ranks = {each.name: len(each.type.tensor_type.shape.dim) for each in graph.value_info}
    nodes = list[Any]()
    for node in graph.node:
        if node.op_type != "BatchNormalization":
            nodes.append(node)
            continue
        if not all(each in constants for each in node.input[1:]):
            raise ExportError(
                f"{name}: {node_module(node)}: BatchNorm without the statistics of training "
                "(track_running_stats=False) cannot be exported: an answer would depend on the "
                "other images of its batch"
            )
        rank = ranks.get(node.input[0]) or ranks.get(node.output[0]) or 4
        nodes += _scale_and_shift(node, constants, rank, graph)
    del graph.node[:]
    graph.node.extend(nodes)
    _drop_unused(graph)


def _scale_and_shift(
    node: Any, constants: dict[str, np.ndarray], rank: int, graph: Any
) -> list[Any]:
    """Return two nodes that compute a BatchNormalization; their constants join the graph."""
    onnx = import_package("onnx")
    gamma, beta, mean, variance = (constants[each].astype(float) for each in node.input[1:])
    epsilon = next((each.f for each in node.attribute if each.name == "epsilon"), 1e-5)
    scale = gamma / np.sqrt(variance + epsilon)
    output = node.output[0]
    # No name that ends in `_scale`: the quantiser would take it for its own of the tensor.
    names = {"factor": scale, "offset": beta - mean * scale}
    shape = (-1, *[1] * (rank - 2))
    for word, values in names.items():
        stored = values.astype(np.float32).reshape(shape)
        graph.initializer.append(onnx.numpy_helper.from_array(stored, f"{output}_norm_{word}"))
    inner = f"{output}_norm_product"
    made = [
        onnx.helper.make_node("Mul", [node.input[0], f"{output}_norm_factor"], [inner], inner),
        onnx.helper.make_node(
            "Add", [inner, f"{output}_norm_offset"], [output], f"{output}_norm"
        ),
    ]
    for each in made:
        each.metadata_props.add(key=MODULE_KEY, value=node_module(node))
    return made


def _drop_unused(graph: Any) -> None:
    """Remove the constants that no node reads."""
    used = {each for node in graph.node for each in node.input}
    kept = [each for each in graph.initializer if each.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
