"""Image files listed in a CSV file.

Columns: path and label; optionally split, group, mask, and a box as xmin, ymin, xmax, ymax.
"""

from collections.abc import Mapping
from pathlib import Path

from resomap.config.data import Csv
from resomap.data.sources.boxes import parse_box
from resomap.data.sources.listing import ImageEntry, ImageFile, Listing, ListingNotes
from resomap.data.sources.split_names import parse_split
from resomap.data.sources.table import read_table
from resomap.errors import ConfigError


def list_csv(table: Csv) -> Listing:
    """Return the images of a CSV file in its order; a repeated image adds a box."""
    path = Path(table.path or "").expanduser()
    rows, unused = read_table(path)
    # Sorted, so that the labels do not depend on the order of the rows.
    classes = tuple(sorted({row["label"] for _, row in rows}))
    labels = {name: label for label, name in enumerate(classes)}
    by_name: dict[str, ImageEntry] = {}
    for line, row in rows:
        entry = _parse_entry(path, row, labels, line)
        if entry.name in by_name:
            entry = _add_boxes(by_name[entry.name], entry, f"{path}, line {line}")
        by_name[entry.name] = entry
    entries = list(by_name.values())
    if len({entry.split is None for entry in entries}) == 2:
        raise ConfigError(
            f"{path}: some lines have a split and some have none: give a split in all or none"
        )
    has_masks = any(entry.location.mask or entry.location.boxes for entry in entries)
    notes = ListingNotes(f"a row per image in {path.name}", unused_columns=unused)
    return Listing(classes, entries, [], has_masks, notes)


def _parse_entry(
    table: Path, row: Mapping[str, str], labels: Mapping[str, int], line: int
) -> ImageEntry:
    where = f"{table}, line {line}"
    split = parse_split(row.get("split", ""))
    if row.get("split") and split is None:
        raise ConfigError(f"{where}: split {row['split']!r} is none of train, val, test")
    mask = row.get("mask")
    file = ImageFile(
        _resolve(table.parent, row["path"], where),
        _resolve(table.parent, mask, where) if mask else None,
        parse_box(row, line, where),
        table.name,
    )
    label = labels[row["label"]]
    return ImageEntry(row["path"], label, split, row.get("group") or None, file)


def _resolve(folder: Path, path: str, where: str) -> str:
    """Return a path of the table relative to its folder; ConfigError for one of Windows."""
    resolved = folder / Path(path).expanduser()
    if "\\" in path and not resolved.exists():
        raise ConfigError(
            f"{where}: {path} has backslashes: write {path.replace(chr(92), '/')}"
        )
    if "://" in path:
        raise ConfigError(
            f"{where}: {path} is an address: download the image and give its path"
        )
    return str(resolved)


def _add_boxes(first: ImageEntry, repeated: ImageEntry, where: str) -> ImageEntry:
    """Return `first` with the boxes of `repeated`, which must otherwise equal it."""
    file, other = first.location, repeated.location
    same = first[:4] == repeated[:4] and file.mask == other.mask
    if not (same and file.boxes and other.boxes):
        raise ConfigError(
            f"{where}: {first.name} is listed before; "
            "only another box of the same image may repeat it"
        )
    return first._replace(location=file._replace(boxes=file.boxes + other.boxes))
