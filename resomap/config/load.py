"""Read the YAML files of the configuration, merge them and validate the result as one frozen
tree."""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from resomap.config.data import Data
from resomap.config.messages import explain, file_of, limit_lines, section_of, shorten
from resomap.config.recipe import recipe_problems
from resomap.config.schema import CONFIG_FILES, Config
from resomap.config.sweep_checks import add_builders, sweep_problems, unknown_models
from resomap.config.title import name_experiment
from resomap.errors import ConfigError
from resomap.system.workflow_files import workflow_folder

# Keys of the predecessor's files and of earlier versions: type of their value, and new key.
RENAMED: dict[str, tuple[type, str]] = {
    "models": (list, "sweep.models"),
    "resolutions": (object, "sweep.resolutions"),
    "experiment.seed": (object, "sweep.seeds"),
    "data.augmentation": (object, "training.augmentation"),
    "data.num_workers": (object, "system.training.num_workers"),
    "data.pin_memory": (object, "system.training.pin_memory"),
    "training.learning_rate": (object, "training.optimizer.learning_rate"),
    "training.weight_decay": (object, "training.optimizer.weight_decay"),
    "training.optimizer": (str, "training.optimizer.type: adamw"),
    "training.mixed_precision": (object, "training.precision"),
    "training.use_amp": (object, "training.precision: bf16"),
    "training.gradient_accumulation_steps": (object, "training.micro_batch"),
    "training.gradient_clip_norm": (object, "training.clip_norm"),
    "training.scheduler": (object, "training.schedule"),
    "training.optimizer.lr": (object, "training.optimizer.learning_rate"),
    "explainability.pictures": (object, "explainability.images"),
    "explainability.faithfulness.pictures": (object, "explainability.faithfulness.images"),
    "explainability.sanity.pictures": (object, "explainability.sanity.images"),
    "device.use_amp": (object, "training.precision: bf16"),
    "device.cudnn_benchmark": (object, "system.training.cudnn_benchmark"),
    "device.use_cuda": (object, "system.device: cuda"),
}
DATASET_SECTIONS = ("folder", "csv", "torchvision", "reef")


SHIPPED_CONFIG = workflow_folder() / "config"
USER_CONFIG = Path("resomap.yaml")
"""Read by every command that no other file is given to; `resomap init` writes it."""
MAX_FILE_BYTES = 2**20
# Aliases may repeat values without end: nine lines of nine aliases each make 9 ** 9 values.
MAX_VALUES = 20_000
TEMPLATE_KEY = "__use_yte__"
KEY_TAGS = {
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "merge")
}
"""Kinds of keys that can be compared with those of a section; the last is `<<`."""


class _CheckingLoader(yaml.SafeLoader):
    """A YAML loader that refuses repeated keys, aliases that explode, and templates.

    PyYAML overwrites the first of two equal keys silently. Snakemake runs the Python code of a
    file with TEMPLATE_KEY, also in a dry run.
    """

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None and _count_values(node, {}) > MAX_VALUES:
            raise yaml.constructor.ConstructorError(
                None,
                None,
                f"its aliases expand to more than {MAX_VALUES} values",
                node.start_mark,
            )
        return node

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Any, Any]:
        keys = []
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if key.value in keys:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is written twice", key.start_mark
                )
            if key.value == TEMPLATE_KEY:
                problem = f"{TEMPLATE_KEY} would run code of this file: write plain YAML"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            if key.tag not in KEY_TAGS:
                kind = key.tag.rpartition(":")[2]
                problem = f"this key is a {kind}, and keys are text: write it in quotes"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            keys.append(key.value)
        return super().construct_mapping(node, deep)  # type: ignore[arg-type]


def _count_values(node: yaml.Node, counted: dict[int, int | None]) -> int:
    """Return the number of values below `node` with every alias written out.

    `counted` has the nodes counted before, and None for those that contain this one.
    """
    if id(node) in counted:
        known = counted[id(node)]
        if known is None:
            problem = "an alias stands within the value that it repeats"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return known
    counted[id(node)] = None
    total = 1
    for child in node.value if isinstance(node, yaml.CollectionNode) else ():
        for each in child if isinstance(child, tuple) else (child,):
            total += _count_values(each, counted)
    counted[id(node)] = min(total, MAX_VALUES + 1)
    return min(total, MAX_VALUES + 1)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one mapping; ConfigError names the file, and the line if it is known."""
    try:
        # The loader is a SafeLoader, which builds no object but lists, mappings and scalars.
        value = yaml.load(_read_text(path), _CheckingLoader)  # noqa: S506
    except ConfigError:
        raise
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}, line {line}: {error.problem}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    # ValueError: bytes that are not UTF-8. RecursionError: nested without end.
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected sections such as 'sweep:', found {shorten(value)}")
    return value


def _read_text(path: Path) -> str:
    """Return the text of a configuration file; ConfigError where it cannot be one."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        # Every job reads the file again, and a pipe is empty after the first time.
        raise ConfigError(f"{path}: cannot be read: it is a pipe or device, not a file")
    if path.is_file() and path.stat().st_size > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: cannot be read: it is larger than 1 MiB")
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path}, line {line}: cannot be read: byte {content[error.start]:#x} is not UTF-8: "
            "save the file as UTF-8"
        ) from None


