"""The images of a source before any is opened: names, classes, splits, groups, locations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from resomap.errors import ConfigError

MOST_NAMED_CLASSES = 5  # a message about a thousand classes would hide its point

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""


class ImageFile(NamedTuple):
    """An image file of the user, the file of its mask and its boxes, where there are any."""

    path: str
    mask: str | None = None
    boxes: tuple[Box, ...] = ()


class ImageEntry(NamedTuple):
    """One image of a source.

    `name` is what a user sees: a path below the root, or split/number. `split` and `group` are
    None where the source has none. `location` is what the reader of the source needs to find
    the image: an ImageFile, or (split, index).
    """

    name: str
    label: int
    split: str | None
    group: str | None
    # Pickled to worker processes: values, no open file.
    location: Any


@dataclass(frozen=True)
class Listing:
    """All images of a source in a fixed order, and the names of its classes.

    `unusable` holds (name, reason) of image files that belong to no class; `has_masks` is
    whether any image has a mask or a box.
    """

    classes: tuple[str, ...]
    entries: Sequence[ImageEntry]
    unusable: Sequence[tuple[str, str]]
    has_masks: bool


def check_classes(listing: Listing, where: str) -> None:
    """Raise ConfigError for fewer than two classes, or a class without an image for training.

    `where` names the key and the path.
    """
    if len(listing.classes) < 2:
        raise ConfigError(
            f"{where} holds one class ({listing.classes[0]}): a classifier needs two or more"
        )
    # Of images without a split, some will be assigned to train.
    trainable = {entry.label for entry in listing.entries if entry.split in (None, "train")}
    missing = name_missing_classes(listing, trainable)
    if missing:
        raise ConfigError(
            f"{where}: no training image of class {missing}: add some, or remove the class"
        )


def name_missing_classes(listing: Listing, labels: set[int]) -> str:
    """Return the names of the classes that are not among `labels`; blank where all are."""
    missing = [name for label, name in enumerate(listing.classes) if label not in labels]
    text = ", ".join(missing[:MOST_NAMED_CLASSES])
    if len(missing) > MOST_NAMED_CLASSES:
        text += f" and {len(missing) - MOST_NAMED_CLASSES} more"
    return text
