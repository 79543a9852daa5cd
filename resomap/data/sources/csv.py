"""Image files listed in a CSV file.

Columns: path and label; optionally split, group, mask, and a box as xmin, ymin, xmax, ymax.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

from resomap.config.data import Csv
from resomap.data.sources.folder import SPLIT_NAMES
from resomap.data.sources.listing import Box, ImageEntry, ImageFile, Listing
from resomap.errors import ConfigError

PATH_KEY = "config/data.yaml: data.csv.path"
BOX_COLUMNS = ("xmin", "ymin", "xmax", "ymax")


def list_csv(table: Csv) -> Listing:
    """Return the images of a CSV file in its order; a repeated image adds a box."""
    path = Path(table.path or "").expanduser()
    rows = _read_rows(path)
    # Sorted, so that the labels do not depend on the order of the rows.
    classes = tuple(sorted({row["label"] for _, row in rows}))
    labels = {name: label for label, name in enumerate(classes)}
    by_name: dict[str, ImageEntry] = {}
    for line, row in rows:
        where = f"{path}, line {line}"
        entry = _parse_entry(path.parent, row, labels, where)
        if entry.name in by_name:
            entry = _add_boxes(by_name[entry.name], entry, where)
        by_name[entry.name] = entry
    entries = list(by_name.values())
    if len({entry.split is None for entry in entries}) == 2:
        raise ConfigError(
            f"{path}: some lines have a split and some have none: give a split in all or none"
        )
    has_masks = any(entry.location.mask or entry.location.boxes for entry in entries)
    return Listing(classes, entries, [], has_masks)


def _read_rows(path: Path) -> list[tuple[int, Mapping[str, str]]]:
    """Return (line number, row), with surrounding blanks stripped and unknown columns kept."""
    rows: list[tuple[int, Mapping[str, str]]] = []
    try:
        # utf-8-sig drops the byte order mark that spreadsheets write.
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restval="")
            columns = set(reader.fieldnames or ())
            for row in reader:
                # The key None holds fields beyond the header.
                fields = {key: value.strip() for key, value in row.items() if key is not None}
                rows.append((reader.line_num, fields))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(
            f"{PATH_KEY}: {path} cannot be read as CSV in UTF-8: {error}"
        ) from None
    missing = sorted({"path", "label"} - columns)
    if missing:
        raise ConfigError(
            f"{PATH_KEY}: {path} lacks the column {' and '.join(missing)}; "
            f"it has {', '.join(sorted(columns))}"
        )
    if not rows:
        raise ConfigError(f"{PATH_KEY}: {path} lists no image")
    return rows


def _parse_entry(
    folder: Path, row: Mapping[str, str], labels: Mapping[str, int], where: str
) -> ImageEntry:
    if not row["path"] or not row["label"]:
        raise ConfigError(f"{where}: path or label is blank")
    split = row.get("split", "")
    if split and split.lower() not in SPLIT_NAMES:
        raise ConfigError(f"{where}: split {split!r} is none of train, val, test")
    mask = row.get("mask", "")
    mask_path = str(folder / mask) if mask else None
    return ImageEntry(
        row["path"],
        labels[row["label"]],
        SPLIT_NAMES.get(split.lower()),
        row.get("group") or None,
        ImageFile(str(folder / row["path"]), mask_path, _parse_boxes(row, where)),
    )


def _parse_boxes(row: Mapping[str, str], where: str) -> tuple[Box, ...]:
    values = [row.get(column, "") for column in BOX_COLUMNS]
    if not any(values):
        return ()
    try:
        left, top, right, bottom = map(float, values)
    except ValueError:
        raise ConfigError(
            f"{where}: {', '.join(BOX_COLUMNS)} must be four numbers in pixels, "
            f"not {', '.join(values)}"
        ) from None
    if not (left < right and top < bottom):
        raise ConfigError(
            f"{where}: the box {', '.join(values)} is empty: "
            "xmin < xmax and ymin < ymax are needed"
        )
    return ((left, top, right, bottom),)


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
