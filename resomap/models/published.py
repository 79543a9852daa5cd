"""Published weights of torchvision and timm: their tags, the input that they expect, their files.

A builder is a name of torchvision, with or without `torchvision/`, or `timm/NAME`, where NAME may
end in a tag.
"""

import importlib
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resomap.config.architecture import Architecture
from resomap.config.library_names import INSTALL_TIMM
from resomap.config.start import DEFAULT_TAG, Normalisation
from resomap.errors import ConfigError, ResoMapError, suggest

ANSWER_SECONDS = 20.0
"""The longest that a server may take to answer or to go on."""
AUXILIARY_HEADS = ("aux1.", "aux2.", "AuxLogits.")  # not built: see models.registry
START_KEY = "config/training.yaml: training.start"
TIMM_PREFIX = "timm/"
TORCHVISION_PREFIX = "torchvision/"
HUB_FILE = "model.safetensors"


@dataclass(frozen=True)
class InputFormat:
    """The input that weights were trained with; None for what is not known.

    `interpolation` is the filter of their images, `resolution` the side at which they were
    published.
    """

    normalisation: Normalisation | None = None
    interpolation: str | None = None
    resolution: int | None = None


@dataclass(frozen=True)
class PublishedWeights:
    """Weights that a library publishes for a builder, known by `tag`; not loaded yet.

    `url` is where the file is downloaded, `path` where it may be put instead. `entry` is the
    library's own description.
    """

    builder: str
    tag: str
    url: str
    path: Path
    input: InputFormat
    entry: Any

    @property
    def origin(self) -> str:
        """Return the library with the tag: `torchvision IMAGENET1K_V1`."""
        return f"{'timm' if self.builder.startswith(TIMM_PREFIX) else 'torchvision'} {self.tag}"

    def load(self) -> dict[str, Tensor]:
        """Return the tensors by the names of the builder; download them where they are not here.

        ResoMapError, in one line with the address and a place for the file, where that fails.
        """
        with self._explaining(), _answering_soon():
            if self.builder.startswith(TIMM_PREFIX):
                return self._load_timm()
            state = self.entry.get_state_dict(
                progress=False, check_hash=True, weights_only=True
            )
        return {name: state[name] for name in state if not name.startswith(AUXILIARY_HEADS)}

    def _load_timm(self) -> dict[str, Tensor]:
        path = self.path
        if not path.is_file():
            path = self._find_in_hub_cache() or self._download()
        # A network of its own: timm renames and reshapes tensors for the network that it loads.
        name = f"{_timm_name(self.builder)[0]}.{self.tag}"
        overlay = {"file": str(path)}
        network = _import_timm().create_model(
            name, pretrained=True, pretrained_cfg_overlay=overlay
        )
        return dict(network.state_dict())

    def _find_in_hub_cache(self) -> Path | None:
        """Return the file where an earlier use of timm has downloaded it; else None."""
        if not self.entry.hf_hub_id:
            return None
        try:
            hub = importlib.import_module("huggingface_hub")
        except ImportError:
            return None
        found = hub.try_to_load_from_cache(self.entry.hf_hub_id, Path(self.url).name)
        return Path(found) if isinstance(found, str) else None

    def _download(self) -> Path:
        # Not by timm, whose hub repeats every failed request for a minute.
        self.path.parent.mkdir(parents=True, exist_ok=True)
        print(f"downloading {self.url}", file=sys.stderr, flush=True)
        torch.hub.download_url_to_file(self.url, str(self.path), progress=False)
        return self.path

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        # Libraries fail by errors of many types: of the network, of the hub, of the file.
        except Exception as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            if self.path.is_file():
                raise ResoMapError(
                    f"{START_KEY}: {self.path} cannot be read as {self.origin} of {self.builder} "
                    f"({reason[:200]}): delete it, or put the file of {self.url} there"
                ) from error
            raise ResoMapError(
                f"{START_KEY}: {self.url} cannot be downloaded ({reason[:200]}): fetch it "
                f"elsewhere, put it there as {self.path} and run again"
            ) from error


