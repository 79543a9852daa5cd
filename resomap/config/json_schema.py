"""The JSON schema of a configuration file, for editors and for the catalogue of workflows.

`resomap check` is stricter: it also compares keys with each other and with the machine.
"""

import json
from typing import Any

from resomap.config.data import Data
from resomap.config.load import DATASET_SECTIONS
from resomap.config.messages import section_of
from resomap.config.schema import Config

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# `default` would be that of a type, and the shipped files have the values (decision 0002).
LEFT_OUT = ("required", "title", "default")
TEXT, NOTHING = {"type": "string"}, {"type": "null"}


def config_schema() -> str:
    """Return the schema as JSON: of a file that holds only what differs from the shipped ones."""
    schema = _without_keys(Config.model_json_schema())
    sections = schema["$defs"]
    _allow_short_forms(schema, sections)
    named = {"$schema": DIALECT, "title": "Configuration of ResoMap", **schema}
    return json.dumps(named, indent=1, ensure_ascii=False) + "\n"


def _allow_short_forms(schema: dict[str, Any], sections: dict[str, Any]) -> None:
    """Add what `build_config` and validators accept beside the sections themselves."""
    # models.yaml is a mapping by name, which the frozen tree holds as a list.
    sections["Architecture"]["properties"].pop("name")
    schema["properties"]["models"] = {
        "description": schema["properties"]["models"]["description"],
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/Architecture"},
    }
    # `torchvision/NAME` and others are names of builders, not of entries.
    sections["Sweep"]["properties"]["models"]["items"] = TEXT
    # `{dataset: folder, path: DIR}` for `{dataset: folder, folder: {path: DIR}}`.
    for name in DATASET_SECTIONS:
        section = section_of(Data.model_fields[name].annotation).__name__
        options = sections[section]["properties"]
        sections["Data"]["properties"] = {**options, **sections["Data"]["properties"]}
    # A word or a path stands for the whole section, and renames are a mapping.
    rename = {"type": "object", "additionalProperties": TEXT}
    sections["Start"]["properties"]["rename"] = rename
    sections["Start"] = {"anyOf": [TEXT, sections["Start"]]}
    mode = sections["Monitor"]["properties"]["mode"]
    sections["Monitor"]["properties"]["mode"] = {"anyOf": [mode, NOTHING]}


def _without_keys(schema: Any) -> Any:
    """Return `schema` without LEFT_OUT, and with each description on one line."""
    if isinstance(schema, list):
        return [_without_keys(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = dict[str, Any]()
    for key, value in schema.items():
        if key == "properties":  # keys of the configuration, which may have any name
            kept[key] = {name: _without_keys(each) for name, each in value.items()}
        elif key == "description":
            kept[key] = " ".join(value.split())
        elif key not in LEFT_OUT:
            kept[key] = _without_keys(value)
    return kept
