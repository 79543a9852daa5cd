"""The functions that build networks: of this package, of torchvision, of timm, or of the user."""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from resomap.config.architecture import Architecture, described_by_builder, is_own
from resomap.config.library_names import INSTALL_TIMM, registered_names
from resomap.errors import ConfigError, suggest
from resomap.models.custom import CUSTOM_BUILDERS

# Auxiliary classifiers make a network return several logits in training. Only the main output
# is trained, measured and explained here. torchvision warns unless it is given `init_weights`.
MAIN_OUTPUT_ONLY = {"aux_logits": False, "init_weights": True}
FIXED_SETTINGS = {"googlenet": MAIN_OUTPUT_ONLY, "inception_v3": MAIN_OUTPUT_ONLY}
OWN_SIZE_ARGUMENTS = ("resolution", "img_size", "image_size")


class Builder(NamedTuple):
    """A function that builds a network, and how it takes the side of the images.

    `size_argument` is the name of that argument, None where the weights do not depend on it.
    """

    build: Callable[..., nn.Module]
    size_argument: str | None = None

    def size_settings(self, resolution: int | None) -> dict[str, Any]:
        """Return the argument for images of `resolution`; none keeps the builder's own size."""
        if self.size_argument is None or resolution is None:
            return {}
        if self.size_argument == "input_size":
            return {"input_size": (resolution, resolution)}
        return {self.size_argument: resolution}


def builder_key(architecture: Architecture) -> str:
    """Return where the user wrote the builder, for messages."""
    if described_by_builder(architecture):
        return f"config/sweep.yaml: sweep.models: {architecture.builder}"
    return f"config/models.yaml: models.{architecture.name}.builder"


def find_builder(architecture: Architecture) -> Builder:
    """Return the function that builds `architecture`; ConfigError where there is none."""
    builder = architecture.builder
    if is_own(builder):
        return _own_builder(architecture)
    source, _, name = builder.rpartition("/")
    if source == "timm":
        return _timm_builder(architecture, name)
    if not source and builder in CUSTOM_BUILDERS:
        return Builder(CUSTOM_BUILDERS[builder])
    return _torchvision_builder(architecture, name)


def _torchvision_builder(architecture: Architecture, name: str) -> Builder:
    # Only classifiers: detection and segmentation builders download weights of their backbone.
    classifiers = registered_names("torchvision")
    if name not in classifiers:
        _refuse_other_tasks(architecture, name)
        known = classifiers
        if "/" not in architecture.builder:
            known = (*CUSTOM_BUILDERS, *classifiers)
        _refuse_unknown(architecture, name, known)
    # Imported only here, since it takes more than a second and custom networks do without.
    from torchvision import models

    build = models.get_model_builder(name)
    if name.startswith("vit_"):
        return Builder(partial(_build_torchvision_vit, build), "image_size")
    if name.startswith("maxvit_"):
        return Builder(build, "input_size")
    return Builder(partial(build, **FIXED_SETTINGS.get(name, {})))


def _build_torchvision_vit(
    build: Callable[..., nn.Module],
    *,
    num_classes: int,
    patch_size: int | None = None,
    **size: int,
) -> nn.Module:
    """Return a vision transformer of torchvision, whose builders fix the size of the patch."""
    if patch_size is None:
        return build(num_classes=num_classes, **size)
    from torchvision.models import VisionTransformer

    # Built without weights, for the numbers that its function holds.
    with torch.device("meta"):
        given: Any = build()
    block = given.encoder.layers[0]
    return VisionTransformer(
        patch_size=patch_size,
        num_layers=len(given.encoder.layers),
        num_heads=block.num_heads,
        hidden_dim=given.hidden_dim,
        mlp_dim=given.mlp_dim,
        num_classes=num_classes,
        **{"image_size": given.image_size, **size},
    )


def _timm_builder(architecture: Architecture, name: str) -> Builder:
    if find_spec("timm") is None:
        raise ConfigError(f"{builder_key(architecture)}: timm is not installed: {INSTALL_TIMM}")
    known = registered_names("timm")
    # A tag names weights of the network: vit_small_patch16_224.augreg_in21k.
    if name.partition(".")[0] not in known:
        _refuse_unknown(architecture, name, known)
    import timm

    try:
        config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    except RuntimeError as error:  # of a tag
        plain, _, tag = name.partition(".")
        tags = [each.partition(".")[2] for each in timm.list_pretrained(f"{plain}.*")]
        raise ConfigError(
            f"{builder_key(architecture)}: {plain} has no weights {tag[:60]!r}; "
            f"{suggest(tag, tags)}"
        ) from error
    bound = config is not None and config.fixed_input_size
    build = partial(timm.create_model, name, pretrained=False)
    return Builder(build, "img_size" if bound else None)


def _own_builder(architecture: Architecture) -> Builder:
    module_name, _, function = architecture.builder.partition(":")
    key = builder_key(architecture)
    here = str(Path.cwd())
    # The console script `resomap` does not look for modules in the working directory.
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{key}: there is no module {error.name}: it must be importable from {here}"
        ) from error
    # What a user's module raises when it is imported may be anything. A script may exit.
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise ConfigError(f"{key}: {module_name} cannot be imported: {reason}") from error
    build = getattr(module, function, None)
    if not callable(build):
        names = [name for name, value in vars(module).items() if callable(value)]
        raise ConfigError(
            f"{key}: {module_name} has no function {function}; {suggest(function, names)}"
        )
    return Builder(build, _own_size_argument(build))


def _own_size_argument(build: Callable[..., nn.Module]) -> str | None:
    parameters = inspect.signature(build).parameters
    return next((name for name in OWN_SIZE_ARGUMENTS if name in parameters), None)


def _refuse_other_tasks(architecture: Architecture, name: str) -> None:
    from torchvision import models

    if name in models.list_models():
        raise ConfigError(
            f"{builder_key(architecture)}: {name} is no classifier of images: "
            "take one that `resomap models` lists"
        )


def _refuse_unknown(architecture: Architecture, name: str, known: Iterable[str]) -> None:
    raise ConfigError(
        f"{builder_key(architecture)}: unknown builder {name!r}; {suggest(name, known)}"
    )
