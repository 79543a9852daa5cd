"""The weights that a training starts from, and the normalisation that belongs to them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from resomap.config.architecture import Architecture
from resomap.config.data import Filter
from resomap.config.start import Start
from resomap.errors import ConfigError, DataError, ResoMapError
from resomap.models.matching import (
    Match,
    classifier_tensors,
    list_names,
    match_weights,
    to_rgb,
)
from resomap.models.published import START_KEY, InputFormat, find_published
from resomap.models.shapes import build_shapes
from resomap.models.weight_files import read_weight_file, rename_tensors
from resomap.training.checkpoint import load_weights, read_metadata, recorded_normalisation

MAX_CLASSIFIER_STD = 0.01
"""Largest standard deviation of the weights of a new classifier on a trained backbone."""


@dataclass(frozen=True)
class OpenedWeights:
    """Tensors with their origin; `is_exact` where they must fit a network without exception."""

    tensors: dict[str, Tensor]
    origin: str
    is_exact: bool


class StartCheck(NamedTuple):
    """What is wrong with a start, and what a user should know of it, in lines."""

    problems: list[str]
    warnings: list[str]


class StartRecord(NamedTuple):
    """What a training started from: for metrics.json, and as lines for its log."""

    values: dict[str, Any]
    lines: list[str]


def check_start(
    start: Start, architectures: Sequence[Architecture], filter: Filter
) -> StartCheck:
    """Check that the weights of `start` can be read, fetched if need be, and fit every network.

    `filter` is the one by which the images of the sweep are resized.
    """
    check = StartCheck([], [])
    if start.is_random:
        return check
    opened: OpenedWeights | None = None
    for architecture in architectures:
        try:
            # One file serves all networks; published weights are one file for each.
            if opened is None or start.pretrained:
                opened = open_weights(start, architecture)
            check.warnings.extend(_check_network(start, architecture, opened))
        except ResoMapError as error:
            if str(error) not in check.problems:
                check.problems.append(str(error))
            if opened is None and start.file:
                return check
            continue
        check.warnings.extend(_input_warnings(start, architecture, filter))
    return StartCheck(check.problems, list(dict.fromkeys(check.warnings)))


def _check_network(
    start: Start, architecture: Architecture, opened: OpenedWeights
) -> Iterator[str]:
    try:
        shapes = build_shapes(architecture)
    except ConfigError:
        return  # the check of networks names it
    match = _match(shapes, architecture, start, opened)
    if match.missing or match.misshapen:
        yield f"{START_KEY}: {opened.origin}: {architecture.name}: {match.sentence()}"


def _input_warnings(start: Start, architecture: Architecture, filter: Filter) -> Iterator[str]:
    expected = expected_input(start, architecture)
    if expected.normalisation is None and not _is_own(start):
        yield (
            f"{START_KEY}: {start} has no normalisation: images get their own mean and "
            "std, and the weights were probably trained with others: set "
            "training.start.normalisation"
        )
    if expected.interpolation not in (None, filter):
        yield (
            f"config/data.yaml: data.filter: {filter}, but {start} of "
            f"{architecture.name} was trained on images resized by {expected.interpolation}: all "
            "models share the stored images, so set data.filter where it suits most of them"
        )


def expected_input(start: Start, architecture: Architecture) -> InputFormat:
    """Return the input that the weights of `start` were trained with, without reading them.

    What `start` states itself holds.
    """
    known = InputFormat()
    if start.pretrained:
        known = find_published(architecture.builder, start.pretrained).input
    elif start.file:
        metadata = read_metadata(Path(start.file)) or {}
        known = InputFormat(recorded_normalisation(metadata), metadata.get("filter"))
    return InputFormat(
        start.normalisation or known.normalisation,
        start.interpolation or known.interpolation,
        known.resolution,
    )


def network_to_start(architecture: Architecture, start: Start) -> Architecture:
    """Return the network whose BatchNorm has the momentum that suits the weights of `start`.

    The momentum of models.yaml is for random weights, and for those trained with it here.
    """
    if start.is_random or _is_own(start):
        return architecture
    return architecture.model_copy(update={"bn_momentum": None})


def load_initial_weights(
    model: nn.Module, architecture: Architecture, start: Start
) -> StartRecord | None:
    """Load the weights of `start` into `model` and return what was loaded; None for random ones.

    A classifier for another number of classes keeps its random weights, scaled down where they
    are large. ConfigError when the weights belong to another network, ResoMapError when they
    cannot be read or downloaded.
    """
    if start.is_random:
        return None
    opened = open_weights(start, architecture)
    match = _match(model, architecture, start, opened)
    new = _scale_classifier(model, match.new)
    model.load_state_dict({**model.state_dict(), **match.tensors, **new})
    values = {"origin": opened.origin, **match.record()}
    return StartRecord(values, [f"initial weights: {opened.origin}: {match.sentence()}"])


def _scale_classifier(model: nn.Module, names: Sequence[str]) -> dict[str, Tensor]:
    """Return the matrices of a new classifier with at most MAX_CLASSIFIER_STD.

    The builders of EfficientNet draw them with 1 / sqrt(classes). Trained features then give
    eight classes logits of 10 and more, and their gradients destroy the backbone.
    """
    state, scaled = model.state_dict(), dict[str, Tensor]()
    for name in names:
        weight = state[name]
        # The draw is scaled, not repeated: it stays the same at every resolution.
        if weight.ndim > 1 and weight.std() > MAX_CLASSIFIER_STD:
            scaled[name] = weight * (MAX_CLASSIFIER_STD / weight.std())
    return scaled


def open_weights(start: Start, architecture: Architecture) -> OpenedWeights:
    """Return the tensors of `start`, which are not random, for a network.

    They are downloaded where they are not here.
    """
    if start.pretrained:
        published = find_published(architecture.builder, start.pretrained)
        return OpenedWeights(published.load(), published.origin, is_exact=True)
    path = Path(str(start.file))
    if _is_own(start):
        tensors = rename_tensors(_read_own(path), start.rename)
        return OpenedWeights(tensors, str(path), is_exact=not start.rename)
    return OpenedWeights(read_weight_file(path, start.rename), str(path), is_exact=False)


def _is_own(start: Start) -> bool:
    """Return whether the file of `start` was written by an earlier training of this tool."""
    return bool(start.file) and read_metadata(Path(str(start.file))) is not None


def _read_own(path: Path) -> dict[str, Tensor]:
    try:
        weights, metadata = load_weights(path)
    except (DataError, OSError) as error:
        # Of a file of the user: to delete it and to run again would not help.
        problem = f"{path} cannot be read as weights of this tool: {error.__cause__ or error}"
        raise ResoMapError(f"{START_KEY}: {problem}") from error
    status = metadata.get("status", "ok")
    if status != "ok":
        raise ConfigError(f"{START_KEY}: {path} holds no weights: that training is {status}")
    return weights


def _match(
    network: nn.Module, architecture: Architecture, start: Start, opened: OpenedWeights
) -> Match:
    """Return how the weights fit a network; ConfigError where they belong to another one."""
    problem = f"{START_KEY}: {start} does not fit {architecture.name}"
    weights = opened.tensors
    if start.color_order == "bgr":
        try:
            weights = to_rgb(weights, network)
        except ConfigError as error:
            raise ConfigError(f"{problem}: {error}") from None
    match = match_weights(network, weights, classifier_tensors(architecture))
    if opened.is_exact and match.differing:
        raise ConfigError(f"{problem}: {match.differing[0]} differs")
    if 2 * match.num_fitting < match.num_backbone:
        raise ConfigError(
            f"{problem}: {match.num_fitting} of the {match.num_backbone} tensors of its backbone "
            f"are there. It needs {list_names([*match.missing, *match.misshapen])}. The file has "
            f"{list_names(match.unused or list(weights))}: map the names by training.start.rename"
        )
    return match
