"""Dropout and stochastic depth of architectures that have them, by the names of each library."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn

from resomap.errors import ConfigError

Build = Callable[[Mapping[str, Any]], nn.Module]
"""A function that builds a network with further arguments of its builder."""
KEY = "config/training.yaml: training"
# Arguments of builders of torchvision, timm and users, the first that a builder takes.
ARGUMENTS = {
    "dropout": ("dropout", "drop_rate"),
    "drop_path": ("stochastic_depth_prob", "drop_path_rate", "drop_path"),
}
WORDS = {"dropout": "dropout", "drop_path": "stochastic depth"}


class Regularisation(NamedTuple):
    """Probabilities of dropout and of stochastic depth; None keeps those of the builder."""

    dropout: float | None = None
    drop_path: float | None = None


BUILDERS_OWN = Regularisation()


def build_regularised(build: Build, name: str, regularisation: Regularisation) -> nn.Module:
    """Return the network `name`; ConfigError where it has no such layers."""
    arguments, model = dict[str, Any](), None
    for key, value in regularisation._asdict().items():
        if value is not None:
            model, arguments = _add_argument(build, name, key, value, arguments)
    return model or build({})


def _add_argument(
    build: Build, name: str, key: str, value: float, arguments: Mapping[str, Any]
) -> tuple[nn.Module, dict[str, Any]]:
    for argument in ARGUMENTS[key]:
        extended = {**arguments, argument: value}
        try:
            return build(extended), extended
        except ConfigError as error:
            # It refuses the argument, or passes it itself (Swin and MaxViT of torchvision).
            if not isinstance(error.__cause__, TypeError):
                raise
    raise ConfigError(
        f"{KEY}.{key}: the builder of {name} takes no {WORDS[key]}: write null, or leave the "
        "network out"
    )
