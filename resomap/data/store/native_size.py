"""The side at which pictures are stored."""

from pathlib import Path

import numpy as np

from resomap.config import data
from resomap.data.sources.open import REEF_SIDE, Source
from resomap.errors import DataError
from resomap.system import files

LARGEST, SMALLEST = 512, 8
MOST_ASKED = 10_000
FIXED = "native_resolution.json"


def native_side(data: data.Data, source: Source, directory: Path) -> int:
    """What the configuration, or an earlier preparation of the same source into `directory`, has fixed; else the median short side.

    That is asked of at most 10,000 pictures, evenly spaced, and kept between 8 and 512.
    """
    if data.native_resolution is not None or data.reef is not None:
        return data.native_resolution or REEF_SIDE
    fixed = directory / FIXED
    if fixed.exists() and (told := files.read_json(fixed))["source"] == _name(data):
        return int(told["native_resolution"])
    return int(np.clip(_median_short_side(source), SMALLEST, LARGEST))


def fix_native_side(data: data.Data, side: int, directory: Path) -> None:
    """Write down the side, so that no picture that comes later moves it."""
    files.write_json(directory / FIXED, {"source": _name(data), "native_resolution": side})


def _name(data: data.Data) -> str:
    return data.model_dump_json(
        include={"dataset": True, "folder": {"path"}, "csv": {"path"}, "torchvision": {"root"}}
    )


def _median_short_side(source: Source) -> float:
    entries = source.listing.entries
    asked = np.linspace(0, len(entries) - 1, min(MOST_ASKED, len(entries))).astype(np.int64)
    sizes = [size for index in asked if (size := source.size(entries[index].place))]
    if not sizes:
        raise DataError(
            f"none of the {len(entries)} files is a picture, the first is {entries[0].name}"
        )
    return float(np.median([min(size) for size in sizes]))
