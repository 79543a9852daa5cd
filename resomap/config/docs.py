"""config/README.md, made from the types and the shipped files: `python -m resomap.config.docs config`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import BaseMetadata, Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from resomap.config.load import FILES, read_yaml
from resomap.config.schema import Architecture, Config
from resomap.system.files import write_text

HEAD = """# Configuration

Eight files, each owning the section it is named after (`config.yaml` owns `experiment` and `report`). Leave them as they are and lay a
file of your own on top: `snakemake --configfile mine.yaml`; it holds only what differs. `presets/` has such files, each with its cost.
Unknown keys are refused. YAML reads `1e-3` as text: write `0.001`. `resomap check --configfile mine.yaml` names file and line.

This page is generated from `resomap/config/schema.py` and the files beside it (`python -m resomap.config.docs config`); a test holds it.
"""
SIGNS = {Ge: (">=", "ge"), Gt: (">", "gt"), Le: ("<=", "le"), Lt: ("<", "lt")}


def config_readme(directory: Path) -> str:
    """The page for the files of `directory`: every key, its type, its shipped value and its meaning."""
    return HEAD + "".join(
        _file_part(name, read_yaml(directory / f"{name}.yaml")) for name in FILES
    )


def _file_part(name: str, values: dict[str, Any]) -> str:
    if name == "models":
        rows = [
            _row(f"NAME.{key}", field, "")
            for key, field in Architecture.model_fields.items()
            if key != "name"
        ]
        rows.append(f"\nShipped: {', '.join(f'`{model}`' for model in values['models'])}.\n")
    else:
        rows = [
            row
            for section in values
            for row in _rows(section, Config.model_fields[section].annotation, values[section])
        ]
    return (
        f"\n## {name}.yaml\n\n| key | type | shipped | meaning |\n|---|---|---|---|\n"
        + "".join(rows)
    )


def _rows(path: str, section: Any, values: dict[str, Any]) -> Iterator[str]:
    for key, field in section.model_fields.items():
        inner = [
            kind
            for kind in (field.annotation, *get_args(field.annotation))
            if isinstance(kind, type) and issubclass(kind, BaseModel)
        ]
        if inner and isinstance(values.get(key), dict):
            yield from _rows(f"{path}.{key}", inner[0], values[key])
        else:
            yield _row(f"{path}.{key}", field, f"`{_yaml(values[key])}`" if values else "")
            yield from _optional_rows(f"{path}.{key}", field.annotation)


def _optional_rows(path: str, annotation: Any) -> Iterator[str]:
    sections = [
        inner
        for inner in get_args(annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel)
    ]
    for section in sections:
        yield from _rows(path, section, {})


def _row(path: str, field: FieldInfo, shipped: str) -> str:
    return f"| `{path}` | {_type(field.annotation)}{_bounds(field.metadata)} | {shipped} | {field.description} |\n"


def _yaml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    return (
        {None: "null", True: "true", False: "false"}.get(value, str(value))
        if not isinstance(value, int | float) or isinstance(value, bool)
        else str(value)
    )


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(map(str, get_args(annotation)))
    if get_origin(annotation) is tuple:
        return f"list of {_type(get_args(annotation)[0])}"
    inner = get_args(annotation)
    if type(None) in inner:
        return f"{_type(inner[0])} or null"
    if hasattr(annotation, "__metadata__"):
        return _type(inner[0]) + _bounds(annotation.__metadata__)
    return str(getattr(annotation, "__name__", annotation))


def _bounds(metadata: Any) -> str:
    flat = [
        item for entry in metadata for item in (getattr(entry, "metadata", None) or [entry])
    ]
    limits = [
        f"{SIGNS[type(item)][0]} {getattr(item, SIGNS[type(item)][1])}"
        for item in flat
        if isinstance(item, BaseMetadata) and type(item) in SIGNS
    ]
    return f" {', '.join(limits)}" if limits else ""


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    write_text(folder / "README.md", config_readme(folder))
