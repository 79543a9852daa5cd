"""What is known of the images once all are decoded: records, splits and stored rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from resomap.config.data import Data
from resomap.data.sources.decode import FILE_NOTES
from resomap.data.sources.open import Source
from resomap.data.store.ingest import IngestResult
from resomap.data.store.store import SPLITS


@dataclass(frozen=True)
class Inventory:
    """The listing of a source, the record of each image, and the split of each good one.

    `splits` (N,) is None for bad images; `assigned` names the splits that the source does not
    give. `rows` (N,) is where each entry is stored, -1 for not stored; `side` is the native
    resolution. `problems` are messages about what keeps the images from being used.
    """

    data: Data
    source: Source
    ingested: IngestResult
    splits: Sequence[str | None]
    assigned: Sequence[str]
    rows: np.ndarray
    side: int
    problems: Sequence[str] = ()

    @cached_property
    def labels(self) -> np.ndarray:
        """Class index of every entry: int64 (N,)."""
        return np.array([entry.label for entry in self.source.listing.entries], np.int64)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.source.listing.classes)

    @property
    def bad(self) -> list[tuple[str, str]]:
        """Name and reason of each bad image, as printable text."""
        return [
            (printable_name(name), printable_name(reason)) for name, reason in self.ingested.bad
        ]

    def members(self, split: str) -> np.ndarray:
        """Return the entries of a split, in the order of the listing."""
        return np.flatnonzero(np.array([assigned == split for assigned in self.splits]))

    def image_rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row of pictures.csv for every good image, split by split."""
        for split in SPLITS:
            for index, member in enumerate(self.members(split).tolist()):
                entry = self.source.listing.entries[member]
                yield {
                    **self.name_entry(member),
                    "index": index,
                    "class": printable_name(self.source.listing.classes[entry.label]),
                    "group": printable_name(entry.group or ""),
                    "row": int(self.rows[member]),
                    **self._describe_record(member),
                }

    def name_entry(self, member: int) -> dict[str, Any]:
        """Return the source, split and label of an entry."""
        entry = self.source.listing.entries[member]
        return {
            "source": printable_name(entry.name),
            "split": self.splits[member],
            "label": entry.label,
        }

    def _describe_record(self, member: int) -> dict[str, Any]:
        record = self.ingested.records[member]
        notes = [note for bit, note in enumerate(FILE_NOTES) if record["notes"] >> bit & 1]
        values = {
            "width": record["width"],
            "height": record["height"],
            "note": "; ".join(notes),
            # Hexadecimal: readers of CSV round an integer of 64 bits to a float.
            "pixels": f"{record['pixels']:016x}",
        }
        for name, value in zip(self.source.fact_names, record["facts"], strict=False):
            values[name] = f"{value:.5f}"
        return values


def printable_name(name: str) -> str:
    r"""Return a file name as text that UTF-8 can encode: other bytes become \udcXX."""
    # The file system gives such bytes as lone surrogates, which cannot be written to a file.
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
