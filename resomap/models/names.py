"""Names of the classifiers of torchvision and timm, read from their sources without an import."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

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
