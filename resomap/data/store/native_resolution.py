"""The native resolution: the side in pixels at which every image is stored once."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from resomap.config.data import Aspect, Data
from resomap.data.sources.open import REEF_NATIVE_RESOLUTION, Source
from resomap.system import files

SMALLEST_NATIVE, LARGEST_NATIVE = 8, 512
PERCENTILE = 95
MAX_MEASURED = 10_000  # headers to read, each a round trip on a network disk
FIXED_FILE = "native_resolution.json"
DIGEST_KEY = "sha256"


def choose_native_resolution(data: Data, source: Source, directory: Path) -> int:
    """Return the native resolution of `source`, as it is or will be stored in `directory`.

    That is the configured one, else the one of an earlier preparation of the same source, else
    the 95th percentile of the deciding side of at most 10,000 images, limited to 8 to 512.
    """
    if data.native_resolution is not None or data.reef is not None:
        return data.native_resolution or REEF_NATIVE_RESOLUTION
    path = directory / FIXED_FILE
    if path.exists():
        source_key, side = _read_fixed(path)
        if source_key == _source_key(data):
            return side
    side = round(_large_side(source, data.aspect))
    return int(np.clip(side, SMALLEST_NATIVE, LARGEST_NATIVE))


def fix_native_resolution(data: Data, native: int, directory: Path) -> None:
    """Write the native resolution to disk, so that images added later do not change it."""
    value = {"source": _source_key(data), "native_resolution": native}
    files.write_json(directory / FIXED_FILE, {**value, DIGEST_KEY: _digest(value)})


def _read_fixed(path: Path) -> tuple[str, int]:
    """Return source and side of FIXED_FILE; DataError where it is damaged."""
    value = files.read_json(path)
    # No receipt lists this file: Snakemake would remove an output before each preparation.
    digest = value.pop(DIGEST_KEY, None) if isinstance(value, dict) else None
    if not isinstance(value, dict) or set(value) != {"source", "native_resolution"}:
        raise files.damaged(path)
    # Earlier versions wrote no digest.
    if digest not in (None, _digest(value)) or not isinstance(value["native_resolution"], int):
        raise files.damaged(path)
    return value["source"], value["native_resolution"]


def _digest(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _source_key(data: Data) -> str:
    # Without options such as the splits, which do not change the side.
    return data.model_dump_json(
        include={"dataset": True, "folder": {"path"}, "csv": {"path"}, "torchvision": {"root"}}
    )


def _large_side(source: Source, aspect: Aspect) -> float:
    """Return the side in pixels that 95 % of the images do not exceed.

    Of each image the side counts that is resized to the square. Few larger images do not
    decide: they would store all others with more pixels than these have.
    """
    entries = source.listing.entries
    count = min(MAX_MEASURED, len(entries))
    measured = np.linspace(0, len(entries) - 1, count).astype(np.int64)
    sizes = [source.size(entries[index].location) for index in measured]
    decide = max if aspect == "letterbox" else min
    sides = [decide(size) for size in sizes if size]
    # Without any image the preparation ends anyway, with a list of all files and reasons.
    return float(np.percentile(sides, PERCENTILE)) if sides else SMALLEST_NATIVE
