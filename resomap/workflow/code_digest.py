"""The digest of the code that computes a result, and the versions that it ran on."""

import ast
import hashlib
import io
import platform
import tokenize
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
# Modules that carry values and compute none: an edit here changes the fields of a job or nothing.
EXCLUDED_FROM_DIGEST = {
    "errors",
    "system.files",
    "system.gpu_listing",
    "system.gpus",
    "system.locks",
    "config.types",
    "config.training",
    "config.schema",
    "config.data",
    "config.evaluation",
    "config.load",
    "config.messages",
    "config.recipe",
    "workflow.jobs",
    "workflow.job_params",
    "workflow.targets",
    "workflow.columns",
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
STATEMENT_BREAKS = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
LIBRARIES = ("torch", "torchvision", "captum", "numpy")


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
    for node in ast.walk(ast.parse(source)):
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


def describe_environment(device: str) -> dict[str, Any]:
    """Return versions and machine of this process, which a rerun need not reproduce."""
    environment: dict[str, Any] = {
        "device": device,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        **{name: version(name) for name in LIBRARIES},
    }
    # Without an installation (from a checkout on the path) the package has no version.
    with suppress(PackageNotFoundError):
        environment["resomap"] = version("resomap")
    return environment
