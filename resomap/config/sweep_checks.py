"""Checks of the sweep against the models that it names, the training recipe and the machine."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from resomap.config.report import Report
from resomap.config.schema import Architecture, Config
from resomap.errors import ConfigError, suggest

MODELS_KEY = "config/sweep.yaml: sweep.models"


def find_architecture(models: Iterable[Architecture], name: str) -> Architecture:
    """Return the entry of models.yaml called `name`, or `<name>_224` as in the predecessor."""
    by_name = {model.name: model for model in models}
    plain = _plain_name(name, by_name)
    if plain not in by_name:
        raise ConfigError(_unknown_model(name, by_name))
    return by_name[plain]


def unknown_models(values: Mapping[str, Any]) -> list[str]:
    """Return a line for each model of `sweep.models` that models.yaml lacks.

    It reads values that are not validated, so that a mistake elsewhere does not hide this one.
    """
    sweep, models = values.get("sweep"), values.get("models")
    names = sweep.get("models") if isinstance(sweep, Mapping) else None
    if not isinstance(names, list) or not isinstance(models, Mapping):
        return []
    known = [name for name in models if isinstance(name, str)]
    return [
        _unknown_model(name, known)
        for name in names
        if isinstance(name, str) and _plain_name(name, known) not in known
    ]


def _plain_name(name: str, known: Iterable[str]) -> str:
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
    smallest = min(config.sweep.resolutions)
    if smallest < model.min_resolution:
        yield (
            f"config/sweep.yaml: sweep.resolutions: {model.name} needs images of at least "
            f"{model.min_resolution} px, not {smallest}"
        )
    if config.training.start == "pretrained" and (model.width_mult or model.channels):
        yield (
            "config/training.yaml: training.start: pretrained: "
            f"torchvision has no weights for {model.name}"
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
