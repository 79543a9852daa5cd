"""The pictures that a data section names, before any of them is opened."""

import hashlib
import os

from resomap.config import data
from resomap.data.sources.csv import list_table
from resomap.data.sources.entries import Listing
from resomap.data.sources.folder import list_folder
from resomap.errors import ConfigError

MOST_NAMED = 5


def list_pictures(data: data.Data) -> Listing | None:
    """The files of a folder or a table; None where pictures are drawn, or fixed by the name of their set.

    ConfigError where no classifier can be trained on them: fewer than two classes, or a class without training pictures.
    """
    if data.folder is not None:
        listing, where = (
            list_folder(data.folder),
            f"config/data.yaml: data.folder.path: {data.folder.path}",
        )
    elif data.csv is not None:
        listing, where = (
            list_table(data.csv),
            f"config/data.yaml: data.csv.path: {data.csv.path}",
        )
    else:
        return None
    _check_classes(listing, where)
    return listing


def _check_classes(listing: Listing, where: str) -> None:
    if len(listing.classes) < 2:
        raise ConfigError(
            f"{where} holds one class ({listing.classes[0]}): a classifier needs two or more"
        )
    empty = classes_without(
        listing, {entry.label for entry in listing.entries if entry.split in (None, "train")}
    )
    if empty:
        raise ConfigError(
            f"{where}: no training picture of class {empty}: add some, or take the class away"
        )


def classes_without(listing: Listing, trained: set[int]) -> str:
    """Names of classes that are not among the labels `trained`; blank where all are."""
    empty = [name for label, name in enumerate(listing.classes) if label not in trained]
    return ", ".join(empty[:MOST_NAMED]) + (
        f" and {len(empty) - MOST_NAMED} more" if len(empty) > MOST_NAMED else ""
    )


def listing_digest(listing: Listing) -> str:
    """Name every picture with its class, split, group, mask and boxes, and each file's size and time: any change of them changes it."""
    found = hashlib.sha256("\0".join(listing.classes).encode(errors="surrogateescape"))
    for entry in listing.entries:
        mask = entry.place.mask
        told = (
            *entry[:4],
            _stamp(entry.place.path),
            mask,
            mask and _stamp(mask),
            entry.place.boxes,
        )
        found.update(repr(told).encode())
    return found.hexdigest()[:16]


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        about = os.stat(path)  # noqa: PTH116 (half the time of a Path, and there may be a million)
    except OSError:
        return None
    return about.st_size, about.st_mtime_ns
