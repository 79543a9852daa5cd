"""Pictures in a folder a class, with or without train, val and test above them, as torchvision's ImageFolder has them."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from resomap.config import data
from resomap.data.sources.entries import Entry, File, Listing
from resomap.errors import ConfigError

WHERE = "config/data.yaml: data.folder.path"
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
JUNK = {"Thumbs.db", "desktop.ini"}
"""What file managers leave behind; names that begin with a dot are passed over too."""
PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


def list_folder(folder: data.Folder) -> Listing:
    """Every file under a class folder, at any depth and through links, classes and files in the order of their names."""
    root = Path(folder.path or "").expanduser()
    if not root.is_dir():
        raise ConfigError(f"{WHERE}: there is no folder {root}")
    masks = _mask_folder(folder)
    tops = {split: root / name for name, split in SPLIT_NAMES.items() if (root / name).is_dir()}
    has_splits = "train" in tops and _folders(tops["train"])  # a class may be called train, too
    parts: dict[str | None, Path] = dict(tops.items()) if has_splits else {None: root}
    classes = tuple(sorted({path.name for part in parts.values() for path in _folders(part)}))
    if not classes:
        raise ConfigError(
            f"{WHERE}: {root} holds no folders: one a class is needed (cats/, dogs/), or train/, val/, test/ with these inside"
        )
    labels = {name: label for label, name in enumerate(classes)}
    entries = [
        Entry(
            name,
            labels[path.name],
            split,
            _group(folder.group, name),
            File(file, _mask(masks, name)),
        )
        for split, part in parts.items()
        for path in _folders(part)
        for file in _files(str(path), frozenset())
        for name in [file[len(str(root)) + 1 :]]
    ]
    return Listing(classes, entries, list(_stray(root, parts.values())), masks is not None)


def _mask_folder(folder: data.Folder) -> Path | None:
    if folder.masks is None:
        return None
    masks = Path(folder.masks).expanduser()
    if not masks.is_dir():
        raise ConfigError(f"config/data.yaml: data.folder.masks: there is no folder {masks}")
    return masks


def _folders(root: Path) -> list[Path]:
    return sorted(
        path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def _files(folder: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
    """Files under a folder; a link to one of the folders `above` it is a loop and is not followed."""
    about = Path(folder).stat()
    here = (about.st_dev, about.st_ino)
    if here in above:
        return
    with os.scandir(folder) as found:
        items = sorted(
            (item for item in found if not item.name.startswith(".") and item.name not in JUNK),
            key=lambda item: item.name,
        )
    for item in items:
        if Path(item.path).is_dir() if item.is_symlink() else item.is_dir():
            yield from _files(item.path, above | {here})
        else:
            yield item.path


def _group(pattern: str | None, name: str) -> str | None:
    """The first bracket of the match, or all of it where there is none."""
    if pattern is None:
        return None
    found = re.search(pattern, name)
    if found is None:
        raise ConfigError(
            f"config/data.yaml: data.folder.group: {pattern!r} does not match {name}"
        )
    return found.group(1 if found.re.groups else 0)


def _mask(masks: Path | None, name: str) -> str | None:
    if masks is None:
        return None
    path = masks / Path(name).with_suffix(".png")
    return str(path) if path.is_file() else None


def _stray(root: Path, parts: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Pictures that lie beside the class folders, where they have no class."""
    for part in sorted({root, *parts}):
        for path in sorted(part.iterdir()):
            if path.suffix.lower() in PICTURES and not path.is_dir():
                yield os.path.relpath(path, root), "lies in no class folder"
