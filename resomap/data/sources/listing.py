"""The images of a source before any is opened: names, classes, splits, groups, locations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from resomap.errors import ConfigError

MOST_NAMED_CLASSES = 5  # a message about a thousand classes would hide its point


class Box(NamedTuple):
    """A box in pixels, and the line of the table that holds it."""

    left: float
    top: float
    right: float
    bottom: float
    line: int = 0


class ImageFile(NamedTuple):
    """An image file of the user, the file of its mask and its boxes, where there are any.

    `mask` is ALPHA_MASKS where the alpha channel of the image is its mask. `table` is the name
    of the file that lists the image.
    """

    path: str
    mask: str | None = None
    boxes: tuple[Box, ...] = ()
    table: str = ""


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
class ListingNotes:
    """How the user's files were understood, and what of them is not used.

    `ignored_files` counts files that are no images by their ending; `unmatched_masks` are masks
    without an image; `shared_groups` are groups in two splits that the user accepts.
    """

    layout: str = ""
    ignored_files: Mapping[str, int] = field(default_factory=dict)
    ignored_folders: Sequence[str] = ()
    unused_columns: Sequence[str] = ()
    unmatched_masks: int = 0
    shared_groups: Sequence[str] = ()


@dataclass(frozen=True)
class Listing:
    """All images of a source in a fixed order, and the names of its classes.

    `unusable` holds (name, reason) of image files that cannot be read or belong to no class;
    `has_masks` is whether any image has a mask or a box.
    """

    classes: tuple[str, ...]
    entries: Sequence[ImageEntry]
    unusable: Sequence[tuple[str, str]]
    has_masks: bool
    notes: ListingNotes = ListingNotes()


def check_classes(listing: Listing, where: str) -> None:
    """Raise ConfigError for fewer than two classes, or a class without an image for training.

    `where` names the key and the path.
    """
    if len(listing.classes) < 2:
        raise ConfigError(
            f"{where} holds one class ({listing.classes[0]}): a classifier needs two or more. "
            f"If its classes are the folders inside {listing.classes[0]}, add that to the path"
        )
    # Of images without a split, some will be assigned to train.
    trainable = {entry.label for entry in listing.entries if entry.split in (None, "train")}
    missing = name_missing_classes(listing, trainable)
    if missing:
        trained = {listing.classes[label].casefold() for label in trainable}
        if any(name.casefold() in trained for name in missing.split(", ")):
            missing += " (one differs from a class of train in upper and lower case only)"
        reasons = [f"\n  {name}: {reason}" for name, reason in listing.unusable]
        raise ConfigError(
            f"{where}: no training image of class {missing}: add some, or remove the class"
            + "".join(reasons)
        )


def name_missing_classes(listing: Listing, labels: set[int]) -> str:
    """Return the names of the classes that are not among `labels`; blank where all are."""
    missing = [name for label, name in enumerate(listing.classes) if label not in labels]
    text = ", ".join(missing[:MOST_NAMED_CLASSES])
    if len(missing) > MOST_NAMED_CLASSES:
        text += f" and {len(missing) - MOST_NAMED_CLASSES} more"
    return text
