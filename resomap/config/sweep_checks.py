"""Checks of the sweep against the models that it names, the training recipe and the machine."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from resomap.config.architecture import (
    Architecture,
    builder_family,
    builder_slug,
    check_builder,
    names_builder,
)
from resomap.config.report import Report
from resomap.config.schema import Config
from resomap.errors import ConfigError, suggest

MODELS_KEY = "config/sweep.yaml: sweep.models"


def find_architecture(models: Iterable[Architecture], name: str) -> Architecture:
    """Return the entry called `name`, or `<name>_224` as in the predecessor, or of a builder."""
    by_name = {model.name: model for model in models}
    plain = _plain_name(name, by_name)
    if plain not in by_name:
        raise ConfigError(_unknown_model(name, by_name))
    return by_name[plain]


def add_builders(values: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str]]:
    """Return `values` with an entry in `models` for each builder that the sweep names itself.

    The list has a line for each name that is no builder, or whose results would lie where those
    of another entry do.
    """
    models, problems = values.get("models"), list[str]()
    if not isinstance(models, Mapping):
        return values, problems
    entries = dict(models)
    for name in filter(names_builder, _named_models(values)):
        slug = builder_slug(name)
        try:
            check_builder(name)
        except ValueError as error:
            problems.append(f"{MODELS_KEY}: {error}")
            continue
        entry = {"family": builder_family(name), "builder": name}
        if entries.setdefault(slug, entry) != entry:
            problems.append(
                f"{MODELS_KEY}: {name}: its results would lie under {slug}, the name of an entry "
                "in models.yaml: name that entry, or give it another name"
            )
    return {**values, "models": entries}, problems


def unknown_models(values: Mapping[str, Any]) -> list[str]:
    """Return a line for each model of `sweep.models` that models.yaml lacks.

    It reads values that are not validated, so that a mistake elsewhere does not hide this one.
    """
    models = values.get("models")
    if not isinstance(models, Mapping):
        return []
    known = [name for name in models if isinstance(name, str)]
    return [
        _unknown_model(name, known)
        for name in _named_models(values)
        if not names_builder(name) and _plain_name(name, known) not in known
    ]


def _named_models(values: Mapping[str, Any]) -> list[str]:
    """Return the names in `sweep.models` of values that are not validated."""
    sweep = values.get("sweep")
    names = sweep.get("models") if isinstance(sweep, Mapping) else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _plain_name(name: str, known: Iterable[str]) -> str:
    if names_builder(name):
        return builder_slug(name)
    return name if name in known else name.removesuffix("_224")


def _unknown_model(name: str, known: Iterable[str]) -> str:
    return (
        f"{MODELS_KEY}: unknown model {name[:60]!r}; {suggest(_plain_name(name, known), known)}"
    )


def sweep_problems(config: Config) -> Iterator[str]:
    """Yield a line for each contradiction between sections; every model must be known."""
    chosen = [find_architecture(config.models, name) for name in config.sweep.models]
    if len(set(chosen)) < len(chosen):
        yield f"{MODELS_KEY}: a model is listed twice, once by its alias"
    batch_size, gpus = config.training.batch_size, config.system.training.gpus
    if batch_size < gpus:
        yield (
            f"config/training.yaml: training.batch_size: {batch_size} leaves some of the {gpus} GPUs "
            "(system.training.gpus) without an image"
        )
    for model in config.models:
        if model.channels == ():
            yield (
                f"config/models.yaml: models.{model.name}.channels: [] has no stage: leave the key "
                "out, or list the channels of each stage"
            )
    for model in dict.fromkeys(chosen):
        yield from _model_problems(model, config)
    if config.training.precision == "tf32" and config.system.device == "cpu":
        yield (
            "config/training.yaml: training.precision: tf32 exists on NVIDIA GPUs only, and "
            "system.device is cpu: use fp32"
        )


def _model_problems(model: Architecture, config: Config) -> Iterator[str]:
    if config.training.start.pretrained and (model.width_mult or model.channels):
        yield (
            "config/training.yaml: training.start: pretrained: "
            f"there are no weights for {model.name} with its width_mult or channels"
        )


def check_recall_classes(rules: Report, classes: Sequence[str]) -> None:
    """Check that the dataset has every class of `report.min_recall`; ConfigError names others."""
    problems = [
        f"report.min_recall: no class is called {wanted.name!r}; {suggest(wanted.name, classes)}"
        for wanted in rules.min_recall
        if wanted.name not in classes
    ]
    if problems:
        raise ConfigError("\n".join(problems))
