"""Builds every network of a sweep without weights, to find at once what would fail after hours."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from torch import nn

from resomap.config.architecture import Architecture
from resomap.errors import ConfigError
from resomap.models.blocks import Blocks, find_blocks
from resomap.models.builders import builder_key
from resomap.models.flow import Call, trace_shapes
from resomap.models.inspect import check_layer_name, choose_layer, why_not_applicable
from resomap.models.positions import size_bound_names
from resomap.models.registry import SizeError, build_on_meta
from resomap.models.regularisation import BUILDERS_OWN, Regularisation
from resomap.models.shapes import (
    NUM_CLASSES,
    ONE_VALUE,
    NoClassifier,
    ShapesBySide,
    check_logits,
    find_min_resolution,
    first_single_cell,
)

__all__ = [
    "NetworkFindings",
    "NetworkUse",
    "Regularisation",
    "check_networks",
    "inspect_networks",
]

ENOUGH_IMAGES = 2  # two images stand for every larger batch
RESOLUTIONS_KEY = "config/sweep.yaml: sweep.resolutions"
LAYER_KEY = "config/explainability.yaml: explainability.layer"
METHODS_KEY = "config/explainability.yaml: explainability.methods"
BATCH_KEY = "config/training.yaml: training.batch_size"


@dataclass(frozen=True)
class NetworkUse:
    """What a sweep does with its networks.

    `images_per_pass` is the smallest number of images in one training pass of one process.
    `layer` is the layer of Grad-CAM, or None where no method reads a layer, `methods` are the
    attribution methods.
    """

    resolutions: tuple[int, ...]
    images_per_pass: int
    layer: str | None
    methods: tuple[str, ...] = ()
    regularisation: Regularisation = BUILDERS_OWN


@dataclass(frozen=True)
class NetworkFindings:
    """What does not fit, and what is allowed and worth knowing: a line each."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Traced:
    """A network without weights at one resolution, and the calls of a training pass."""

    resolution: int
    shapes: nn.Module
    calls: list[Call]

    @cached_property
    def blocks(self) -> Blocks:
        """Return the blocks of the network."""
        return find_blocks(self.shapes, self.resolution)


def check_networks(architectures: Sequence[Architecture], use: NetworkUse) -> list[str]:
    """Return one line for each problem of each network; an empty list where all fit."""
    return inspect_networks(architectures, use).problems


def inspect_networks(architectures: Sequence[Architecture], use: NetworkUse) -> NetworkFindings:
    """Return a line for each problem of each network, and for each thing worth knowing."""
    findings = NetworkFindings()
    for architecture in architectures:
        try:
            _inspect_network(architecture, use, findings)
        except ConfigError as error:
            findings.problems.append(str(error))
    return findings


class _Misfit(Exception):
    """A network that a pass refuses: a message with "{sides}" for its resolutions, a reason."""


def _inspect_network(
    architecture: Architecture, use: NetworkUse, findings: NetworkFindings
) -> None:
    shapes, traced = ShapesBySide(architecture), dict[int, _Traced]()
    findings.problems.extend(_refused_sizes(shapes, use, traced))
    if not traced:
        return
    name = architecture.name
    if use.layer is not None:
        findings.problems.extend(_check_layer(name, use.layer, traced))
    findings.problems.extend(_check_methods(name, use.methods, traced))
    if shapes.is_bound:
        findings.problems.extend(_check_other_sizes(name, traced))
    findings.problems.extend(_check_regularisation(architecture, use, traced))
    findings.notes.extend(_note_single_cells(name, traced))


def _check_regularisation(
    architecture: Architecture, use: NetworkUse, traced: Mapping[int, _Traced]
) -> Iterator[str]:
    if use.regularisation == BUILDERS_OWN:
        return
    resolution, network = min(traced.items(), key=lambda item: item[0])
    try:
        regularised = build_on_meta(architecture, NUM_CLASSES, resolution, use.regularisation)
    except ConfigError as error:
        yield str(error)
        return
    # Explanations load the weights into the network as its builder makes it.
    if regularised.state_dict().keys() != network.shapes.state_dict().keys():
        yield (
            f"{builder_key(architecture)}: the names of its weights change with training.dropout "
            "or training.drop_path: let it keep the layers in their places, at probability 0"
        )


def _refused_sizes(
    shapes: ShapesBySide, use: NetworkUse, traced: dict[int, _Traced]
) -> Iterator[str]:
    """Yield one line for each kind of refusal with all its resolutions; fill `traced`."""
    sides, reasons = dict[str, list[int]](), dict[str, str]()
    for resolution in sorted(use.resolutions):
        try:
            network = shapes.at(resolution)
            calls = _train_once(shapes.architecture, network, resolution, use.images_per_pass)
            traced[resolution] = _Traced(resolution, network, calls)
        except SizeError as error:
            yield f"{RESOLUTIONS_KEY}: {error}"
        except NoClassifier as error:
            yield str(error)
            break
        except _Misfit as misfit:
            message, reason = misfit.args
            sides.setdefault(message, []).append(resolution)
            reasons.setdefault(message, reason)
    for message, refused in sides.items():
        yield _describe_refusal(shapes, message, refused, reasons[message])


def _describe_refusal(
    shapes: ShapesBySide, message: str, refused: list[int], reason: str
) -> str:
    listed = ", ".join(map(str, refused))
    if message.startswith(RESOLUTIONS_KEY):
        smallest = find_min_resolution(shapes)
        if smallest is not None and max(refused) < smallest:
            name = shapes.architecture.name
            return f"{RESOLUTIONS_KEY}: {name} needs images of at least {smallest} px, not {listed}"
    return message.replace("{sides}", listed) + reason


def _train_once(
    architecture: Architecture, shapes: nn.Module, resolution: int, images_per_pass: int
) -> list[Call]:
    name, batch_size = architecture.name, min(images_per_pass, ENOUGH_IMAGES)
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
    check_logits(architecture, calls[-1].output, batch_size)
    return calls


def _check_layer(name: str, layer: str, traced: Mapping[int, _Traced]) -> Iterator[str]:
    try:
        for network in traced.values():
            if layer != "auto":
                check_layer_name(network.shapes, layer)
            choose_layer(network.blocks, network.calls, layer)
    except ConfigError as error:
        yield f"{LAYER_KEY}: {name}: {error}"


def _check_methods(
    name: str, methods: Sequence[str], traced: Mapping[int, _Traced]
) -> Iterator[str]:
    shapes = next(iter(traced.values())).shapes
    for method in methods:
        reason = why_not_applicable(method, shapes)
        if reason:
            yield f"{METHODS_KEY}: {method} does not apply to {name}: {reason}: leave it out"


def _check_other_sizes(name: str, traced: Mapping[int, _Traced]) -> Iterator[str]:
    """Yield a line where a network of one resolution cannot be evaluated at another."""
    first, *others = [network.shapes for network in traced.values()]
    try:
        fixed = [
            weight for other in others for weight in size_bound_names(first.state_dict(), other)
        ]
    except ConfigError as error:
        yield f"{RESOLUTIONS_KEY}: {name}: {error}"
        return
    if fixed:
        yield (
            f"{RESOLUTIONS_KEY}: {name}: every run is evaluated at every resolution, and "
            f"{fixed[0]} takes one only: name one resolution"
        )


def _note_single_cells(name: str, traced: Mapping[int, _Traced]) -> Iterator[str]:
    for resolution, network in traced.items():
        block = first_single_cell(network.blocks, network.calls)
        if block is not None:
            yield (
                f"{name} at {resolution} px: its map is 1 x 1 from {block} on, before its last block"
            )
