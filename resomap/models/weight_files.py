"""Foreign files of weights: safetensors, state dicts and checkpoints, and their names."""

import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from resomap.config.start import Rename
from resomap.errors import ConfigError, ResoMapError
from resomap.models.published import START_KEY

AVERAGE_KEYS = ("state_dict_ema", "model_ema", "ema_state_dict", "ema", "averaged_model")
CHECKPOINT_KEYS = ("state_dict", "model", "model_state_dict", "network", "net", "module")
"""Keys under which training scripts keep the state dict of their network."""
ARCHIVE = b"PK"
"""Start of a file of torch.save, which is a zip archive."""
NEITHER = "it is no safetensors and no file of torch.save"
TORN = "it is damaged or incomplete: fetch it again"
WRAPPERS = ("module.", "_orig_mod.")
"""Prefixes that DistributedDataParallel and torch.compile put before every name."""


class WeightFile(NamedTuple):
    """The tensors of a file, and the keys of the checkpoint under which they were found."""

    tensors: dict[str, Tensor]
    keys: tuple[str, ...] = ()


def read_weight_file(path: Path, rules: Sequence[Rename] = ()) -> WeightFile:
    """Return the tensors of a file by name, renamed by `rules`.

    Of a checkpoint with a moving average of the weights, that average is taken, as timm does.

    ResoMapError where the file cannot be read, or holds no finite tensors.
    """
    if _is_safetensors(path):
        tensors, keys = WeightFile(_read_safetensors(path))
    else:
        tensors, keys = _read_pickle(path)
    if not tensors:
        raise ConfigError(f"{START_KEY}: {path} holds no tensors")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ConfigError(f"{START_KEY}: {path}: {name} has values that are not finite")
    return WeightFile(rename_tensors(tensors, rules), keys)


def rename_tensors(tensors: Mapping[str, Tensor], rules: Sequence[Rename]) -> dict[str, Tensor]:
    """Return `tensors` by new names: each (pattern, replacement) changes each name in turn.

    ConfigError where two tensors get the same name, or a rule matches none.
    """
    renamed, origins, unused = dict[str, Tensor](), dict[str, str](), dict(rules)
    for old, tensor in tensors.items():
        name = old
        for pattern, replacement in rules:
            name, count = re.subn(pattern, replacement, name)
            if count:
                unused.pop(pattern, None)
        if name in renamed:
            raise ConfigError(
                f"{START_KEY}.rename: {origins[name]} and {old} both become {name!r}"
            )
        renamed[name], origins[name] = tensor, old
    if unused:
        raise ConfigError(
            f"{START_KEY}.rename: {next(iter(unused))!r} matches no tensor of the file, such as "
            f"{', '.join(list(tensors)[:2])}"
        )
    return renamed


def _is_safetensors(path: Path) -> bool:
    # By content: a foreign file may have any name. Eight bytes of length, then JSON.
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except IsADirectoryError as error:
        raise _unreadable(path, "it is a folder") from error
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    if not start:
        raise _unreadable(path, "it is empty")
    return start[8:] == b"{"


def _unreadable(path: Path, reason: str) -> ResoMapError:
    return ResoMapError(f"{START_KEY}: {path} cannot be read as weights: {reason}")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise _unreadable(path, TORN) from error


def _read_pickle(path: Path) -> WeightFile:
    # An open file: given a path, torch reads safetensors by its suffix.
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the protocol of a file that is refused anyway
        is_archive = file.read(2) == ARCHIVE
        file.seek(0)
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise ResoMapError(f"{START_KEY}: {_describe_unpickling(path, error)}") from error
        # A file that is none raises errors of many types, such as KeyError and AttributeError.
        except Exception as error:
            raise _unreadable(path, TORN if is_archive else NEITHER) from error
    return _find_state_dict(path, content)


def _describe_unpickling(path: Path, error: Exception) -> str:
    # torch names the type that it refuses: "GLOBAL argparse.Namespace was not an allowed global".
    refused = re.search(r"GLOBAL ([\w.]+) was not an allowed", str(error))
    if refused is None:
        return f"{path} cannot be read as weights: {NEITHER}"
    return (
        f"{path} holds {refused[1]} beside tensors, which would run its code: save the state dict "
        "alone, by torch.save(model.state_dict(), PATH)"
    )


def _find_state_dict(path: Path, content: Any, keys: tuple[str, ...] = ()) -> WeightFile:
    """Return the tensors of a state dict, or of the one that a checkpoint holds under `keys`."""
    if not isinstance(content, Mapping):
        kind = type(content).__name__
        raise ConfigError(f"{START_KEY}: {path} holds a {kind}, not a state dict")
    for key in (*AVERAGE_KEYS, *CHECKPOINT_KEYS):
        if isinstance(content.get(key), Mapping):
            return _find_state_dict(path, content[key], (*keys, key))
    tensors = {
        name: value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    if content and not tensors:
        found = ", ".join(map(str, list(content)[:5]))
        raise ConfigError(
            f"{START_KEY}: {path} holds no state dict: its keys are {found}, and none of "
            f"{', '.join(CHECKPOINT_KEYS)} is one"
        )
    return WeightFile(tensors, keys)