@cache
def shipped_values() -> dict[str, Any]:
    """Return the eight shipped files, merged; not to be changed."""
    values: dict[str, Any] = {}
    for name in CONFIG_FILES:
        values = merge(values, read_yaml(SHIPPED_CONFIG / f"{name}.yaml"))
    return values


def merge(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the keys of `overlay` on top; lists and values are replaced whole."""
    merged = dict(base)
    for key, value in overlay.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def load_user_config(overlays: Iterable[Path] | None = None) -> Config:
    """Load the shipped files with `overlays` on top, by default resomap.yaml of this directory."""
    return load_config(SHIPPED_CONFIG, user_files(overlays or ()))


def user_files(overlays: Iterable[Path]) -> list[Path]:
    """Return `overlays`; where there are none, resomap.yaml of this directory if it exists."""
    files = list(overlays)
    return files or [path for path in (USER_CONFIG,) if path.exists()]


def load_config(directory: Path, overlays: Iterable[Path] = ()) -> Config:
    """Load the eight files of `directory` with the user's `overlays` on top."""
    values: dict[str, Any] = {}
    for path in [*(directory / f"{name}.yaml" for name in CONFIG_FILES), *overlays]:
        values = merge(values, read_yaml(path))
    return build_config(values)


def build_config(values: Mapping[str, Any]) -> Config:
    """Validate `values` on top of the shipped ones.

    ConfigError has a line for each wrong key.
    """
    # Otherwise a renamed key would be reported as unknown, without its new name.
    values, renamed = _take_renamed(values)
    filled = merge(shipped_values(), values)
    # A whole configuration, such as results/run_config.yaml, names all of its models itself.
    if set(filled) <= set(values):
        filled["models"] = values["models"]
    values, misnamed = add_builders(_expand_dataset_options(filled))
    problems = [*renamed, *misnamed, *unknown_models(values)]
    models = values.get("models")
    names = list(models) if isinstance(models, Mapping) else []
    try:
        # Through JSON: pydantic's strict mode refuses lists for tuples when it reads Python
        # objects, and its lax mode accepts "1e-1" as a number.
        config = Config.model_validate_json(_to_json(values, names), strict=True)
    except ValidationError as error:
        problems += explain(error, names)
        raise ConfigError("\n".join(limit_lines(problems))) from None
    # Not with a key left out: the shipped value in its place may contradict the others.
    if not problems:
        problems = [*recipe_problems(config.training), *sweep_problems(config)]
    if problems:
        raise ConfigError("\n".join(limit_lines(problems)))
    # Options of other datasets have no effect, so they must not change a job's identity.
    unused = {name: None for name in DATASET_SECTIONS if name != config.data.variant}
    data = config.data.model_copy(update=unused)
    experiment = name_experiment(config.experiment, data)
    return config.model_copy(update={"data": data, "experiment": experiment})


def _expand_dataset_options(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Expand the short form `{dataset: folder, path: DIR}` of `data`.

    The result is `{dataset: folder, folder: {path: DIR}}`.
    """
    data = values.get("data")
    if not isinstance(data, Mapping):
        return values
    dataset = data.get("dataset")
    variant = dataset if dataset in DATASET_SECTIONS else "torchvision"
    options = section_of(Data.model_fields[variant].annotation).model_fields
    # A key that `data` has itself is never short for one of its section.
    short = {key: data[key] for key in data if key in options and key not in Data.model_fields}
    section = data.get(variant)
    if not short or not isinstance(section, Mapping | None):
        return values
    rest = {key: value for key, value in data.items() if key not in short}
    return {**values, "data": {**rest, variant: {**(section or {}), **short}}}


def _take_renamed(values: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str]]:
    """Return `values` without the keys of RENAMED, and a line for each with its new key."""
    problems = []
    for old, (kind, new) in RENAMED.items():
        *sections, key = old.split(".")
        section: Any = values
        for name in sections:
            section = section.get(name) if isinstance(section, Mapping) else None
        # Old and new differ in type: a list `models` was the sweep, a mapping is models.yaml.
        if isinstance(section, Mapping) and key in section and isinstance(section[key], kind):
            problems.append(f"{file_of(new.split('.')[0])}: {old} is now {new}")
            values = _without(values, [*sections, key])
    return values, problems


def _without(values: Mapping[str, Any], key: list[str]) -> dict[str, Any]:
    """Return `values` without the key at the end of the path `key`, nor a section emptied by it."""
    first, *rest = key
    left = _without(values[first], rest) if rest else {}
    others = {name: value for name, value in values.items() if name != first}
    return {**others, first: left} if left else others


def _to_json(values: Mapping[str, Any], names: list[Any]) -> str:
    """Return `values` as JSON, the mapping `models` turned into a list of named entries."""
    models = []
    for name in names:
        entry = values["models"][name]
        models.append({**entry, "name": name} if isinstance(entry, Mapping) else entry)
    try:
        # YAML reads 2024-01-31 as a date, which JSON has not: as text it is refused by its key.
        return json.dumps({**values, "models": models} if names else values, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"the configuration holds a key or a nesting that JSON cannot represent: {error}"
        ) from None
