"""Rows of a CSV file, read so that no word and no column is lost without an error."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple, TextIO

from resomap.data.sources.file_kinds import IMAGE_ENDINGS, ending_of
from resomap.errors import ConfigError
from resomap.text import format_count

PATH_KEY = "config/data.yaml: data.csv.path"
REQUIRED_COLUMNS = ("path", "label")
BOX_COLUMNS = ("xmin", "ymin", "xmax", "ymax")
COLUMNS = (*REQUIRED_COLUMNS, "split", "group", "mask", *BOX_COLUMNS)
OTHER_NAMES = {
    **dict.fromkeys(("file", "filename", "filepath", "image", "imagepath", "img"), "path"),
    **dict.fromkeys(("class", "classname", "target", "category"), "label"),
    **dict.fromkeys(("subset", "partition", "phase", "set", "usage", "fold"), "split"),
    **dict.fromkeys(("maskpath", "maskfile", "segmentation"), "mask"),
    **dict.fromkeys(("x1", "left", "xtl", "x0"), "xmin"),
    **dict.fromkeys(("y1", "top", "ytl", "y0"), "ymin"),
    **dict.fromkeys(("x2", "right", "xbr"), "xmax"),
    **dict.fromkeys(("y2", "bottom", "ybr"), "ymax"),
}
"""What other tools call a column; such a name is refused where the column is missing."""
SAVE_AS = "Save the table with commas between the columns"
BLANK_CELLS = {"nan", "<na>", "none", "null", "na", "n/a"}
"""How tables write that there is no value, in columns where a value is optional."""


class Table(NamedTuple):
    """The rows of a CSV file as (line, cells by column), and columns that are not used."""

    rows: Sequence[tuple[int, Mapping[str, str]]]
    unused_columns: Sequence[str]


def read_table(path: Path) -> Table:
    """Return the rows of a CSV file; ConfigError with the line where a cell may be lost."""
    try:
        # utf-8-sig drops the byte order mark that spreadsheets write.
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = list(_number_lines(stream, path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{PATH_KEY}: {path} cannot be read as CSV in UTF-8: {error}"
        ) from None
    header = [name.strip() for name in lines[0][1]] if lines else []
    columns = _read_header(header, path)
    rows = []
    for line, cells in lines[1:]:
        where = f"{path}, line {line}"
        _check_cells(cells, header, where)
        values = {
            column: cell.strip() for column, cell in zip(columns, cells, strict=True) if column
        }
        rows.append((line, _clear_blank(values, where)))
    if not rows:
        raise ConfigError(f"{PATH_KEY}: {path} lists no image")
    unused = [name for name, column in zip(header, columns, strict=True) if not column and name]
    return Table(rows, unused)


def _number_lines(stream: TextIO, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the cells of every row that is not blank."""
    # Strict: otherwise an open quotation mark swallows the rest of the file.
    reader, start = csv.reader(stream, strict=True), 1
    try:
        for cells in reader:
            if any(cells):
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise ConfigError(
            f"{path}, line {start}: a quotation mark is open or misplaced ({error})"
        ) from None


def _read_header(header: Sequence[str], path: Path) -> list[str]:
    """Return the column of COLUMNS that each name means; blank for a column of another kind."""
    where = f"{path}, line 1"
    columns = [_match_column(name) for name in header]
    _check_separator(header, where)
    if any(ending_of(name) in IMAGE_ENDINGS for name in header):
        raise ConfigError(
            f"{where}: the header is missing: begin with a line of column names, path,label"
        )
    for column in COLUMNS:
        same = [name for name, each in zip(header, columns, strict=True) if each == column]
        if len(same) > 1:
            raise ConfigError(f"{where}: two columns are called {' and '.join(same)}")
    missing = sorted(set(REQUIRED_COLUMNS) - set(columns))
    if missing:
        renamed = _suggest_renames(header, missing)
        raise ConfigError(
            f"{PATH_KEY}: {path} lacks the column {' and '.join(missing)}; "
            f"it has {', '.join(sorted(header))}{renamed}"
        )
    boxes = [column for column in BOX_COLUMNS if column in columns]
    if boxes and len(boxes) < len(BOX_COLUMNS):
        raise ConfigError(
            f"{where}: a box needs the columns {', '.join(BOX_COLUMNS)}; "
            f"here are only {', '.join(boxes)}"
        )
    _check_spelling(header, columns, where)
    return columns


def _match_column(name: str) -> str:
    plain = _plain(name)
    return plain if plain in COLUMNS else ""


def _plain(name: str) -> str:
    # Upper case, x_min and "X min" are the same column.
    return re.sub(r"[\s_.-]", "", name.lower())


def _suggest_renames(header: Sequence[str], missing: Sequence[str]) -> str:
    """Return which columns may be the missing ones, after a semicolon; blank for none."""
    renames = [
        f"rename {name} to {OTHER_NAMES[_plain(name)]}"
        for name in header
        if OTHER_NAMES.get(_plain(name)) in missing
    ]
    return f"; {', '.join(renames)}?" if renames else ""


def _check_separator(header: Sequence[str], where: str) -> None:
    if len(header) != 1:
        return
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if separator in header[0]:
            raise ConfigError(f"{where}: the columns are separated by {name}. {SAVE_AS}")


def _check_spelling(header: Sequence[str], columns: Sequence[str], where: str) -> None:
    """Refuse a name that is nearly that of a column: its values would be lost."""
    for name, column in zip(header, columns, strict=True):
        absent = [each for each in COLUMNS if each not in columns]
        if column:
            continue
        close = get_close_matches(name.lower(), absent, n=1, cutoff=0.75)
        meant = OTHER_NAMES.get(_plain(name), close[0] if close else "")
        if meant in absent:
            raise ConfigError(
                f"{where}: the column {name!r} is not known: did you mean {meant}?"
            )


def _check_cells(cells: Sequence[str], header: Sequence[str], where: str) -> None:
    if len(cells) != len(header):
        raise ConfigError(
            f"{where}: {format_count(len(cells), 'cell')}, and the header has {len(header)} "
            f"({', '.join(header)}): put a text with a comma in quotation marks"
        )
    for name, cell in zip(header, cells, strict=True):
        if "\0" in cell:
            raise ConfigError(f"{where}, column {name}: the text holds a zero byte")
        if "\n" in cell and _match_column(name):
            raise ConfigError(
                f"{where}, column {name}: the text runs over several lines: "
                "is a quotation mark open?"
            )


def _clear_blank(values: dict[str, str], where: str) -> dict[str, str]:
    """Blank the cells that mean "no value"; ConfigError for such a path or label."""
    for column in REQUIRED_COLUMNS:
        if not values[column]:
            raise ConfigError(f"{where}: path or label is blank")
    if values["label"].lower() in ("nan", "<na>"):
        raise ConfigError(f"{where}: label is {values['label']}, which means no value")
    return {
        column: "" if column not in REQUIRED_COLUMNS and cell.lower() in BLANK_CELLS else cell
        for column, cell in values.items()
    }
