"""What is told of the pictures, whoever asks: a line a picture, the bad ones, the copies, the manifest, and how much detail they hold."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from resomap.config import data
from resomap.data.sources.decode import NOTES
from resomap.data.sources.open import Source
from resomap.data.store.spectrum import contact_sheet, sample, spectra
from resomap.data.store.store import SPLITS
from resomap.data.store.survey import Survey
from resomap.system import files
from resomap.workflow.layout import table_columns

COLUMNS = table_columns("images")
COPY_COLUMNS = table_columns("duplicates")


@dataclass(frozen=True)
class Account:
    """Everything known of a source: what it lists, what was found, and the split of every good picture.

    `rows` (N,) says where each entry of the listing is kept, `side` how large; `dealt` names the splits that were drawn here.
    """

    data: data.Data
    source: Source
    survey: Survey
    splits: Sequence[str | None]
    dealt: Sequence[str]
    rows: np.ndarray
    side: int

    @cached_property
    def labels(self) -> np.ndarray:
        """The class of every entry (N,)."""
        return np.array([entry.label for entry in self.source.listing.entries], np.int64)

    def members(self, split: str) -> np.ndarray:
        """Which entries are the pictures of a split, in their order in the listing."""
        return np.flatnonzero(np.array([given == split for given in self.splits]))

    def write(self, directory: Path, native: Path) -> None:
        """Write the tables, the spectra and the contact sheet; `native` holds the kept pictures."""
        files.write_rows(
            directory / "pictures.csv", self._picture_rows(), (*COLUMNS, *self.source.facts)
        )
        bad = [
            {"source": printable(name), "reason": printable(reason)}
            for name, reason in self.survey.bad
        ]
        files.write_rows(directory / "bad_pictures.csv", bad, table_columns("bad_images"))
        files.write_rows(directory / "duplicates.csv", self._copy_rows, COPY_COLUMNS)
        trained = self.members("train")
        kept = trained[self.rows[trained] >= 0]
        chosen = kept[sample(self.labels[kept], len(self.source.listing.classes))]
        counts = np.bincount(self.labels[trained], minlength=len(self.source.listing.classes))
        shares = spectra(native, self.rows[chosen], self.labels[chosen], counts)
        files.write_array(directory / "spectrum.npy", shares)
        files.write_arrays(
            directory / "contact_sheet.npz",
            **contact_sheet(native, self.rows[chosen], self.labels[chosen]),
        )

    def manifest(self) -> dict[str, Any]:
        """What the store holds."""
        lines, copies = self.survey.lines, self._copy_rows
        return {
            "dataset": self.data.dataset,
            "native_resolution": self.side,
            "filter": self.data.filter,
            "aspect": self.data.aspect,
            "classes": [printable(name) for name in self.source.listing.classes],
            **self.source.known,
            "mask": self.source.listing.masked,
            "splits": {split: self._describe_split(self.members(split)) for split in SPLITS},
            **channel_statistics(lines[self.members("train")], self.side),
            "drawn": list(self.dealt),
            "bad": len(self.survey.bad),
            "notes": {
                note: n
                for bit, note in enumerate(NOTES)
                if (n := int((lines["notes"] >> bit & 1).sum()))
            },
            "duplicates": {
                "copies": len(copies),
                "across_splits": sum(row["split"] != row["copy_split"] for row in copies),
                "conflicting": sum(row["label"] != row["copy_label"] for row in copies),
            },
        }

    def _describe_split(self, members: np.ndarray) -> dict[str, Any]:
        labels = self.labels[members]
        content = sha256(
            self.survey.lines["kept"][members].tobytes() + labels.tobytes()
        ).hexdigest()
        per_class = np.bincount(labels, minlength=len(self.source.listing.classes)).tolist()
        return {"count": len(members), "sha256": content, "per_class": per_class}

    def _picture_rows(self) -> Iterator[dict[str, Any]]:
        return (
            {
                **self._named(member),
                "index": index,
                "group": printable(entry.group or ""),
                "row": int(self.rows[member]),
                **self._found(member),
            }
            for split in SPLITS
            for index, member in enumerate(self.members(split).tolist())
            for entry in [self.source.listing.entries[member]]
        )

    def _named(self, member: int) -> dict[str, Any]:
        entry = self.source.listing.entries[member]
        return {
            "source": printable(entry.name),
            "split": self.splits[member],
            "label": entry.label,
        }

    def _found(self, member: int) -> dict[str, Any]:
        line = self.survey.lines[member]
        note = "; ".join(note for bit, note in enumerate(NOTES) if line["notes"] >> bit & 1)
        facts = {
            name: f"{value:.5f}"
            for name, value in zip(self.source.facts, line["facts"], strict=False)
        }
        return {
            "width": line["width"],
            "height": line["height"],
            "note": note,
            "pixels": f"{line['pixels']:016x}",
            **facts,
        }

    @cached_property
    def _copy_rows(self) -> list[dict[str, Any]]:
        """Every picture whose pixels an earlier one has too, beside the earliest."""
        good = np.flatnonzero(self.survey.good)
        _, first, inverse = np.unique(
            self.survey.lines["pixels"][good], return_index=True, return_inverse=True
        )
        copies = [
            (member, original)
            for member, original in zip(
                good.tolist(), good[first][inverse].tolist(), strict=True
            )
            if member != original
        ]
        return [
            {
                **self._named(member),
                **{
                    f"copy_{key}".replace("copy_source", "copy_of"): value
                    for key, value in self._named(original).items()
                },
            }
            for member, original in copies
        ]


def channel_statistics(lines: np.ndarray, side: int) -> dict[str, list[float]]:
    """Mean and standard deviation of each channel on the scale 0 to 1, from exact sums."""
    pixels = len(lines) * side**2
    mean = lines["sum"].sum(0) / pixels
    variance = lines["squares"].sum(0) / pixels - mean**2
    return {"mean": (mean / 255).tolist(), "std": (np.sqrt(variance) / 255).tolist()}


def printable(name: str) -> str:
    """A file's name as text that can be written: bytes that are no UTF-8 become \\udcXX."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
