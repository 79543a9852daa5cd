"""Builds every network of a sweep without weights, to find at once what would fail after hours."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from resomap.config.schema import Architecture
from resomap.errors import ConfigError
from resomap.models.flow import Blocks, Call, find_blocks, meta_copy, trace_shapes
from resomap.models.inspect import check_layer_name, choose_layer
from resomap.models.registry import build_model

NUM_CLASSES = 3  # any number: it changes the shape of the logits only
ENOUGH_IMAGES = 2  # two images stand for every larger batch
RESOLUTIONS_KEY = "config/sweep.yaml: sweep.resolutions"
LAYER_KEY = "config/explainability.yaml: explainability.layer"
BATCH_KEY = "config/training.yaml: training.batch_size"
ONE_VALUE = "BatchNorm got one value per channel"


@dataclass(frozen=True)
class NetworkUse:
    """What a sweep does with its networks.

    `images_per_pass` is the smallest number of images in one training pass of one process.
    `layer` is the layer of Grad-CAM, or None where no method reads a layer.
    """

    resolutions: tuple[int, ...]
    images_per_pass: int
    layer: str | None


def check_networks(architectures: Sequence[Architecture], use: NetworkUse) -> list[str]:
    """Return one line for each problem of each network; an empty list where all fit."""
    problems = list[str]()
    for architecture in architectures:
        try:
            problems += _check_network(architecture, build_shapes(architecture), use)
        except ConfigError as error:
            problems.append(f"config/models.yaml: {error}")
    return problems


def build_shapes(architecture: Architecture, num_classes: int = NUM_CLASSES) -> nn.Module:
    """Return the network on the meta device: it has shapes but no weights."""
    try:
        with torch.device("meta"):
            shapes = build_model(architecture, num_classes)
    # Some builders (RegNet, Swin) compute widths with tensors and need their values.
    except (NotImplementedError, RuntimeError):
        shapes = meta_copy(build_model(architecture, num_classes))
    for module in shapes.modules():
        # Three quarters of the time of a pass on the meta device: torch decomposes it there.
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.forward = partial(_check_batch_norm, module)  # type: ignore[method-assign]
    return shapes


def _check_batch_norm(module: nn.Module, features: Tensor) -> Tensor:
    """Return `features`, whose shape BatchNorm keeps; ValueError for one value per channel."""
    if module.training and features.numel() == features.shape[1]:
        raise ValueError(ONE_VALUE)
    return features


class _Misfit(Exception):
    """A network that a pass refuses: a message with "{sides}" for its resolutions, a reason."""


def _check_network(
    architecture: Architecture, shapes: nn.Module, use: NetworkUse
) -> Iterator[str]:
    """Yield the problems of one network: one line for each kind, with all its resolutions."""
    name, traced = architecture.name, dict[int, list[Call]]()
    sides, reasons = defaultdict[str, list[int]](list), dict[str, str]()
    for resolution in sorted(use.resolutions):
        try:
            traced[resolution] = _train_once(name, shapes, resolution, use.images_per_pass)
        except _Misfit as misfit:
            message, reason = misfit.args
            sides[message].append(resolution)
            reasons.setdefault(message, reason)
    for message, refused in sides.items():
        yield message.replace("{sides}", ", ".join(map(str, refused))) + reasons[message]
    if traced and use.layer is not None:
        yield from _check_layer(name, shapes, use.layer, traced)


def _train_once(
    name: str, shapes: nn.Module, resolution: int, images_per_pass: int
) -> list[Call]:
    batch_size = min(images_per_pass, ENOUGH_IMAGES)
    try:
        calls = trace_shapes(shapes, resolution, batch_size, training=True)
    # A network refuses a size by an error of any type: a shape, an assertion, a missing argument.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        if ONE_VALUE in reason:
            raise _Misfit(
                f"{BATCH_KEY}: {name} at {{sides}} px: BatchNorm cannot normalise 1 image per "
                "process where the map is 1 x 1",
                ": take 2 images or more",
            ) from None
        raise _Misfit(
            f"{RESOLUTIONS_KEY}: {name} cannot take images of {{sides}} px: ", reason
        ) from None
    _check_logits(name, calls[-1].output, batch_size)
    return calls


def _check_logits(name: str, output: object, batch_size: int) -> None:
    if isinstance(output, Tensor) and output.shape == (batch_size, NUM_CLASSES):
        return
    found = (
        f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
    )
    message = f"config/models.yaml: models.{name}.builder: no classifier: expected logits (N, C), found "
    raise _Misfit(message, found)


def _check_layer(
    name: str, shapes: nn.Module, layer: str, traced: dict[int, list[Call]]
) -> Iterator[str]:
    try:
        if layer != "auto":
            check_layer_name(shapes, layer)
        blocks: Blocks = find_blocks(shapes, min(traced))
        for calls in traced.values():
            choose_layer(blocks, calls, layer)
    except ConfigError as error:
        yield f"{LAYER_KEY}: {name}: {error}"
