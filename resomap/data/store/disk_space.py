"""Whether what is to be written fits on the disk, asked before the first byte."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from resomap.errors import DataError

GIB = 2**30


def store_bytes(
    pictures: int, native: int, resolutions: Iterable[int], masked: bool
) -> dict[str, int]:
    """Bytes of each part of a store: the pictures as stored, their masks, and a part a resolution."""
    parts = {"native": 3 * pictures * native**2}
    if masked:
        parts["masks"] = (
            2 * pictures * native**2
        )  # once as they grow, once those of the test pictures
    return parts | {
        f"{resolution} px": 3 * pictures * resolution**2 for resolution in resolutions
    }


def check_room(
    folder: Path, parts: Mapping[str, int], there: Mapping[str, int] | None = None
) -> None:
    """DataError with all sizes where `parts` (bytes by name) need more than the disk of `folder` has free, beside what is `there`."""
    needed = sum(parts.values()) - sum((there or {}).values())
    free = shutil.disk_usage(_existing(folder)).free
    if needed > free:
        sizes = ", ".join(f"{name} {size / GIB:,.1f}" for name, size in parts.items())
        raise DataError(
            f"{folder} needs {needed / GIB:,.1f} GiB ({sizes}) and its disk has {free / GIB:,.1f} GiB free: "
            "make room, or take fewer or smaller resolutions (sweep.resolutions, data.native_resolution)."
        )


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())
