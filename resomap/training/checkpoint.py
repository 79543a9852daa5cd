"""Weights as safetensors, with what they are in the metadata."""

import json
import os
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from resomap.system.files import replacing

KEY = "resomap"


def save_weights(path: Path, weights: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write `weights` with `about` as JSON in one metadata key (several come out in random order)."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with replacing(path) as temporary:
        write_tensors(temporary, whole, about)


def write_tensors(path: Path, tensors: dict[str, Tensor], about: Any) -> None:
    """Write contiguous `tensors` on the CPU straight into `path`; OSError where the disk does not take them."""
    try:
        save_file(tensors, path, metadata={KEY: json.dumps(about, sort_keys=True)})
    except SafetensorError as error:
        told = re.search(r"\(os error (\d+)\)", str(error))
        if told is None:
            raise
        raise OSError(int(told[1]), os.strerror(int(told[1])), str(path)) from error


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read weights and what was said about them; a run without a result has no weights and says why in `status`."""
    with safe_open(path, framework="pt") as stored:
        about = json.loads(stored.metadata()[KEY])
    return load_file(path), about
