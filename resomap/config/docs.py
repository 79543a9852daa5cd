"""Generate config/README.md and config/schema.json from the types and the shipped files.

Run `python -m resomap.config.docs config`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import BaseMetadata, Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from resomap.config.architecture import Architecture
from resomap.config.json_schema import config_schema
from resomap.config.load import read_yaml
from resomap.config.messages import section_of
from resomap.config.schema import CONFIG_FILES, Config
from resomap.system.files import write_text

PAGE_HEAD = """# Configuration

The configuration is eight files. Each file holds the section it is named after; `config.yaml`
holds `experiment`, `report` and `evaluation`. Leave these files as they are. Write your changes, and
only those, to a file of your own:

```yaml
# mine.yaml
sweep: {models: [resnet18], resolutions: [64, 128]}
```

`resomap check --configfile mine.yaml` checks it, and `snakemake --configfile mine.yaml` runs it.
`presets/` holds such files, with the cost of each. Unknown keys are refused. YAML reads `1e-3` as
text: write `0.001`.

`schema.json` describes such a file for editors. With the YAML extension of VS Code, and other editors that use
yaml-language-server, this first line of it gives completion, and marks unknown keys:

```
# yaml-language-server: $schema=config/schema.json
```

This page is generated from `resomap/config/` and the files beside it
(`python -m resomap.config.docs config`).
"""
TABLE_HEAD = "| key | type | shipped | meaning |\n|---|---|---|---|\n"
BOUND_SIGNS = {Ge: (">=", "ge"), Gt: (">", "gt"), Le: ("<=", "le"), Lt: ("<", "lt")}
YAML_WORDS = {"None": "null", "True": "true", "False": "false"}


def config_readme(directory: Path) -> str:
    """Return the page for the files of `directory`: each key with type, shipped value, meaning."""
    parts = (_file_part(name, read_yaml(directory / f"{name}.yaml")) for name in CONFIG_FILES)
    return PAGE_HEAD + "".join(parts)


def _file_part(name: str, values: dict[str, Any]) -> str:
    rows = _model_rows(values) if name == "models" else _file_rows(values)
    return f"\n## {name}.yaml\n\n{TABLE_HEAD}{''.join(rows)}"


def _file_rows(values: dict[str, Any]) -> Iterator[str]:
    for section, keys in values.items():
        yield from _rows(section, Config.model_fields[section].annotation, keys)


def _model_rows(values: dict[str, Any]) -> Iterator[str]:
    for key, field in Architecture.model_fields.items():
        if key != "name":
            yield _row(f"NAME.{key}", field, "")
    yield f"\nShipped: {', '.join(f'`{model}`' for model in values['models'])}.\n"


def _rows(path: str, section: Any, values: dict[str, Any]) -> Iterator[str]:
    """Yield a row per key of `section`, and of each section in it, even if shipped as null."""
    for key, field in section.model_fields.items():
        inner = section_of(field.annotation)
        # A section with shipped values has no row of its own, only rows for its keys.
        if inner is not None and isinstance(values.get(key), dict):
            yield from _rows(f"{path}.{key}", inner, values[key])
            continue
        yield _row(f"{path}.{key}", field, f"`{_yaml(values[key])}`" if values else "")
        if inner is not None:
            yield from _rows(f"{path}.{key}", inner, {})


def _row(path: str, field: FieldInfo, shipped: str) -> str:
    meaning = " ".join((field.description or "").split())
    kind = f"{_type(field.annotation)}{_bounds(field.metadata)}"
    return f"| `{path}` | {kind} | {shipped} | {meaning} |\n"


def _yaml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    return YAML_WORDS.get(str(value), str(value))


def _type(annotation: Any) -> str:
    """Return the type in words, such as `list of int > 0` or `float or null`."""
    inner = get_args(annotation)
    if get_origin(annotation) is Literal:
        return ", ".join(map(str, inner))
    if get_origin(annotation) is tuple:
        return f"list of {_type(inner[0])}"
    if type(None) in inner:
        return f"{_type(inner[0])} or null"
    if hasattr(annotation, "__metadata__"):
        return _type(inner[0]) + _bounds(annotation.__metadata__)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return str(getattr(annotation, "__name__", annotation))


def _bounds(metadata: Any) -> str:
    """Return the numeric limits among pydantic's metadata, such as ` > 0, < 1`."""
    limits = []
    for entry in metadata:
        # A pydantic FieldInfo inside Annotated keeps its constraints in a list of its own.
        for constraint in getattr(entry, "metadata", None) or [entry]:
            if isinstance(constraint, BaseMetadata) and type(constraint) in BOUND_SIGNS:
                sign, attribute = BOUND_SIGNS[type(constraint)]
                limits.append(f"{sign} {getattr(constraint, attribute)}")
    return f" {', '.join(limits)}" if limits else ""


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    write_text(folder / "README.md", config_readme(folder))
    write_text(folder / "schema.json", config_schema())
