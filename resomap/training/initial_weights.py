"""The weights that a training starts from, and the normalisation that belongs to them."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from resomap.config.architecture import Architecture
from resomap.config.data import Filter
from resomap.config.start import Start
from resomap.errors import ConfigError, DataError, ResoMapError
from resomap.models.classifier import find_classifier
from resomap.models.matching import MIN_SHARE, Match, list_names, match_weights, to_rgb
from resomap.models.published import START_KEY, InputFormat, find_published
from resomap.models.shapes import NUM_CLASSES, ShapesBySide
from resomap.models.weight_files import read_weight_file, rename_tensors
from resomap.training.checkpoint import load_weights, read_metadata, recorded_normalisation
from resomap.training.finetune import is_batch_norm

FREEZE_BN_KEY = "config/training.yaml: training.finetune.freeze_bn"

MAX_CLASSIFIER_STD = 0.01
"""Largest standard deviation of the weights of a new classifier on a trained backbone."""


@dataclass(frozen=True)
class OpenedWeights:
    """Tensors with their origin; `is_exact` where they must fit a network without exception.

    `keys` lead to them in a checkpoint.
    """

    tensors: dict[str, Tensor]
    origin: str
    is_exact: bool
    keys: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return the origin, with the keys where there are any."""
        return self.origin + "".join(f"[{key}]" for key in self.keys)


class StartCheck(NamedTuple):
    """What is wrong with a start, and what a user should know of it, in lines."""

    problems: list[str]
    warnings: list[str]


class StartRecord(NamedTuple):
    """What a training started from: for metrics.json, and as lines for its log."""

    values: dict[str, Any]
    lines: list[str]


def check_start(
    start: Start,
    architectures: Sequence[Architecture],
    resolution: int,
    filter: Filter,
    *,
    freeze_bn: bool = False,
) -> StartCheck:
    """Check that the weights of `start` can be read, fetched if need be, and fit every network.

    The networks are built for `resolution`, one of the sweep, whose images are resized by
    `filter`. With `freeze_bn`, networks without BatchNorm are named.
    """
    check = StartCheck([], [])
    if start.is_random:
        return check
    if freeze_bn:
        _check_freeze_bn(architectures, resolution, check)
    opened: OpenedWeights | None = None
    for architecture in architectures:
        try:
            # One file serves all networks; published weights are one file for each.
            if opened is None or start.pretrained:
                opened = open_weights(start, architecture)
            check.warnings.extend(_check_network(start, architecture, resolution, opened))
        except ResoMapError as error:
            if str(error) not in check.problems:
                check.problems.append(str(error))
            if opened is None and start.file:
                return check
            continue
        check.warnings.extend(_input_warnings(start, architecture, filter))
    return StartCheck(check.problems, list(dict.fromkeys(check.warnings)))


def _check_freeze_bn(
    architectures: Sequence[Architecture], resolution: int, check: StartCheck
) -> None:
    """Refuse a key that concerns no network, and note networks that it does not concern."""
    without = list[str]()
    for architecture in architectures:
        with suppress(ConfigError):  # the check of networks names it
            if not any(map(is_batch_norm, ShapesBySide(architecture).at(resolution).modules())):
                without.append(architecture.name)
    if not without:
        return
    line = f"{FREEZE_BN_KEY}: true has no effect on {', '.join(without)}, without BatchNorm"
    if len(without) == len(architectures):
        check.problems.append(f"{line}: set it to false")
    else:
        check.warnings.append(line)


def _check_network(
    start: Start, architecture: Architecture, resolution: int, opened: OpenedWeights
) -> Iterator[str]:
    try:
        shapes = ShapesBySide(architecture).at(resolution)
        classifier = find_classifier(architecture, NUM_CLASSES, resolution)
    except ConfigError:
        return  # the check of networks names it
    match = _match(shapes, architecture, start, opened, classifier)
    if match.missing or match.misshapen:
        yield f"{START_KEY}: {opened.describe()}: {architecture.name}: {match.sentence()}"


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
    model: nn.Module, architecture: Architecture, start: Start, classifier: Collection[str]
) -> StartRecord | None:
    """Load the weights of `start` into `model` and return what was loaded; None for random ones.

    `classifier` names the tensors that keep their random weights where those of `start` are for
    another number of classes; they are scaled down where they are large. ConfigError when the
    weights belong to another network, ResoMapError when they cannot be read or downloaded.
    """
    if start.is_random:
        return None
    opened = open_weights(start, architecture)
    match = _match(model, architecture, start, opened, classifier)
    new = _scale_classifier(model, match.new)
    model.load_state_dict({**model.state_dict(), **match.tensors, **new})
    values = {"origin": opened.origin, "keys": list(opened.keys), **match.record()}
    return StartRecord(values, [f"initial weights: {opened.describe()}: {match.sentence()}"])


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
    tensors, keys = read_weight_file(path, start.rename)
    return OpenedWeights(tensors, str(path), is_exact=False, keys=keys)


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
    network: nn.Module,
    architecture: Architecture,
    start: Start,
    opened: OpenedWeights,
    classifier: Collection[str],
) -> Match:
    """Return how the weights fit a network; ConfigError where they belong to another one."""
    problem = f"{START_KEY}: {start} does not fit {architecture.name}"
    try:
        match = match_weights(network, opened.tensors, classifier)
        if start.color_order == "bgr":
            match = replace(match, tensors=to_rgb(match.tensors, network))
    except ConfigError as error:
        raise ConfigError(f"{problem}: {error}") from None
    if opened.is_exact and match.differing:
        raise ConfigError(f"{problem}: {match.differing[0]} differs")
    if match.share < MIN_SHARE:
        raise ConfigError(f"{problem}: {_describe_misfit(match, opened.tensors)}")
    return match


def _describe_misfit(match: Match, weights: Collection[str]) -> str:
    """Return which part of a backbone a file holds, and what both call the rest."""
    text = (
        f"it holds {match.percentage} of the parameters of the backbone "
        f"({match.num_fitting} of {match.num_backbone} tensors), and {MIN_SHARE:.0%} are needed. "
        f"The network needs {list_names([*match.missing, *match.misshapen])}"
    )
    if match.num_fitting and not match.unused:
        return f"{text}. The file has no other names"
    others = match.unused or list(weights)
    return f"{text}. The file has {list_names(others)}: map names by training.start.rename"
