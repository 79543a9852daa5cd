"""Where a training starts from: fresh weights, torchvision's, or those of an earlier training."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from resomap.config.schema import Architecture
from resomap.errors import ConfigError, ResoMapError
from resomap.training.checkpoint import load_weights

HEAD_TENSORS = 2  # weight and bias of the layer that knows the classes


def load_start(model: nn.Module, architecture: Architecture, start: str) -> None:
    """Put the weights that `start` names (see `training.start`) into `model`; a head for other classes keeps its fresh weights.

    ConfigError when the weights belong to another network; ResoMapError when they cannot be read or fetched.
    """
    if start == "random":
        return
    weights = _pretrained(architecture) if start == "pretrained" else _stored(Path(start))
    own = model.state_dict()
    other = [name for name in own if name in weights and weights[name].shape != own[name].shape]
    strange = set(own) ^ set(weights)
    if strange or not _is_head(other, own):
        first = sorted(strange or other)[0]
        raise ConfigError(
            f"config/training.yaml: training.start: {start} does not fit {architecture.name}: {first} differs"
        )
    model.load_state_dict(
        {name: own[name] if name in other else tensor for name, tensor in weights.items()}
    )


def _is_head(names: Iterable[str], own: dict[str, Tensor]) -> bool:
    names = list(names)
    return not names or (len(names) <= HEAD_TENSORS and names == list(own)[-len(names) :])


def _stored(path: Path) -> dict[str, Tensor]:
    try:
        weights, about = load_weights(path)
    except Exception as error:  # safetensors raises its own kinds, and a file of others has no metadata of ours
        raise ResoMapError(
            f"config/training.yaml: training.start: {path} cannot be read as weights of this tool: {error}"
        ) from error
    if about.get("status", "ok") != "ok":
        raise ConfigError(
            f"config/training.yaml: training.start: {path} holds no weights: that training {about['status']}"
        )
    return weights


def _pretrained(architecture: Architecture) -> dict[str, Tensor]:
    from torchvision.models import get_model_weights

    try:
        weights = get_model_weights(architecture.builder).DEFAULT
    except (ValueError, AttributeError):
        raise ConfigError(
            f"config/training.yaml: training.start: pretrained: torchvision has no weights for {architecture.name}"
        ) from None
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))
    except OSError as error:
        cache = Path(torch.hub.get_dir()) / "checkpoints"
        raise ResoMapError(
            f"{weights.url} could not be fetched ({error}); put that file into {cache} and run again"
        ) from error


def class_weights(labels: Tensor, num_classes: int) -> Tensor:
    """Weights (C,) inverse to the number of pictures of a class, of mean 1 over the pictures (scikit-learn's `balanced`)."""
    counts = torch.bincount(labels, minlength=num_classes)
    return len(labels) / (num_classes * counts.clamp(min=1).float())
