"""From an entry of models.yaml to a network with fresh weights."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from torch import nn

from resomap.config.schema import Architecture
from resomap.errors import ConfigError, suggest
from resomap.models.custom import SimpleCNN

SHIPPED = Path(__file__).with_name("models.yaml")
CUSTOM: dict[str, Callable[..., nn.Module]] = {"simple_cnn": SimpleCNN, "tiny_cnn": SimpleCNN}


def build_model(architecture: Architecture | Mapping[str, Any], num_classes: int) -> nn.Module:
    """Build a network whose weights follow from torch's seed alone.

    `architecture` may be a plain mapping with the keys of models.yaml and a `name`. No activation works in place, so that
    hooks may keep a block's output. ConfigError when the builder is unknown or does not take the entry's keys.
    """
    if isinstance(architecture, Mapping):
        architecture = _validate(architecture)
    settings = architecture.model_dump(include={"width_mult", "channels"}, exclude_none=True)
    try:
        model = _builder(architecture.builder)(num_classes=num_classes, **settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"models.{architecture.name}: {architecture.builder} with {settings or 'no settings'}: {error}"
        ) from error
    _settle(model, architecture.bn_momentum)
    return model


def _settle(model: nn.Module, bn_momentum: float | None) -> None:
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = False  # type: ignore[assignment]
        if bn_momentum is not None and isinstance(module, nn.BatchNorm2d):
            module.momentum = bn_momentum


def load_model_from_config(
    name: str, num_classes: int, config: Path | None = None
) -> nn.Module:
    """Build the network called `name` (or `<name>_224`) in the models.yaml at `config`, by default the one shipped."""
    architectures = load_architectures(config or SHIPPED)
    plain = name if name in architectures else name.removesuffix("_224")
    if plain not in architectures:
        raise ConfigError(f"unknown model '{name}'; {suggest(plain, architectures)}")
    return build_model(architectures[plain], num_classes)


def load_architectures(path: Path = SHIPPED) -> dict[str, Architecture]:
    """The entries of a models.yaml by name; ConfigError when it holds no valid `models:`."""
    try:
        models = yaml.safe_load(path.read_text(encoding="utf-8"))["models"]
        return {name: _validate({"name": name, **entry}) for name, entry in models.items()}
    except (OSError, yaml.YAMLError, LookupError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path}: expected 'models:' with one entry a network; {error}"
        ) from error


def _validate(entry: Mapping[str, Any]) -> Architecture:
    try:
        # JSON, because pydantic's strict Python mode refuses lists for tuples.
        return Architecture.model_validate_json(json.dumps(entry), strict=True)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()
        )
        raise ConfigError(f"models.{entry.get('name', '?')}: {problems}") from error


def _builder(name: str) -> Callable[..., nn.Module]:
    if name in CUSTOM:
        return CUSTOM[name]
    # Costs more than a second, which a network of our own need not pay.
    from torchvision.models import get_model_builder

    return get_model_builder(name)