@contextmanager
def _answering_soon() -> Iterator[None]:
    # Neither torch nor torchvision sets a limit: a firewall that drops packets would hold the
    # check for minutes, or forever. It holds for each answer, not for the whole file.
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(ANSWER_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def find_published(builder: str, tag: str = DEFAULT_TAG) -> PublishedWeights:
    """Return the published weights of a builder; ConfigError where it has none of that tag."""
    if builder.startswith(TIMM_PREFIX):
        return _find_timm(builder, tag)
    entries = _torchvision_entries(builder)
    if not entries:
        raise ConfigError(f"{START_KEY}: pretrained: there are no weights for {builder}")
    entry = entries.DEFAULT if tag == DEFAULT_TAG else entries.__members__.get(tag)
    if entry is None:
        raise ConfigError(_unknown_tag(builder, tag, weight_tags(builder)))
    transforms = entry.transforms()
    return PublishedWeights(
        builder,
        entry.name,
        entry.url,
        _hub_folder() / Path(entry.url).name,
        InputFormat(
            Normalisation(mean=tuple(transforms.mean), std=tuple(transforms.std)),
            transforms.interpolation.value,
            transforms.crop_size[0],
        ),
        entry,
    )


def weight_tags(builder: str) -> list[str]:
    """Return the tags of a builder's published weights, the preferred one first."""
    if builder.startswith(TIMM_PREFIX):
        return _timm_tags(_timm_name(builder)[0])
    entries = _torchvision_entries(builder)
    if not entries:
        return []
    preferred = entries.DEFAULT.name
    return [
        preferred,
        *(name for name in entries.__members__ if name not in (preferred, "DEFAULT")),
    ]


def published_weights(architecture: Architecture) -> list[PublishedWeights]:
    """Return all published weights of a network, the preferred ones first; nothing is downloaded.

    Whether they fit an entry with settings of its own is not checked.
    """
    builder = architecture.builder
    return [find_published(builder, tag) for tag in weight_tags(builder)]


def describe_numbers(values: Sequence[float]) -> str:
    """Return numbers of a normalisation: `0.485 0.456 0.406`."""
    return " ".join(f"{value:.4g}" for value in values)


def _torchvision_entries(builder: str) -> Any:
    """Return the enumeration of a builder's weights; None where there is none."""
    from torchvision.models import get_model_weights

    try:
        entries = get_model_weights(builder.removeprefix(TORCHVISION_PREFIX))
    except ValueError:
        return None
    # Some builders have an enumeration without members.
    return entries if entries.__members__ else None


def _find_timm(builder: str, tag: str) -> PublishedWeights:
    name, own_tag = _timm_name(builder)
    tags = _timm_tags(name)
    if not tags:
        raise ConfigError(f"{START_KEY}: pretrained: there are no weights for {builder}")
    chosen = (own_tag or tags[0]) if tag == DEFAULT_TAG else tag
    if chosen not in tags:
        raise ConfigError(_unknown_tag(builder, chosen, tags))
    entry = _import_timm("timm.models").get_pretrained_cfg(f"{name}.{chosen}")
    resolved = _import_timm("timm.data").resolve_data_config(pretrained_cfg=entry.to_dict())
    url = entry.url
    if entry.hf_hub_id:
        hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
        url = f"{hub}/{entry.hf_hub_id}/resolve/main/{entry.hf_hub_filename or HUB_FILE}"
    return PublishedWeights(
        builder,
        chosen,
        url,
        _hub_folder() / f"{name}.{chosen}{Path(url).suffix}",
        InputFormat(
            Normalisation(mean=tuple(resolved["mean"]), std=tuple(resolved["std"])),
            resolved["interpolation"],
            resolved["input_size"][1],
        ),
        entry,
    )


def _timm_tags(name: str) -> list[str]:
    names = _import_timm().list_pretrained(f"{name}.*")
    tags = [each.partition(".")[2] for each in names if each.startswith(f"{name}.")]
    default = _import_timm("timm.models").get_pretrained_cfg(name)
    preferred = default.tag if default is not None else None
    return sorted(tags, key=lambda tag: (tag != preferred, tag))


def _timm_name(builder: str) -> tuple[str, str]:
    """Return the architecture and the tag, or a blank, of `timm/NAME` or `timm/NAME.TAG`."""
    name, _, tag = builder.removeprefix(TIMM_PREFIX).partition(".")
    return name, tag


def _import_timm(module: str = "timm") -> Any:
    # By name: timm is an extra, and mypy runs without it.
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"{START_KEY}: timm is not installed: {INSTALL_TIMM}") from error


def _hub_folder() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _unknown_tag(builder: str, tag: str, tags: list[str]) -> str:
    return (
        f"{START_KEY}.pretrained: {builder} has no weights {tag[:60]!r}; {suggest(tag, tags)}"
    )
