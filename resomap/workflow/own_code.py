"""The digest of the networks that a user wrote: their files in the working directory."""

import ast
import hashlib
import tokenize
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from resomap.config.architecture import Architecture, is_own
from resomap.workflow.code_digest import canonical_source


def digest_own_code(architectures: Iterable[Architecture]) -> str:
    """Return the digest of the files of the user's own networks; blank where there are none.

    As in the digest of this package, comments, docstrings and formatting do not count.
    """
    builders = {each.builder for each in architectures if is_own(each.builder)}
    if not builders:
        return ""
    digest = hashlib.sha256()
    for path in sorted({path for builder in builders for path in own_files(builder)}):
        digest.update(path.name.encode() + _counted_text(path).encode())
    return digest.hexdigest()[:16]


def combine_code(code: str, architectures: Iterable[Architecture]) -> str:
    """Return the digest `code` of this package, with that of the user's own networks if any."""
    own = digest_own_code(architectures)
    return f"{code}-{own}" if own else code


def own_files(builder: str) -> frozenset[Path]:
    """Return the file of a user's builder, and the files of the user that it imports.

    These are the files below the working directory, and those of the builder's own package
    where that is installed elsewhere.
    """
    module = builder.partition(":")[0]
    roots, reached = _Roots(module), set[Path]()
    pending = [*roots.files(module)]
    while pending:
        path = pending.pop()
        if path not in reached:
            reached.add(path)
            for name in _imported_modules(path, roots):
                pending += roots.files(name)
    return frozenset(reached)


class _Roots:
    """Where modules of the user lie: the working directory, or where one package is installed."""

    def __init__(self, module: str) -> None:
        self.top = module.partition(".")[0]
        self.folders = [Path.cwd()]
        if not any(True for _ in self.files(module)):
            # Only the first part of the name: looking for more would import the package.
            spec = find_spec(self.top)
            if spec is not None and spec.origin:
                origin = Path(spec.origin)
                is_package = bool(spec.submodule_search_locations)
                self.folders.append(origin.parents[1] if is_package else origin.parent)

    def files(self, module: str) -> Iterator[Path]:
        """Yield the file of a module and the `__init__.py` of the packages that it is in."""
        parts = module.split(".")
        # The digest of this package covers its own files.
        folders = [] if parts[0] == "resomap" else self.folders[: 1 + (parts[0] == self.top)]
        for folder in folders:
            for count in range(1, len(parts) + 1):
                place = folder.joinpath(*parts[:count])
                candidates = (place.with_suffix(".py"), place / "__init__.py")
                yield from (path for path in candidates if path.is_file())

    def module_of(self, path: Path) -> list[str]:
        """Return the parts of the name of the package that the file `path` is in."""
        folder = next(each for each in reversed(self.folders) if path.is_relative_to(each))
        return list(path.relative_to(folder).parent.parts)


def _imported_modules(path: Path, roots: _Roots) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return  # the check of networks names it
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = roots.module_of(path)
            # One dot is the package itself, each further one the package around it.
            above = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{module}.{alias.name}".lstrip(".") for alias in node.names)
            if module:
                yield module


def _counted_text(path: Path) -> str:
    try:
        return canonical_source(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, tokenize.TokenError):
        return path.read_bytes().hex()
