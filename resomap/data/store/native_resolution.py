"""The native resolution: the side in pixels at which every image is stored once."""

from pathlib import Path

import numpy as np

from resomap.config.data import Aspect, Data
from resomap.data.sources.open import REEF_NATIVE_RESOLUTION, Source
from resomap.system import files

SMALLEST_NATIVE, LARGEST_NATIVE = 8, 512
PERCENTILE = 95
MAX_MEASURED = 10_000  # headers to read, each a round trip on a network disk
FIXED_FILE = "native_resolution.json"


def choose_native_resolution(data: Data, source: Source, directory: Path) -> int:
    """Return the native resolution of `source`, as it is or will be stored in `directory`.

    That is the configured one, else the one of an earlier preparation of the same source, else
    the 95th percentile of the deciding side of at most 10,000 images, limited to 8 to 512.
    """
    if data.native_resolution is not None or data.reef is not None:
        return data.native_resolution or REEF_NATIVE_RESOLUTION
    path = directory / FIXED_FILE
    if path.exists():
        fixed = files.read_json(path)
        if fixed["source"] == _source_key(data):
            return int(fixed["native_resolution"])
    side = round(_large_side(source, data.aspect))
    return int(np.clip(side, SMALLEST_NATIVE, LARGEST_NATIVE))


def fix_native_resolution(data: Data, native: int, directory: Path) -> None:
    """Write the native resolution to disk, so that images added later do not change it."""
    value = {"source": _source_key(data), "native_resolution": native}
    files.write_json(directory / FIXED_FILE, value)


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
