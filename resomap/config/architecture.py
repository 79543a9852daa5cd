"""A network that a sweep may name: its entry in models.yaml, or its builder alone.

A builder is a name of torchvision or of this package, `torchvision/NAME`, `timm/NAME`, or a
function of the user, `package.module:function`.
"""

import re
from hashlib import sha256
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from resomap.config.types import Identifier, Section
from resomap.errors import ConfigError

BUILDER_FORMS = "NAME, torchvision/NAME, timm/NAME or package.module:function"
MAX_NAME = 64
_BUILDER = re.compile(
    r"(?:(?:torchvision|timm)/)?\w[\w.-]*"
    r"|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*",
    re.ASCII,
)


def check_builder(builder: str) -> str:
    """Return `builder`; ValueError where it has none of the forms of a builder."""
    if ".py:" in builder:
        raise ValueError(
            f"{builder[:60]!r} names a file: write {builder[:60].replace('.py:', ':')}, its module"
        )
    if not _BUILDER.fullmatch(builder):
        raise ValueError(f"{builder[:60]!r} is no builder: write {BUILDER_FORMS}")
    return builder


BuilderName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(check_builder)]
Channels = Annotated[int, Field(gt=0, le=65536)]


class Architecture(Section):
    """A model that a sweep may name."""

    name: Identifier
    """Its name in `sweep.models`."""
    family: Identifier
    """Group of the model, in paths and figures."""
    builder: BuilderName
    """Function that builds it: a classifier of torchvision by its name, one of
    resomap/models/custom.py (simple_cnn, tiny_cnn), `torchvision/NAME`, `timm/NAME` (needs
    `resomap[timm]`), or your own as `package.module:function`, importable from the working
    directory; it takes `num_classes`, and `resolution` if its weights depend on that."""
    # The keys below have defaults, because an entry of models.yaml lists only those it needs.
    patch_size: Annotated[int, Field(gt=0, le=512)] | None = None
    """Side of the patches of a vision transformer in pixels; null keeps the builder's."""
    off_grid: Literal["refuse", "pad"] = "refuse"
    """What happens at a resolution that is no multiple of the patch: refuse it, or pad images
    at the right and at the bottom with the mean colour."""
    width_mult: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Channel multiplier, for builders that take one."""
    channels: Annotated[tuple[Channels, ...], Field(max_length=12)] | None = None
    """Channels of each stage, for simple_cnn and tiny_cnn."""
    bn_momentum: Annotated[float, Field(gt=0, le=1)] | None = None
    """Momentum of every BatchNorm layer; null keeps the builder's."""


def names_builder(name: str) -> bool:
    """Return whether a name in `sweep.models` is a builder and not an entry of models.yaml."""
    return "/" in name or ":" in name


def is_own(builder: str) -> bool:
    """Return whether `builder` is a function of the user."""
    return ":" in builder


def builder_slug(builder: str) -> str:
    """Return the name of a builder in paths: `timm_convnext_atto` for `timm/convnext_atto`.

    What is not a letter, digit or underscore, and what is too long, is replaced. A digest then
    keeps different builders apart.
    """
    source, _, name = builder.rpartition("/")
    plain = re.sub(r"[^a-z0-9_]", "_", builder.lower())
    prefix = f"{source}_" if source else ""
    if plain == f"{prefix}{name}" and len(plain) <= MAX_NAME and plain[0].isalpha():
        return plain
    digest = sha256(builder.encode()).hexdigest()[:8]
    safe = re.sub(r"^[^a-z]+", "", plain)[: MAX_NAME - len(digest) - 1]
    return f"{safe.rstrip('_')}_{digest}"


def builder_family(builder: str) -> str:
    """Return the group of a builder without an entry: `resnet` for `timm/resnet50d`."""
    if is_own(builder):
        return "own"
    # timm's tf_ is the origin of weights.
    letters = re.match(r"[a-z]+", builder.rpartition("/")[2].lower().removeprefix("tf_"))
    if letters is None:
        return "other"
    # The v of a version: mobilenetv3.
    return re.sub(r"(?<=...)v$", "", letters[0])


def build_architecture(builder: str) -> Architecture:
    """Return the architecture of a builder without an entry; ConfigError where it is none."""
    try:
        check_builder(builder)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return Architecture(
        name=builder_slug(builder), family=builder_family(builder), builder=builder
    )


def described_by_builder(architecture: Architecture) -> bool:
    """Return whether the sweep names the builder itself, without an entry in models.yaml."""
    builder = architecture.builder
    return names_builder(builder) and architecture.name == builder_slug(builder)
