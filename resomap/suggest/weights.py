"""Which models can start from pretrained weights that lie on this machine."""

import importlib
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from resomap.config.architecture import Architecture
from resomap.config.library_names import registered_names
from resomap.config.schema import Config
from resomap.config.start import Start
from resomap.errors import ConfigError, ResoMapError
from resomap.workflow.targets import start_files, swept_models

PREFERRED = (
    *("mobilenet_v3_small", "resnet18", "efficientnet_b0", "mobilenet_v3_large"),
    *("resnet34", "resnet50", "mobilenet_v2", "efficientnet_v2_s"),
)
"""Models from cheap to expensive that are suggested first."""
MOST_MODELS = 3
RANDOM_MODELS = ("tiny_cnn", "simple_cnn")
"""Small networks that learn from few images."""
LARGE_DATASET, LARGER_MODEL = 5_000, "resnet18"
"""Training images from which on a larger network is trained from random weights, too."""


def suggest_random(train: int) -> list[str]:
    """Return models to train from random weights on so many images."""
    larger = [LARGER_MODEL] if train >= LARGE_DATASET else []
    return [*RANDOM_MODELS, *larger]


def models_at_hand(known: Iterable[Architecture]) -> list[str]:
    """Return up to three models whose published weights lie on this machine; no download."""
    names = list(_find_at_hand(known))
    order = {name: place for place, name in enumerate(PREFERRED)}
    return sorted(names, key=lambda name: (order.get(name, len(order)), name))[:MOST_MODELS]


def any_batch_norm(networks: Iterable[Architecture], resolution: int) -> bool:
    """Return whether a network has BatchNorm; also where none of them can be built."""
    from resomap.models.shapes import ShapesBySide
    from resomap.training.finetune import is_batch_norm

    try:
        modules = [ShapesBySide(each).at(resolution).modules() for each in networks]
    except ConfigError:  # the check of networks names it
        return True
    return any(map(is_batch_norm, chain.from_iterable(modules)))


def agreed_filter(networks: Iterable[Architecture], start: Start) -> str | None:
    """Return the filter by which the images of all weights were resized.

    None where they differ, or where those of a network name none.
    """
    from resomap.training.initial_weights import expected_input

    try:
        filters = {expected_input(start, each).interpolation for each in networks}
    except ResoMapError:  # the check of the start names it
        return None
    return filters.pop() if len(filters) == 1 else None


def check_given_start(config: Config, resolution: int) -> None:
    """Raise ConfigError where the weights of a file do not fit the networks of the sweep."""
    from resomap.training.initial_weights import check_start

    start_files(config)
    start, networks = config.training.start, swept_models(config)
    problems = check_start(start, networks, resolution, config.data.filter).problems
    if problems:
        raise ConfigError("\n".join(problems))


def _find_at_hand(known: Iterable[Architecture]) -> Iterator[str]:
    """Yield models of torchvision and of timm."""
    import torch  # takes two seconds

    files = {path.name for path in Path(torch.hub.get_dir(), "checkpoints").glob("*")}
    plain = [each for each in known if not (each.width_mult or each.channels)]
    builders = {each.name: each.builder for each in plain}
    if files:
        listed = {each.removeprefix("torchvision/") for each in builders.values()}
        others = [each for each in registered_names("torchvision") if each not in listed]
        builders |= {f"torchvision/{name}": f"torchvision/{name}" for name in others}
        yield from (name for name in builders if is_at_hand(builders[name]))
    timm = {name.partition(".")[0] for name in files} | set(_cached_on_hub())
    for name in sorted(timm & set(registered_names("timm"))):
        if is_at_hand(f"timm/{name}"):
            yield f"timm/{name}"


def _cached_on_hub() -> Iterator[str]:
    """Yield the models of timm whose files the cache of huggingface_hub has."""
    if find_spec("huggingface_hub") is None:
        return
    # By name: timm brings this package, and mypy runs without it.
    constants = importlib.import_module("huggingface_hub.constants")
    for path in Path(constants.HF_HUB_CACHE).glob("models--timm--*"):
        yield path.name.removeprefix("models--timm--").partition(".")[0]


def is_at_hand(builder: str) -> bool:
    """Return whether the file of the preferred weights of a builder lies on this machine."""
    from resomap.models.published import find_published

    try:
        weights = find_published(builder)
    except ResoMapError:
        return False
    if weights.path.is_file():
        return True
    hub_id = getattr(weights.entry, "hf_hub_id", None)
    if not hub_id or find_spec("huggingface_hub") is None:
        return False
    hub = importlib.import_module("huggingface_hub")
    return isinstance(hub.try_to_load_from_cache(hub_id, Path(weights.url).name), str)
