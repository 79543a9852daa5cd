"""Networks with random weights, built from the entries of models.yaml."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from torch import nn

from resomap.config.schema import Architecture
from resomap.errors import ConfigError, suggest
from resomap.models.custom import CUSTOM_BUILDERS

MODELS_FILE = Path(__file__).with_name("models.yaml")
# Auxiliary classifiers make a network return several logits in training. Only the main output
# is trained, measured and explained here. torchvision warns unless it is given `init_weights`.
MAIN_OUTPUT_ONLY = {"aux_logits": False, "init_weights": True}
BUILDER_SETTINGS = {"googlenet": MAIN_OUTPUT_ONLY, "inception_v3": MAIN_OUTPUT_ONLY}


def build_model(architecture: Architecture | Mapping[str, Any], num_classes: int) -> nn.Module:
    """Return a network whose weights follow from torch's seed alone.

    >>> entry = {"name": "mine", "family": "resnet", "builder": "resnet18", "min_resolution": 1}
    >>> model = build_model(entry, num_classes=10)

    `architecture` is an entry of models.yaml, or a mapping with its keys and a `name`.
    ConfigError when the builder is unknown or does not take the entry's settings.
    """
    if isinstance(architecture, Mapping):
        architecture = _validate(architecture)
    settings = architecture.model_dump(include={"width_mult", "channels"}, exclude_none=True)
    build = _find_builder(architecture)
    fixed = BUILDER_SETTINGS.get(architecture.builder, {})
    try:
        model = build(num_classes=num_classes, **settings, **fixed)
    except (TypeError, ValueError) as error:
        call = f"{architecture.builder} with {settings or 'no settings'}"
        raise ConfigError(f"models.{architecture.name}: {call}: {error}") from error
    _adjust_layers(model, architecture.bn_momentum)
    return model


def _adjust_layers(model: nn.Module, bn_momentum: float | None) -> None:
    for module in model.modules():
        # An activation in place would overwrite the output of the block before it, which
        # forward hooks (Grad-CAM, memory counts) keep. It costs memory in training and no
        # accuracy.
        if hasattr(module, "inplace"):
            module.inplace = False  # type: ignore[assignment]
        if bn_momentum is not None and isinstance(module, nn.BatchNorm2d):
            module.momentum = bn_momentum


def load_model_from_config(
    name: str, num_classes: int, config: Path | None = None
) -> nn.Module:
    """Return the network called `name` (or `<name>_224`) in a models.yaml, with random weights.

    >>> model = load_model_from_config("tiny_cnn", num_classes=10)
    >>> model(torch.zeros(8, 3, 64, 64)).shape
    torch.Size([8, 10])

    `config` is the path of the models.yaml, by default the one that ships with the package.
    ConfigError for an unknown name.
    """
    architectures = load_architectures(config or MODELS_FILE)
    plain = name if name in architectures else name.removesuffix("_224")
    if plain not in architectures:
        raise ConfigError(f"unknown model '{name}'; {suggest(plain, architectures)}")
    return build_model(architectures[plain], num_classes)


def load_architectures(path: Path = MODELS_FILE) -> dict[str, Architecture]:
    """Return the entries of a models.yaml by name; ConfigError without a valid `models:`."""
    try:
        models = yaml.safe_load(path.read_text(encoding="utf-8"))["models"]
        return {name: _validate({"name": name, **entry}) for name, entry in models.items()}
    except (
        OSError,
        UnicodeError,
        yaml.YAMLError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        raise ConfigError(
            f"{path}: expected 'models:' with one entry a network; {error}"
        ) from error


def _validate(entry: Mapping[str, Any]) -> Architecture:
    try:
        # Through JSON: pydantic's strict mode refuses a Python list in place of a tuple.
        return Architecture.model_validate_json(json.dumps(entry), strict=True)
    except ValidationError as error:
        problems = list[str]()
        for item in error.errors():
            problems.append(f"{'.'.join(map(str, item['loc']))}: {item['msg']}")
        name = entry.get("name", "?")
        raise ConfigError(f"models.{name}: {'; '.join(problems)}") from error


def _find_builder(architecture: Architecture) -> Callable[..., nn.Module]:
    builder = architecture.builder
    if builder in CUSTOM_BUILDERS:
        return CUSTOM_BUILDERS[builder]
    # Imported only here, since it takes more than a second and custom networks do without.
    from torchvision import models

    # Only classifiers: detection and segmentation builders download weights of their backbone.
    classifiers = models.list_models(module=models)
    if builder in classifiers:
        return models.get_model_builder(builder)
    hint = suggest(builder, [*CUSTOM_BUILDERS, *classifiers])
    raise ConfigError(
        f"models.{architecture.name}.builder: unknown builder {builder!r}; {hint}"
    )
