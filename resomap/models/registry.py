"""Networks with random weights, built from the entries of models.yaml."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import yaml
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn.functional import pad

from resomap.config.architecture import (
    Architecture,
    build_architecture,
    described_by_builder,
    is_own,
    names_builder,
)
from resomap.errors import ConfigError, suggest
from resomap.models.builders import Builder, builder_key, find_builder
from resomap.models.flow import meta_copy
from resomap.models.positions import resize_position_embeddings
from resomap.models.regularisation import BUILDERS_OWN, Regularisation, build_regularised

MODELS_FILE = Path(__file__).with_name("models.yaml")
SETTINGS = {"width_mult", "channels", "patch_size"}


def build_model(
    architecture: Architecture | Mapping[str, Any],
    num_classes: int,
    resolution: int | None = None,
    regularisation: Regularisation = BUILDERS_OWN,
) -> nn.Module:
    """Return a network whose weights follow from torch's seed alone.

    >>> entry = {"name": "mine", "family": "resnet", "builder": "resnet18"}
    >>> model = build_model(entry, num_classes=10)

    `architecture` is an entry of models.yaml, or a mapping with its keys and a `name`. A network
    whose weights depend on the side of the images, as those of a vision transformer, is built
    for `resolution`; None keeps the builder's own. ConfigError when the builder is unknown or
    does not take the entry's settings, or a resolution is no multiple of the patch.
    """
    if isinstance(architecture, Mapping):
        architecture = _validate(architecture)
    builder = find_builder(architecture)
    side = _padded_side(architecture, builder, resolution)
    build = partial(_build, architecture, builder, num_classes, side)
    model = build_regularised(build, architecture.name, regularisation)
    if side is not None and side != resolution:
        model.register_forward_pre_hook(partial(_pad_images, side))
    _adjust_layers(model, architecture.bn_momentum)
    return model


def _build(
    architecture: Architecture,
    builder: Builder,
    num_classes: int,
    side: int | None,
    further: Mapping[str, Any] = MappingProxyType({}),
) -> nn.Module:
    settings = {**architecture.model_dump(include=SETTINGS, exclude_none=True), **further}
    try:
        model = builder.build(
            num_classes=num_classes, **settings, **builder.size_settings(side)
        )
    except (AssertionError, TypeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        if side is not None and builder.size_argument and not isinstance(error, TypeError):
            raise SizeError(
                f"{architecture.name} cannot be built for {side} px: {reason}"
            ) from error
        call = _describe_call(architecture, {**settings, **builder.size_settings(side)})
        raise ConfigError(f"{builder_key(architecture)}: {call}: {reason}") from error
    if not isinstance(model, nn.Module):
        raise ConfigError(
            f"{builder_key(architecture)}: it returns {type(model).__name__}, not a torch.nn.Module"
        )
    return model


def _describe_call(architecture: Architecture, settings: Mapping[str, Any]) -> str:
    shown = ", ".join(f"{name}={value}" for name, value in settings.items())
    if is_own(architecture.builder):
        function = architecture.builder.partition(":")[2]
        return f"called as {function}({', '.join(filter(None, ['num_classes=N', shown]))})"
    return f"{architecture.builder} with {shown or 'no settings'}"


def padded_side(architecture: Architecture, resolution: int) -> int:
    """Return the side of images of `resolution` once they are padded to the patches, if at all."""
    return _padded_side(architecture, find_builder(architecture), resolution) or resolution


def _padded_side(
    architecture: Architecture, builder: Builder, resolution: int | None
) -> int | None:
    """Return the side of the images that the network itself sees, a multiple of its patch."""
    if builder.size_argument is None or resolution is None:
        return resolution
    patch = find_patch_size(architecture)
    if patch is None or resolution % patch == 0:
        return resolution
    below = resolution // patch * patch
    if architecture.off_grid == "pad":
        return below + patch
    fitting = f"{below} or {below + patch}" if below else f"{patch}"
    raise SizeError(
        f"{architecture.name} takes multiples of its patch of {patch} px, and {resolution} is "
        f"none: use {fitting}, or {_padding_key(architecture)}"
    )


def _padding_key(architecture: Architecture) -> str:
    if described_by_builder(architecture):
        return f"an entry in models with builder: {architecture.builder} and off_grid: pad"
    return f"models.{architecture.name}.off_grid: pad"


class SizeError(ConfigError):
    """A resolution that a network cannot be built for."""


def build_on_meta(
    architecture: Architecture,
    num_classes: int,
    resolution: int | None = None,
    regularisation: Regularisation = BUILDERS_OWN,
) -> nn.Module:
    """Return the network on the meta device: it has shapes but no weights."""
    return _on_meta(partial(build_model, architecture, num_classes, resolution, regularisation))


def _on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                return build()
        # Some builders (RegNet, Swin) compute widths with tensors and need their values.
        except (NotImplementedError, RuntimeError):
            return meta_copy(build())


@cache
def find_patch_size(architecture: Architecture) -> int | None:
    """Return the side of the patches that a network cuts images into; None without patches."""
    if architecture.patch_size is not None:
        return architecture.patch_size
    try:
        model = _on_meta(partial(_build, architecture, find_builder(architecture), 1, None))
    except ConfigError:
        return None  # a function of the user may have no size of its own
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            side, stride = module.kernel_size[0], module.stride[0]
            # The first convolution. Overlapping ones, as those of a stem, cut no patches.
            return side if side == stride and side > 1 else None
    return None


def _pad_images(side: int, _: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Pad images at the right and at the bottom with 0, the mean colour once normalised."""
    images, *others = arguments
    missing = side - images.shape[-1]
    return pad(images, (0, missing, 0, missing)), *others


