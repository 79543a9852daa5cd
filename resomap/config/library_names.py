"""Names that `sweep.models` may hold; those of torchvision and timm are read from their sources."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from resomap.config.architecture import Architecture, build_architecture, names_builder
from resomap.errors import ConfigError, suggest

INSTALL_TIMM = "install it with `pip install 'resomap[timm]'`"

# As the registries of both libraries: a decorated function, whose name is the model's.
_REGISTERED = re.compile(r"^@register_model(?:\(\))?\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)


@cache
def registered_names(library: str) -> tuple[str, ...]:
    """Return the names of the classifiers of "torchvision" or "timm", none if not installed.

    Importing the libraries would take seconds.
    """
    spec = find_spec(library)
    if spec is None or not spec.submodule_search_locations:
        return ()
    # Files of this folder only: in torchvision, those below build detectors and the like.
    folder = Path(spec.submodule_search_locations[0]) / "models"
    names = list[str]()
    for path in folder.glob("*.py"):
        names += _REGISTERED.findall(path.read_text(encoding="utf-8"))
    return tuple(sorted(names))


def model_names(models: Iterable[Architecture]) -> list[str]:
    """Return every name that `sweep.models` may hold, functions of the user aside."""
    names = [model.name for model in models]
    for library in ("torchvision", "timm"):
        names += [f"{library}/{name}" for name in registered_names(library)]
    return names


def matching_names(pattern: str, models: Iterable[Architecture]) -> list[str]:
    """Return the names that match a pattern with `*`, or that contain a text without one.

    A pattern may match what follows `timm/` alone. ConfigError suggests another name where
    there is none.
    """
    names = model_names(models)
    glob = pattern if set("*?[") & set(pattern) else f"*{pattern}*"
    found = [
        name
        for name in names
        if fnmatchcase(name, glob) or fnmatchcase(name.rpartition("/")[2], glob)
    ]
    if not found and pattern.startswith("timm/") and not registered_names("timm"):
        raise ConfigError(f"timm is not installed: {INSTALL_TIMM}")
    if not found:
        raise ConfigError(f"no model matches {pattern!r}; {suggest(pattern, names)}")
    return found


def only_name(names: Sequence[str], option: str) -> str:
    """Return the only one of `names`; ConfigError where `option`, for one model, gets several."""
    if len(names) > 1:
        shown = ", ".join(names[:3])
        raise ConfigError(
            f"{option}: describes one model, and {len(names)} match: name one, as {shown}"
        )
    return names[0]


def find_model(name: str, models: Iterable[Architecture]) -> Architecture | None:
    """Return the architecture of this very name; None where it is a pattern."""
    listed = {model.name: model for model in models}
    if name in listed:
        return listed[name]
    # A tag names weights of the network: timm/vit_small_patch16_224.augreg_in21k.
    if ":" in name or (names_builder(name) and name.partition(".")[0] in model_names([])):
        return build_architecture(name)
    return None
