"""Disk space that a store needs, checked before the first byte is written."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from resomap.errors import DataError
from resomap.text import format_bytes


def store_bytes(
    num_images: int, native: int, resolutions: Iterable[int], has_masks: bool
) -> dict[str, int]:
    """Return the bytes of each part of a store: native images, masks, and each resolution."""
    parts = {"native": 3 * num_images * native**2}
    if has_masks:
        # Twice: the masks of all images while they grow, and the copy of those of test images.
        parts["masks"] = 2 * num_images * native**2
    for resolution in resolutions:
        parts[f"{resolution} px"] = 3 * num_images * resolution**2
    return parts


def check_disk_space(folder: Path, parts: Mapping[str, int], existing: int = 0) -> None:
    """Raise DataError with all sizes where `parts` (bytes by name) do not fit on the disk.

    `existing` are the bytes of them that an earlier attempt has already written.
    """
    needed = sum(parts.values()) - existing
    free = shutil.disk_usage(_existing_parent(folder)).free
    if needed > free:
        sizes = ", ".join(f"{name} {format_bytes(size)}" for name, size in parts.items())
        raise DataError(
            f"{folder} needs {format_bytes(needed)} of disk space ({sizes}), and "
            f"{format_bytes(free)} are free: free some space, or use fewer or smaller resolutions "
            "(sweep.resolutions, data.native_resolution)."
        )


def _existing_parent(folder: Path) -> Path:
    # The folder itself is created later; disk_usage needs a path that exists.
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())
