"""Weights as safetensors, with what they are in the metadata."""

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from resomap.files import replacing


def save_weights(path: Path, weights: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write `weights` with `about` as JSON in one metadata key (several come out in random order)."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with replacing(path) as temporary:
        save_file(whole, temporary, metadata={"resomap": json.dumps(about, sort_keys=True)})


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read weights and what was said about them; a run without a result has no weights and says why in `status`."""
    with safe_open(path, framework="pt") as stored:
        about = json.loads(stored.metadata()["resomap"])
    return load_file(path), about
