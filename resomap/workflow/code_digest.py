"""Where a number comes from: the digest of the code that made it, and the versions it ran on."""

import ast
import hashlib
import io
import platform
import tokenize
from collections.abc import Iterator
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
# What carries values but computes none: an edit here changes a job's fields or nothing.
SILENT = {
    "errors",
    "system.files",
    "config.types",
    "config.training",
    "config.schema",
    "config.data",
    "config.load",
    "workflow.jobs",
    "workflow.targets",
    "workflow.columns",
    "workflow.layout",
    "workflow.data_digest",
    "workflow.code_digest",
    "system.gpus",
    "system.locks",
    "entry.arguments",
}
LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
LIBRARIES = ("torch", "torchvision", "captum", "numpy")


@cache
def code_digest(*entries: Path) -> str:
    """The sha256 of `entries` and all they import of this package, without comments, docstrings and layout."""
    digest = hashlib.sha256()
    for path in sorted({path for entry in entries for path in import_closure(entry)}):
        digest.update(_essence(path).encode())
    return digest.hexdigest()[:16]


@cache
def import_closure(entry: Path) -> frozenset[Path]:
    """`entry` and the package's files that it imports, directly or not, wherever the import stands, with templates beside them."""
    found, waiting = set[Path](), [entry]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(path)
    return frozenset(
        found | {template for path in found for template in path.parent.glob("templates/*.j2")}
    )


def _imports(path: Path) -> list[Path]:
    inside = {
        name.removeprefix("resomap.")
        for name in _names(path.read_text(encoding="utf-8"))
        if name.startswith("resomap.")
    } - SILENT
    return [
        file
        for name in sorted(inside)
        if (file := PACKAGE.joinpath(*name.split(".")).with_suffix(".py")).is_file()
    ]


@cache  # most entry points reach the same files
def _names(source: str) -> frozenset[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return frozenset(names)


def _essence(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return without_layout(text) if path.suffix == ".py" else text


@cache
def without_layout(source: str) -> str:
    """The tokens of `source` that matter to Python, blocks marked; equal on every Python (`ast.unparse` is not)."""
    kept, starts_line, depth = list[str](), True, 0
    lines = io.StringIO(
        source
    ).readlines()  # not splitlines, which knows more ends of a line than Python does
    for kind, text, end in _tokens(lines):
        if kind in LAYOUT:
            starts_line = starts_line or kind in (
                tokenize.NEWLINE,
                tokenize.INDENT,
                tokenize.DEDENT,
            )
            depth += (kind == tokenize.INDENT) - (kind == tokenize.DEDENT)
        elif not (kind == tokenize.STRING and starts_line and _ends_statement(lines, end)):
            kept.append(f"\n{depth} {text}" if starts_line else f" {text}")
            starts_line = False
    return "".join(kept)


def _tokens(lines: list[str]) -> Iterator[tuple[int, str, tuple[int, int]]]:
    # Python 3.12 cuts an f-string into tokens of its own; here it stays the one string that it is for 3.11.
    begins, ends = (getattr(tokenize, name, None) for name in ("FSTRING_START", "FSTRING_END"))
    opened = list[tuple[int, int]]()
    for token in tokenize.generate_tokens(partial(next, iter(lines), "")):
        if token.type == begins:
            opened.append(token.start)
        elif token.type == ends:
            start = opened.pop()
            if not opened:
                yield tokenize.STRING, _between(lines, start, token.end), token.end
        elif not opened:
            yield token.type, token.string, token.end


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    text = "".join(lines[start[0] - 1 : end[0]])
    return text[start[1] : len(text) - len(lines[end[0] - 1]) + end[1]]


def _ends_statement(lines: list[str], end: tuple[int, int]) -> bool:
    return not lines[end[0] - 1][end[1] :].split("#")[0].strip()


def environment(device: str) -> dict[str, Any]:
    """Versions and machine of this process; outside what a rerun must reproduce to the byte."""
    return {
        "device": device,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        **{name: version(name) for name in LIBRARIES},
    }
