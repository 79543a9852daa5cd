"""The digests of the code that computes a result, of the user's too, and its versions."""

import ast
import hashlib
import io
import platform
import re
import tokenize
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from resomap.config.architecture import Architecture, is_own
from resomap.system.workflow_files import PACKAGE

# Modules that carry values and compute none: an edit here changes the fields of a job or nothing.
EXCLUDED_FROM_DIGEST = {
    "errors",
    "system.files",
    "system.gpu_listing",
    "system.gpus",
    "system.locks",
    "system.logs",
    "system.workflow_files",
    "config.types",
    "config.architecture",
    "config.library_names",
    "config.training",
    "config.schema",
    "config.start",
    "config.data",
    "config.deploy",
    "config.evaluation",
    "config.load",
    "config.messages",
    "config.recipe",
    "config.variants",
    "workflow.jobs",
    "workflow.job_params",
    "workflow.targets",
    "workflow.artifacts",
    "workflow.columns",
    "workflow.deploy_layout",
    "workflow.layout",
    "workflow.predictions",
    "workflow.data_digest",
    "workflow.code_digest",
    "workflow.artifact_paths",
    "workflow.receipts",
    "workflow.snakemake_records",
    "workflow.sweep_results",
    "system.os_errors",
    "workflow.checked_files",
    "workflow.checked_tables",
    "entry.arguments",
}
IGNORED_TOKENS = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
IMPORT = re.compile(r"^\d+ ((?:from|import) .+)$", re.MULTILINE)
"""An import in the canonical source; of a file that ruff accepts it is a line of its own."""
STATEMENT_BREAKS = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
LIBRARIES = ("torch", "torchvision", "captum", "numpy")
OPTIONAL_LIBRARIES = ("timm",)


@cache
def digest_code(*entry_points: Path) -> str:
    """Return the sha256 of `entry_points` and all they import of this package, 16 hexadecimal digits.

    Comments, docstrings and formatting do not count.
    """
    # Snakemake compares params and inputs, never the code of a package: this is a job's field.
    digest = hashlib.sha256()
    for path in sorted({path for entry in entry_points for path in import_closure(entry)}):
        text = path.read_text(encoding="utf-8")
        counted = canonical_source(text) if path.suffix == ".py" else text
        digest.update(counted.encode())
    return digest.hexdigest()[:16]


@cache
def import_closure(entry_point: Path) -> frozenset[Path]:
    """Return `entry_point` and the files of the package that it imports, directly or not.

    Imports inside functions count too, and so do the templates beside each file.
    """
    reached, pending = set[Path](), [entry_point]
    while pending:
        path = pending.pop()
        if path not in reached:
            reached.add(path)
            pending += _imported_files(path)
    # An edit of a template changes the report as an edit of Python does.
    templates = {
        template for path in reached for template in path.parent.glob("templates/*.j2")
    }
    return frozenset(reached | templates)


def _imported_files(path: Path) -> list[Path]:
    names = _imported_names(path.read_text(encoding="utf-8"))
    inside = {name.removeprefix("resomap.") for name in names if name.startswith("resomap.")}
    files = [
        PACKAGE.joinpath(*name.split(".")).with_suffix(".py")
        for name in sorted(inside - EXCLUDED_FROM_DIGEST)
    ]
    # `from module import name` yields module.name as well, which is a file only for packages.
    return [file for file in files if file.is_file()]


@cache  # most entry points reach the same files
def _imported_names(source: str) -> frozenset[str]:
    names: list[str] = []
    # Every start of Snakemake reads all files: to parse their imports alone halves the time.
    for statement in IMPORT.findall(canonical_source(source)):
        node = ast.parse(statement).body[0]
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return frozenset(names)


@cache
def canonical_source(source: str) -> str:
    """Return the tokens of `source` that Python runs, with the depth of each line."""
    # Not by ast.unparse, whose text differs between Python versions: an upgrade would retrain.
    kept, starts_line, depth = list[str](), True, 0
    # readlines, because str.splitlines breaks lines at more characters than Python's tokenizer does.
    lines = io.StringIO(source).readlines()
    for kind, text, end in _tokens(lines):
        if kind in IGNORED_TOKENS:
            starts_line = starts_line or kind in STATEMENT_BREAKS
            depth += (kind == tokenize.INDENT) - (kind == tokenize.DEDENT)
            continue
        # A string that is a whole statement is a docstring.
        if kind == tokenize.STRING and starts_line and _ends_statement(lines, end):
            continue
        kept.append(f"\n{depth} {text}" if starts_line else f" {text}")
        starts_line = False
    return "".join(kept)


def _tokens(lines: list[str]) -> Iterator[tuple[int, str, tuple[int, int]]]:
    """Yield kind, text and end of each token; an f-string is one token, as it is in Python 3.11."""
    # From Python 3.12 on, the tokenizer splits an f-string into its parts.
    fstring_start = getattr(tokenize, "FSTRING_START", None)
    fstring_end = getattr(tokenize, "FSTRING_END", None)
    starts = list[tuple[int, int]]()
    for token in tokenize.generate_tokens(partial(next, iter(lines), "")):
        if token.type == fstring_start:
            starts.append(token.start)
        elif token.type == fstring_end:
            start = starts.pop()
            if not starts:
                yield tokenize.STRING, _text_between(lines, start, token.end), token.end
        elif not starts:
            yield token.type, token.string, token.end


def _text_between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    text = "".join(lines[start[0] - 1 : end[0]])
    return text[start[1] : len(text) - len(lines[end[0] - 1]) + end[1]]


def _ends_statement(lines: list[str], end: tuple[int, int]) -> bool:
    return not lines[end[0] - 1][end[1] :].split("#")[0].strip()


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


def describe_environment(device: str) -> dict[str, Any]:
    """Return versions and machine of this process, which a rerun need not reproduce."""
    environment: dict[str, Any] = {
        "device": device,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        **{name: version(name) for name in LIBRARIES},
        **{name: version(name) for name in OPTIONAL_LIBRARIES if find_spec(name)},
    }
    # Without an installation (from a checkout on the path) the package has no version.
    with suppress(PackageNotFoundError):
        environment["resomap"] = version("resomap")
    return environment
