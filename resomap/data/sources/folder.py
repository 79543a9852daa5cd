"""Image files in one folder per class, with or without train/, val/ and test/ above them.

This is the layout of torchvision's ImageFolder.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from resomap.config.data import Folder
from resomap.data.sources.listing import ImageEntry, ImageFile, Listing
from resomap.data.sources.timed_search import SlowPattern, TimedSearch
from resomap.errors import ConfigError

PATH_KEY = "config/data.yaml: data.folder.path"
GROUP_KEY = "config/data.yaml: data.folder.group"
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
IGNORED_FILES = {"Thumbs.db", "desktop.ini"}
"""Files that file managers leave behind; names that begin with a dot are ignored too."""
IMAGE_SUFFIXES = {
    *(".jpg", ".jpeg", ".png", ".bmp", ".gif"),
    *(".tif", ".tiff", ".webp", ".ppm", ".pgm"),
}


def list_folder(folder: Folder) -> Listing:
    """Return every file below a class folder, at any depth, in the order of the names.

    Links are followed. Files are not opened: what is no image is found when it is decoded.
    """
    root = Path(folder.path or "").expanduser()
    if not root.is_dir():
        raise ConfigError(f"{PATH_KEY}: there is no folder {root}")
    masks = _mask_folder(folder)
    parts = _split_folders(root)
    classes = tuple(
        sorted({path.name for part in parts.values() for path in _subfolders(part)})
    )
    if not classes:
        raise ConfigError(
            f"{PATH_KEY}: {root} holds no folders: one per class is needed (cats/, dogs/), "
            "or train/, val/, test/ with these inside"
        )
    search = TimedSearch(folder.group) if folder.group else None
    entries = []
    for split, part in parts.items():
        for class_folder in _subfolders(part):
            label = classes.index(class_folder.name)
            for path in _walk(str(class_folder), frozenset()):
                # Slicing: Path.relative_to takes microseconds, times a million files.
                name = path[len(str(root)) + 1 :]
                file = ImageFile(path, _mask_path(masks, name))
                entries.append(ImageEntry(name, label, split, _find_group(search, name), file))
    unusable = list(_files_outside_classes(root, parts.values()))
    return Listing(classes, entries, unusable, has_masks=masks is not None)


def _split_folders(root: Path) -> dict[str | None, Path]:
    """Return the folder of each split, or {None: root} where it holds the classes directly."""
    found: dict[str | None, Path] = {
        split: root / name for name, split in SPLIT_NAMES.items() if (root / name).is_dir()
    }
    # A class may be called "train" too: it holds images, and a split holds folders.
    if "train" in found and _subfolders(found["train"]):
        return found
    return {None: root}


def _mask_folder(folder: Folder) -> Path | None:
    if folder.masks is None:
        return None
    masks = Path(folder.masks).expanduser()
    if not masks.is_dir():
        raise ConfigError(f"config/data.yaml: data.folder.masks: there is no folder {masks}")
    return masks


def _subfolders(root: Path) -> list[Path]:
    return sorted(
        path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def _walk(folder: str, ancestors: frozenset[tuple[int, int]]) -> Iterator[str]:
    """Yield the files below `folder`; `ancestors` are the (device, inode) of those above it."""
    status = Path(folder).stat()
    identity = (status.st_dev, status.st_ino)
    if identity in ancestors:  # a link to a folder above: following it would never end
        return
    with os.scandir(folder) as items:
        kept = [
            item
            for item in items
            if not item.name.startswith(".") and item.name not in IGNORED_FILES
        ]
    # The order of a folder differs between file systems; labels and rows follow it.
    for item in sorted(kept, key=lambda item: item.name):
        # DirEntry.is_dir needs no stat but raises on a link to itself; Path.is_dir is False.
        is_folder = Path(item.path).is_dir() if item.is_symlink() else item.is_dir()
        if is_folder:
            yield from _walk(item.path, ancestors | {identity})
        else:
            yield item.path


def _find_group(search: TimedSearch | None, name: str) -> str | None:
    """Return the first bracket of the pattern's match, or all of it without a bracket."""
    if search is None:
        return None
    try:
        match = search(name)
    except SlowPattern:
        raise ConfigError(
            f"{GROUP_KEY}: {search.pattern!r} takes too long on {name}: a repetition within a "
            "repetition, such as (a+)+, tries every way to split the name"
        ) from None
    if match is None:
        raise ConfigError(f"{GROUP_KEY}: {search.pattern!r} does not match {name}")
    return match.group(1 if match.re.groups else 0)


def _mask_path(masks: Path | None, name: str) -> str | None:
    if masks is None:
        return None
    path = masks / Path(name).with_suffix(".png")
    return str(path) if path.is_file() else None


def _files_outside_classes(root: Path, parts: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Yield (name, reason) of the image files beside the class folders."""
    for part in sorted({root, *parts}):
        for path in sorted(part.iterdir()):
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir():
                yield os.path.relpath(path, root), "is in no class folder"
