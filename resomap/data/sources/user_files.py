"""The user's image files: listed from a folder or a CSV file, and identified by a digest."""

import hashlib
import os
from dataclasses import replace

from resomap.config.data import ALPHA_MASKS, Data
from resomap.data.sources.csv import list_csv
from resomap.data.sources.folder import list_folder
from resomap.data.sources.groups import check_groups, find_shared_groups
from resomap.data.sources.listing import ImageEntry, Listing, check_classes


def list_images(data: Data) -> Listing | None:
    """Return the images of a folder or a CSV file; None for the reef and for torchvision.

    ConfigError where a classifier cannot be trained on them.
    """
    if data.folder is not None:
        listing, where = list_folder(data.folder), f"data.folder.path: {data.folder.path}"
    elif data.csv is not None:
        listing, where = list_csv(data.csv), f"data.csv.path: {data.csv.path}"
    else:
        return None
    check_classes(listing, f"config/data.yaml: {where}")
    shared = find_shared_groups(listing.entries)
    if data.group_leaks == "error":
        check_groups(shared, f"config/data.yaml: {where}")
    return replace(listing, notes=replace(listing.notes, shared_groups=shared))


def listing_digest(listing: Listing) -> str:
    """Return 16 hexadecimal digits that change with any image of `listing`.

    They cover names, classes, splits, groups, masks and boxes, and the size and modification
    time of each file. File contents are not read: hashing a terabyte would take hours.
    """
    # surrogateescape: file names may hold bytes that are no UTF-8.
    digest = hashlib.sha256("\0".join(listing.classes).encode(errors="surrogateescape"))
    for entry in listing.entries:
        digest.update(repr(_describe(entry)).encode())
    return digest.hexdigest()[:16]


def _describe(entry: ImageEntry) -> tuple[object, ...]:
    file = entry.location
    has_mask_file = file.mask not in (None, ALPHA_MASKS)
    mask_stamp = _stamp(file.mask) if has_mask_file else None
    # Without the line of each box: a row that moves changes no image.
    boxes = tuple(box[:4] for box in file.boxes)
    return (*entry[:4], _stamp(file.path), file.mask, mask_stamp, boxes)


def _stamp(path: str) -> tuple[int, int] | None:
    """Return size in bytes and modification time in ns; None for a missing file."""
    try:
        # os.stat takes half the time of Path.stat, and there may be a million files.
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