def is_bound_to_size(architecture: Architecture) -> bool:
    """Return whether the weights of a network depend on the side of its images."""
    return find_builder(architecture).size_argument is not None


def build_at_sides(
    architecture: Architecture, num_classes: int, resolutions: Sequence[int]
) -> dict[int, nn.Module]:
    """Return a network for each resolution: one for all where its weights depend on none."""
    if is_bound_to_size(architecture):
        return {side: build_model(architecture, num_classes, side) for side in resolutions}
    return dict.fromkeys(resolutions, build_model(architecture, num_classes))


def resize_network(
    model: nn.Module,
    architecture: Architecture,
    num_classes: int,
    resolution: int,
    regularisation: Regularisation = BUILDERS_OWN,
) -> nn.Module:
    """Return `model` for images of another `resolution`, on the same device, in the same mode.

    It is `model` itself where its weights do not depend on the size. Otherwise it is a network
    built for `resolution` whose position embeddings are interpolated.
    """
    if not is_bound_to_size(architecture):
        return model
    # The draws of the weights, which are replaced, must not change those of what follows.
    with torch.random.fork_rng(devices=[]):
        resized = build_model(architecture, num_classes, resolution, regularisation)
    resized.load_state_dict(resize_position_embeddings(model.state_dict(), resized))
    first = next(model.parameters())
    return resized.to(first.device, first.dtype).train(model.training)


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
    name: str, num_classes: int, config: Path | None = None, resolution: int | None = None
) -> nn.Module:
    """Return the network called `name` (or `<name>_224`) in a models.yaml, with random weights.

    >>> model = load_model_from_config("tiny_cnn", num_classes=10)
    >>> model(torch.zeros(8, 3, 64, 64)).shape
    torch.Size([8, 10])

    `name` may also be a builder, such as `timm/convnext_atto`. `config` is the path of the
    models.yaml, by default the one that ships with the package, and `resolution` the side of
    the images: see `build_model`. ConfigError for an unknown name.
    """
    return build_model(find_named(name, config or MODELS_FILE), num_classes, resolution)


def find_named(name: str, path: Path = MODELS_FILE) -> Architecture:
    """Return the architecture of a name that `sweep.models` may hold."""
    if names_builder(name):
        return build_architecture(name)
    architectures = load_architectures(path)
    plain = name if name in architectures else name.removesuffix("_224")
    if plain not in architectures:
        raise ConfigError(f"unknown model '{name}'; {suggest(plain, architectures)}")
    return architectures[plain]


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
