"""What is known of a picture before it is opened."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class File(NamedTuple):
    """A picture's file and, where the user has them, its mask's file and boxes (left, top, right, bottom) in pixels."""

    path: str
    mask: str | None = None
    boxes: tuple[tuple[float, float, float, float], ...] = ()


class Entry(NamedTuple):
    """One picture: its name for people, its class, its split and group where they are given, and where its reader finds it."""

    name: str
    label: int
    split: str | None
    group: str | None
    place: Any


@dataclass(frozen=True)
class Listing:
    """Every picture of a source in a fixed order, the names of the classes, and files that are named but cannot be pictures of any class.

    `masked` says whether any picture has a mask or a box.
    """

    classes: tuple[str, ...]
    entries: Sequence[Entry]
    stray: Sequence[tuple[str, str]]
    masked: bool
