"""The configuration as one frozen tree: read, merged, validated, and explained in three lines when it is wrong."""

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from resomap.config.data import Data
from resomap.config.schema import Architecture, Config
from resomap.errors import ConfigError, suggest

FILES = ("config", "sweep", "models", "data", "training", "explainability", "system", "mlflow")

# Keys of the predecessor's files: what they held, and what replaces each.
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
MOST_LINES = 3
VARIANTS = ("folder", "csv", "torchvision", "reef")


class _UniqueKeys(yaml.SafeLoader):
    """A YAML loader that refuses a key written twice."""

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Any, Any]:
        keys = (
            [key.value for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
        )
        for position, key in enumerate(keys):
            if key in keys[:position]:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"the key {key!r} is written twice",
                    node.value[position][0].start_mark,
                )
        return super().construct_mapping(node, deep)  # type: ignore[arg-type]


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one mapping; ConfigError names the file and the line when it cannot be read."""
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}, line {line}: {error.problem}") from error
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected sections such as 'sweep:', found {_shown(value)}")
    return value


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `above` over `below`, key by key; lists and values are replaced whole."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def load_config(directory: Path, overlays: Iterable[Path] = ()) -> Config:
    """Read the eight files of `directory` and the user's `overlays` on top."""
    values: dict[str, Any] = {}
    for path in [*(directory / f"{name}.yaml" for name in FILES), *overlays]:
        values = merge(values, read_yaml(path))
    return build_config(values)


def build_config(values: Mapping[str, Any]) -> Config:
    """Validate merged `values`; ConfigError says what, where and what would be right, in at most three lines."""
    _refuse_renamed(values)
    values = _spread_data(values)
    models = values.get("models")
    names = list(models) if isinstance(models, Mapping) else []
    try:
        # JSON, because pydantic's strict Python mode refuses lists for tuples and its lax mode takes "1e-1" for a number.
        config = Config.model_validate_json(_to_json(values, names), strict=True)
    except ValidationError as error:
        raise ConfigError(_explain(error, names)) from None
    _check_sweep(config)
    others = {variant: None for variant in VARIANTS if variant != config.data.variant}
    return config.model_copy(update={"data": config.data.model_copy(update=others)})


def _spread_data(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """`data: {dataset: folder, path: DIR}` is short for `data: {dataset: folder, folder: {path: DIR}}`; so it is for each variant's keys."""
    data = values.get("data")
    if not isinstance(data, Mapping):
        return values
    variant = dataset if (dataset := data.get("dataset")) in VARIANTS else "torchvision"
    section, kind = data.get(variant), _inner_model(Data.model_fields[variant].annotation)
    short = {
        key: value
        for key, value in data.items()
        if key in kind.model_fields and key not in Data.model_fields
    }
    if not short or not isinstance(section, Mapping | None):
        return values
    rest = {key: value for key, value in data.items() if key not in short}
    return {**values, "data": {**rest, variant: {**(section or {}), **short}}}


def _refuse_renamed(values: Mapping[str, Any]) -> None:
    """Raise ConfigError when `values` hold a key of RENAMED, naming the key that replaces it."""
    for old, (kind, new) in RENAMED.items():
        *sections, key = old.split(".")
        section: Any = values
        for name in sections:
            section = section.get(name) if isinstance(section, Mapping) else None
        if isinstance(section, Mapping) and key in section and isinstance(section[key], kind):
            raise ConfigError(f"{_file_of(new.split('.')[0])}: {old} is now {new}")


def _to_json(values: Mapping[str, Any], names: list[Any]) -> str:
    named = [
        {**entry, "name": name}
        if isinstance(entry := values["models"][name], Mapping)
        else entry
        for name in names
    ]
    try:
        return json.dumps({**values, "models": named} if names else values, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"the configuration holds a key or a nesting that JSON cannot: {error}"
        ) from None


def find_architecture(models: Iterable[Architecture], name: str) -> Architecture:
    """The entry of models.yaml called `name`, or by the predecessor's `<name>_224`."""
    by_name = {model.name: model for model in models}
    plain = name if name in by_name else name.removesuffix("_224")
    if plain not in by_name:
        raise ConfigError(
            f"config/sweep.yaml: sweep.models: unknown model {name!r}; {suggest(plain, by_name)}"
        )
    return by_name[plain]


def _check_sweep(config: Config) -> None:
    chosen = [find_architecture(config.models, name) for name in config.sweep.models]
    if len(set(chosen)) < len(chosen):
        raise ConfigError(
            "config/sweep.yaml: sweep.models: a model is listed twice, once by its alias"
        )
    smallest = min(config.sweep.resolutions)
    for model in chosen:
        if smallest < model.min_resolution:
            raise ConfigError(
                f"config/sweep.yaml: sweep.resolutions: {model.name} takes pictures of {model.min_resolution} px or more, not {smallest}"
            )
        if config.training.start == "pretrained" and (model.width_mult or model.channels):
            raise ConfigError(
                f"config/training.yaml: training.start: pretrained: torchvision has no weights for {model.name}"
            )


def _explain(error: ValidationError, names: list[Any]) -> str:
    # A list with a wrong item is reported as too short, too.
    told = [
        problem
        for problem in error.errors()
        if not (problem["type"] == "too_short" and problem["input"])
    ]
    problems = [" ".join(_explain_one(problem, names).split()) for problem in told]
    rest = len(problems) - MOST_LINES + 1
    shown = (
        problems
        if len(problems) <= MOST_LINES
        else [*problems[: MOST_LINES - 1], f"... and {rest} more"]
    )
    return "\n".join(shown)


def _explain_one(problem: ErrorDetails, names: list[Any]) -> str:
    where, kind, value = problem["loc"], problem["type"], problem["input"]
    if not where:
        return f"the configuration cannot be read: {problem['msg']}"
    steps = list(where)
    if where[0] == "models" and len(where) > 1:
        steps[1] = names[int(where[1])]  # validated as a list, but written under their names
    key, place = ".".join(map(str, steps)), _file_of(str(where[0]))
    if kind == "extra_forbidden":
        return f"{place}: unknown key {key}; {suggest(str(where[-1]), _known_keys(where[:-1]))}"
    if kind == "missing":
        return f"{place}: {key} is missing"
    if kind == "value_error":
        return f"{place}: {key}: {problem['msg'].removeprefix('Value error, ')}"
    return f"{place}: {key}: {problem['msg'].partition(' after validation')[0]}, not {_shown(value)}{_number_hint(kind, value)}"


def _shown(value: Any) -> str:
    return json.dumps(value, default=str)[:60]


def _number_hint(kind: str, value: Any) -> str:
    try:
        number = (
            Decimal(value)
            if kind in ("int_type", "float_type") and isinstance(value, str)
            else None
        )
    except InvalidOperation:
        return ""
    return (
        f" (YAML reads it as text: write {number:f})"
        if number is not None and number.is_finite()
        else ""
    )


def _file_of(section: str) -> str:
    stem = section if section in FILES else "config"
    return f"config/{stem}.yaml"


def _known_keys(where: tuple[int | str, ...]) -> list[str]:
    section: Any = Config
    for step in where:
        section = (
            _inner_model(section.model_fields[step].annotation)
            if isinstance(step, str)
            else section
        )
    return list(section.model_fields)


def _inner_model(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_inner_model, get_args(annotation))), None)
