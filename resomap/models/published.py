"""The published weights of a network, and the images that they were trained on."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from resomap.config.architecture import Architecture, is_own
from resomap.models.custom import CUSTOM_BUILDERS


class PublishedWeights(NamedTuple):
    """Weights of torchvision or timm by their tag, and the images that they take."""

    tag: str
    side: int
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


def published_weights(architecture: Architecture) -> list[PublishedWeights]:
    """Return the weights that are published for a network, the default ones first.

    Nothing is downloaded. Whether they fit an entry with settings of its own is not asked.
    """
    builder = architecture.builder
    source, _, name = builder.rpartition("/")
    if is_own(builder) or (not source and builder in CUSTOM_BUILDERS):
        return []
    return _of_timm(name) if source == "timm" else _of_torchvision(name)


def _of_torchvision(name: str) -> list[PublishedWeights]:
    from torchvision.models import get_model_weights

    try:
        weights = get_model_weights(name)
    except ValueError:
        return []
    default = getattr(weights, "DEFAULT", None)
    found = list[PublishedWeights]()
    for each in sorted(weights, key=lambda each: each is not default):
        transforms: Any = each.transforms()
        (side,) = transforms.crop_size
        mode = transforms.interpolation.value
        mean, std = tuple(transforms.mean), tuple(transforms.std)
        found.append(PublishedWeights(each.name, side, mode, mean, std))
    return found


def _of_timm(name: str) -> list[PublishedWeights]:
    import timm

    plain = name.partition(".")[0]
    names = [
        each for each in timm.list_pretrained(f"{plain}.*") if each.startswith(f"{plain}.")
    ]
    default = timm.get_pretrained_cfg(name)
    found = list[PublishedWeights]()
    for each in names:
        config: Any = timm.get_pretrained_cfg(each)
        tag = config.tag or "default"
        side, mode = config.input_size[-1], config.interpolation
        found.append(PublishedWeights(tag, side, mode, tuple(config.mean), tuple(config.std)))
    first = default.tag if default is not None else ""
    return sorted(found, key=lambda weights: weights.tag != first)


def describe_numbers(values: Sequence[float]) -> str:
    """Return numbers of a normalisation: `0.485 0.456 0.406`."""
    return " ".join(f"{value:.4g}" for value in values)
