"""Pictures that a CSV file lists."""

import csv
from collections.abc import Mapping
from pathlib import Path

from resomap.config import data
from resomap.data.sources.entries import Entry, File, Listing
from resomap.data.sources.folder import SPLIT_NAMES
from resomap.errors import ConfigError

WHERE = "config/data.yaml: data.csv.path"
BOX = ("xmin", "ymin", "xmax", "ymax")


def list_table(table: data.Csv) -> Listing:
    """Every picture of the table, in its order; lines that name one picture again add boxes to it."""
    path = Path(table.path or "").expanduser()
    rows = _read(path)
    classes = tuple(sorted({row["label"] for _, row in rows}))
    labels = {name: label for label, name in enumerate(classes)}
    entries: dict[str, Entry] = {}
    for line, row in rows:
        entry = _entry(path, line, row, labels)
        before = entries.get(entry.name)
        entries[entry.name] = (
            entry if before is None else _joined(before, entry, f"{path}, line {line}")
        )
    given = {entry.split is not None for entry in entries.values()}
    if len(given) == 2:
        raise ConfigError(
            f"{path}: some lines have a split and some have none: give all of them one, or none"
        )
    masked = any(entry.place.mask or entry.place.boxes for entry in entries.values())
    return Listing(classes, list(entries.values()), [], masked)


def _read(path: Path) -> list[tuple[int, Mapping[str, str]]]:
    """Lines with their numbers; blanks are cut off and columns that nobody asks for are let be."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restval="")
            columns = set(reader.fieldnames or ())
            rows: list[tuple[int, Mapping[str, str]]] = [
                (
                    reader.line_num,
                    {key: value.strip() for key, value in row.items() if key is not None},
                )
                for row in reader
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{WHERE}: {path} cannot be read as CSV in UTF-8: {error}") from None
    missing = {"path", "label"} - columns
    if missing or not rows:
        told = (
            f"lacks the column {' and '.join(sorted(missing))}; it has {', '.join(sorted(columns))}"
            if missing
            else "lists no picture"
        )
        raise ConfigError(f"{WHERE}: {path} {told}")
    return rows


def _entry(path: Path, line: int, row: Mapping[str, str], labels: Mapping[str, int]) -> Entry:
    where = f"{path}, line {line}"
    if not row["path"] or not row["label"]:
        raise ConfigError(f"{where}: path or label is blank")
    split = row.get("split", "")
    if split and split.lower() not in SPLIT_NAMES:
        raise ConfigError(f"{where}: split {split!r} is none of train, val, test")
    mask = row.get("mask", "")
    file = File(
        str(path.parent / row["path"]),
        str(path.parent / mask) if mask else None,
        _boxes(row, where),
    )
    return Entry(
        row["path"],
        labels[row["label"]],
        SPLIT_NAMES.get(split.lower()),
        row.get("group") or None,
        file,
    )


def _boxes(row: Mapping[str, str], where: str) -> tuple[tuple[float, float, float, float], ...]:
    told = [row.get(side, "") for side in BOX]
    if not any(told):
        return ()
    try:
        left, top, right, bottom = map(float, told)
    except ValueError:
        raise ConfigError(
            f"{where}: {', '.join(BOX)} must be four numbers of pixels, not {', '.join(told)}"
        ) from None
    if not (left < right and top < bottom):
        raise ConfigError(
            f"{where}: the box {', '.join(told)} is empty: xmin < xmax and ymin < ymax are needed"
        )
    return ((left, top, right, bottom),)


def _joined(before: Entry, entry: Entry, where: str) -> Entry:
    if (
        before[:4] != entry[:4]
        or before.place.mask != entry.place.mask
        or not (before.place.boxes and entry.place.boxes)
    ):
        raise ConfigError(
            f"{where}: {entry.name} is listed before; only another box of the same picture may repeat it"
        )
    return before._replace(
        place=before.place._replace(boxes=before.place.boxes + entry.place.boxes)
    )
