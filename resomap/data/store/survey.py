"""Look at every picture once: whether it can be read, how large it is, what its pixels are; and keep it as a square of native size."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from resomap.config import data
from resomap.data.sources.decode import NOTES, BadPictureError
from resomap.data.sources.open import Read, Source
from resomap.data.store.aspect import make_square
from resomap.data.store.filling import DONE, Plan, fill
from resomap.data.store.rowfile import RowFile
from resomap.errors import DataError

MOST_FACTS = 4
# A line of what is found out about a picture; `done` is 2 for a bad one, `kept` and `pixels` name what is stored and what was read.
LINE = np.dtype(
    [
        *(("done", "u1"), ("notes", "u1"), ("width", "i4"), ("height", "i4"), ("pixels", "u8")),
        *(
            ("kept", "u1", (32,)),
            ("sum", "i8", (3,)),
            ("squares", "i8", (3,)),
            ("facts", "f8", (MOST_FACTS,)),
        ),
    ]
)
BAD = 2
LEVELS = np.arange(256)


@dataclass(frozen=True)
class Survey:
    """What was found: a line of LINE for every entry of the listing (`lines[done == BAD]` are bad), and why the bad ones are."""

    lines: np.ndarray
    bad: Sequence[tuple[str, str]]

    @property
    def good(self) -> np.ndarray:
        """Which entries are pictures (N,)."""
        found: np.ndarray = self.lines["done"] == DONE
        return found


@dataclass(frozen=True)
class Look:
    """Reads pictures by their places, and keeps each (and its mask, where it has one) in the row that stands beside its place."""

    read: Callable[[Any], Read]
    side: int
    aspect: Any
    filter: str

    def __call__(
        self, arrays: dict[str, RowFile], start: int, items: Sequence[tuple[Any, int]]
    ) -> np.ndarray:
        """A line for each of the items; a place without a row (-1) is only looked at."""
        lines = np.zeros(len(items), LINE)
        for line, (place, row) in zip(lines, items, strict=True):
            try:
                read = self.read(place)
            except BadPictureError:
                line["done"] = BAD
                continue
            self._describe(line, read)
            if row >= 0:
                self._keep(arrays, row, line, read)
            line["done"] = DONE
        return lines

    def _describe(self, line: Any, read: Read) -> None:
        line["width"], line["height"] = read.image.size
        line["notes"] = sum(1 << NOTES.index(note) for note in read.notes)
        found = hashlib.sha256(repr(read.image.size).encode() + read.image.tobytes()).digest()
        line["pixels"] = int.from_bytes(found[:8], "big")
        line["facts"][: len(read.facts)] = read.facts

    def _keep(self, arrays: dict[str, RowFile], row: int, line: Any, read: Read) -> None:
        filter = Image.Resampling[self.filter.upper()]
        square = make_square(read.image, self.side, self.aspect, filter)
        pixels = square.tobytes()
        arrays["native"][row] = np.frombuffer(pixels, np.uint8)
        line["kept"] = np.frombuffer(hashlib.sha256(pixels).digest(), np.uint8)
        counts = np.array(square.histogram(), np.int64).reshape(
            3, 256
        )  # of every level, a twentieth of the time of the sums themselves
        line["sum"], line["squares"] = counts @ LEVELS, counts @ LEVELS**2
        if read.mask is not None:
            arrays["masks"][row] = np.asarray(
                make_square(read.mask, self.side, self.aspect, Image.Resampling.BOX)
            )


def survey(
    data: data.Data,
    source: Source,
    side: int,
    rows: Sequence[int],
    folder: Path,
    mark: Sequence[str],
    workers: int,
) -> Survey:
    """Look at every entry, and keep those with a row at `side` pixels in the growing arrays of `folder` (native, masks).

    What `mark` says, the listing and the shape of a kept picture decide whether an earlier look, cut short, is gone on with.
    """
    count, entries = max(rows, default=-1) + 1, source.listing.entries
    arrays: dict[str, tuple[tuple[int, ...], Any]] = {
        "native": ((count, side, side, 3), np.uint8)
    }
    if source.listing.masked:
        arrays["masks"] = ((count, side, side), np.uint8)
    told = json.dumps([*mark, side, data.aspect, data.filter, count, len(entries)])
    plan = Plan(
        told, arrays, LINE, Look(source.read, side, data.aspect, data.filter), "pictures"
    )
    lines = fill(
        folder, plan, list(zip((entry.place for entry in entries), rows, strict=True)), workers
    )
    return Survey(
        lines, [*source.listing.stray, *_reasons(source, np.flatnonzero(lines["done"] == BAD))]
    )


def _reasons(source: Source, bad: np.ndarray) -> list[tuple[str, str]]:
    """Bad pictures are read once more to hear why: a line of the table has no room for it, and they are few."""
    reasons = []
    for entry in (source.listing.entries[index] for index in bad):
        try:
            source.read(entry.place)
        except BadPictureError as error:
            reasons.append((entry.name, str(error)))
        else:
            raise DataError(
                f"{entry.name} could not be read at first, and then could: does its disk fail? Run again."
            )
    return reasons
