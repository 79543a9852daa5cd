"""Weights and the state of an optimizer as safetensors, described in their metadata."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from resomap.config.start import Normalisation
from resomap.system.files import damaged, replacing
from resomap.workflow.receipts import check_content

# safetensors writes several metadata keys in random order, so everything is JSON under one key:
# equal weights must give equal bytes.
METADATA_KEY = "resomap"


def save_weights(path: Path, weights: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write `weights` with `metadata` (JSON values), whole or not at all.

    OSError, with the number of the system's error, where the disk does not take them.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with replacing(path) as temporary:
        _write_tensors(temporary, tensors, json.dumps(metadata, sort_keys=True))


def _write_tensors(path: Path, tensors: dict[str, Tensor], metadata: str) -> None:
    try:
        save_file(tensors, path, metadata={METADATA_KEY: metadata})
    except SafetensorError as error:
        # The Rust side keeps the number of the system's error in its text only.
        match = re.search(r"\(os error (\d+)\)", str(error))
        if match is None:
            raise
        raise OSError(int(match[1]), os.strerror(int(match[1])), str(path)) from error


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the weights, on the CPU, and the metadata.

    A run without a result has no weights; `status` in its metadata is the reason. DataError
    where the file is damaged.
    """
    check_content(path)
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = json.loads(stored.metadata()[METADATA_KEY])
        return load_file(path), metadata
    # TypeError and KeyError: the metadata are not ours.
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise damaged(path) from error


def read_metadata(path: Path) -> dict[str, Any] | None:
    """Return the metadata of a file of `save_weights`; None for any other file."""
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = json.loads(stored.metadata()[METADATA_KEY])
    except (SafetensorError, OSError, ValueError, TypeError, KeyError):
        return None
    return metadata if isinstance(metadata, dict) else None


def recorded_normalisation(metadata: Mapping[str, Any]) -> Normalisation | None:
    """Return how the images of a training were normalised; None in files of earlier versions.

    These took the mean and std of the training images.
    """
    values = metadata.get("normalisation")
    if values is None:
        return None
    return Normalisation(mean=tuple(values["mean"]), std=tuple(values["std"]))


def save_optimizer_state(path: Path, state: dict[str, Any]) -> None:
    """Write the state of an optimizer: tensor `exp_avg` of parameter 3 is named `3.exp_avg`."""
    tensors, values = dict[str, Tensor](), dict[str, Any]()
    for index, entries in state["state"].items():
        for name, value in entries.items():
            kind: dict[str, Any] = tensors if isinstance(value, Tensor) else values
            kind[f"{index}.{name}"] = value
    save_weights(path, tensors, {"param_groups": state["param_groups"], "values": values})


def load_optimizer_state(path: Path) -> dict[str, Any]:
    """Return what `Optimizer.load_state_dict` takes, from a file of `save_optimizer_state`.

    >>> optimizer.load_state_dict(load_optimizer_state(path))
    """
    tensors, metadata = load_weights(path)
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**tensors, **metadata["values"]}.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    return {"state": state, "param_groups": metadata["param_groups"]}
