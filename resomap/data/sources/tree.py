"""The folders and image files below a path, read once without opening an image."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from resomap.data.sources.file_kinds import (
    NO_ENDING,
    classify_file,
    ending_of,
    unreadable_hint,
)

HIDDEN = "(hidden)"
IGNORED_FOLDERS = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"}
"""Folders that operating systems leave behind; names that begin with a dot are ignored too."""


@dataclass
class ImageFolder:
    """A folder with its image files and folders, ordered by name.

    Names are relative to the root of the tree. `num_images` counts images at any depth, also
    the `unreadable` ones of this folder: (name, reason). `num_files` counts all other files.
    """

    name: str
    items: "list[str | ImageFolder]" = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    num_images: int = 0
    num_files: int = 0

    @property
    def label(self) -> str:
        """Name of the folder without the folders above it."""
        return self.name.rpartition("/")[2]

    @property
    def folders(self) -> "list[ImageFolder]":
        """Folders directly inside."""
        return [item for item in self.items if isinstance(item, ImageFolder)]

    @property
    def images(self) -> list[str]:
        """Images directly inside."""
        return [item for item in self.items if isinstance(item, str)]

    def walk(self) -> Iterator[str]:
        """Yield the images at any depth, in the order of the names."""
        for item in self.items:
            if isinstance(item, str):
                yield item
            else:
                yield from item.walk()

    def walk_unreadable(self) -> Iterator[tuple[str, str]]:
        """Yield (name, reason) of the images at any depth that cannot be read."""
        yield from self.unreadable
        for folder in self.folders:
            yield from folder.walk_unreadable()


@dataclass
class IgnoredItems:
    """What is left out: number of files by ending, and names of folders."""

    files: Counter[str] = field(default_factory=Counter)
    folders: list[str] = field(default_factory=list)


def scan_folder(root: Path, excluded: Path | None = None) -> tuple[ImageFolder, IgnoredItems]:
    """Return the tree of images below `root`, without the folder `excluded`, and the rest.

    Links are followed. Files with an image ending are not opened.
    """
    ignored = IgnoredItems()
    skipped = None if excluded is None else _identity(str(excluded))
    return _scan(str(root), "", ignored, frozenset(), skipped), ignored


def _identity(path: str) -> tuple[int, int]:
    status = Path(path).stat()
    return status.st_dev, status.st_ino


def _scan(
    path: str,
    name: str,
    ignored: IgnoredItems,
    ancestors: frozenset[tuple[int, int]],
    skipped: tuple[int, int] | None,
) -> ImageFolder:
    """Scan one folder; `ancestors` are the (device, inode) of those above it."""
    folder, identity = ImageFolder(name), _identity(path)
    # A link to a folder above: following it would never end.
    if identity in ancestors:
        return folder
    others: list[os.DirEntry[str]] = []
    with os.scandir(path) as items:
        ordered = sorted(items, key=lambda item: item.name)
    for item in ordered:
        inner = f"{name}/{item.name}" if name else item.name
        if not _is_folder(item):
            _add_file(folder, item, inner, others, ignored)
        elif item.name.startswith(".") or item.name in IGNORED_FOLDERS:
            ignored.folders.append(inner)
        elif skipped is None or _identity(item.path) != skipped:
            child = _scan(item.path, inner, ignored, ancestors | {identity}, skipped)
            folder.items.append(child)
            folder.num_images += child.num_images
            folder.num_files += child.num_files
    _add_unreadable(folder, others, ignored)
    return folder


def _is_folder(item: os.DirEntry[str]) -> bool:
    # DirEntry.is_dir needs no stat but raises on a link to itself; Path.is_dir is False.
    return Path(item.path).is_dir() if item.is_symlink() else item.is_dir()


def _add_file(
    folder: ImageFolder,
    item: os.DirEntry[str],
    name: str,
    unreadable: list[os.DirEntry[str]],
    ignored: IgnoredItems,
) -> None:
    kind = "other" if item.name.startswith(".") else classify_file(item.path)
    if kind == "image":
        folder.items.append(name)
        folder.num_images += 1
    elif kind == "unreadable":
        unreadable.append(item)
    else:
        folder.num_files += 1
        hidden = item.name.startswith(".")
        ignored.files[HIDDEN if hidden else ending_of(item.name) or NO_ENDING] += 1


def _add_unreadable(
    folder: ImageFolder, items: list[os.DirEntry[str]], ignored: IgnoredItems
) -> None:
    """Record images that cannot be read, unless a camera saved a readable one beside each."""
    if not items:
        return
    readable = {Path(name).stem for name in folder.images}
    for item in items:
        if Path(item.name).stem in readable:
            ignored.files[ending_of(item.name) or NO_ENDING] += 1
            folder.num_files += 1
        else:
            name = f"{folder.name}/{item.name}" if folder.name else item.name
            folder.unreadable.append((name, f"is {unreadable_hint(item.path)}"))
            folder.num_images += 1
