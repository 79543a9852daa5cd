"""The weights that a training starts from: random ones, torchvision's, or a file of this tool."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from resomap.config.architecture import Architecture
from resomap.errors import ConfigError, DataError, ResoMapError
from resomap.models.check import build_shapes
from resomap.training.checkpoint import load_weights

NUM_HEAD_TENSORS = 2  # weight and bias of the last layer
AUXILIARY_HEADS = ("aux1.", "aux2.", "AuxLogits.")  # not built: see models.registry
START_KEY = "config/training.yaml: training.start"


def start_problems(start: str, architectures: Sequence[Architecture]) -> list[str]:
    """Return a line for each network that the weight file `start` does not fit.

    The list is empty for "random" and "pretrained".
    """
    if start in ("random", "pretrained"):
        return []
    try:
        weights = _read_weights(Path(start))
    except ResoMapError as error:
        return [str(error)]
    problems = list[str]()
    for architecture in architectures:
        try:
            state = build_shapes(architecture).state_dict()
        except ConfigError:
            continue  # the check of networks names it
        try:
            _check_match(state, weights, f"{start} does not fit {architecture.name}")
        except ConfigError as error:
            problems.append(str(error))
    return problems


def load_initial_weights(model: nn.Module, architecture: Architecture, start: str) -> None:
    """Load the weights that `start` names: "random", "pretrained" or a file of this tool.

    A last layer for another number of classes keeps its random weights. ConfigError when the
    weights belong to another network, ResoMapError when they cannot be read or downloaded.
    """
    if start == "random":
        return
    if start == "pretrained":
        weights = _download_pretrained(architecture)
    else:
        weights = _read_weights(Path(start))
    state = model.state_dict()
    _check_match(state, weights, f"{start} does not fit {architecture.name}")
    for name, tensor in weights.items():
        if tensor.shape == state[name].shape:
            state[name] = tensor
    model.load_state_dict(state)


def _check_match(state: dict[str, Tensor], weights: dict[str, Tensor], problem: str) -> None:
    """Raise ConfigError unless names are equal and shapes differ at most in the last layer."""
    missing_or_unknown = set(state) ^ set(weights)
    if missing_or_unknown:
        raise ConfigError(f"{START_KEY}: {problem}: {min(missing_or_unknown)} differs")
    differing = [name for name in state if weights[name].shape != state[name].shape]
    last = list(state)[len(state) - len(differing) :]
    if differing != last or len(differing) > NUM_HEAD_TENSORS:
        raise ConfigError(f"{START_KEY}: {problem}: {min(differing)} differs")


def _read_weights(path: Path) -> dict[str, Tensor]:
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


def _download_pretrained(architecture: Architecture) -> dict[str, Tensor]:
    from torchvision.models import get_model_weights

    try:
        weights = get_model_weights(architecture.builder).DEFAULT
    except (ValueError, AttributeError):
        problem = f"pretrained: torchvision has no weights for {architecture.name}"
        raise ConfigError(f"{START_KEY}: {problem}") from None
    try:
        state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
        return {name: state[name] for name in state if not name.startswith(AUXILIARY_HEADS)}
    except OSError as error:
        cache = Path(torch.hub.get_dir()) / "checkpoints"
        raise ResoMapError(
            f"{weights.url} cannot be downloaded ({error}); "
            f"put the file into {cache} and run again"
        ) from error
