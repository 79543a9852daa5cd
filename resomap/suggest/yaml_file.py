"""The suggested configuration as a short YAML file with a comment beside the keys."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from resomap.errors import ConfigError
from resomap.system.files import write_text

LONGEST_VALUE = 72
"""Columns of a value on one line; longer ones are written as a block."""
COMMENT_COLUMN = 36


def write_suggestion(
    path: Path, values: Mapping[str, Any], comments: Mapping[str, str], head: str
) -> None:
    """Write the sections of `values`, below the comment `head`."""
    lines = [f"# {line}" for line in head.splitlines()]
    write_text(path, "\n".join([*lines, *yaml_lines(values, comments)]) + "\n")


def yaml_lines(values: Mapping[str, Any], comments: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of each section; `comments` are by dotted key."""
    for section, keys in values.items():
        if not isinstance(keys, Mapping):
            yield from _key_lines(section, keys, "", comments.get(section))
            continue
        yield f"{section}:"
        for key, value in keys.items():
            yield from _key_lines(key, value, "  ", comments.get(f"{section}.{key}"))


def _key_lines(key: str, value: Any, indent: str, comment: str | None) -> Iterator[str]:
    line = f"{indent}{_flow(key)}: {_flow(value)}"
    if len(line) > LONGEST_VALUE and isinstance(value, Mapping | list):
        yield f"{indent}{_flow(key)}:{f'  # {comment}' if comment else ''}"
        block = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
        yield from (f"{indent}  {each}" for each in block.splitlines())
    else:
        yield f"{line:<{COMMENT_COLUMN - 2}}  # {comment}" if comment else line


def _flow(value: Any) -> str:
    """Return a value on one line."""
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000
    )
    return text.removesuffix("\n").removesuffix("\n...")


def refuse_overwriting(path: Path, *, force: bool) -> None:
    """Raise ConfigError where a file exists and may not be overwritten."""
    if path.exists() and not force:
        raise ConfigError(f"{path} exists: give --force to overwrite it, or another --output")
