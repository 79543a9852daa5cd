"""Decode every image once, record its properties, and store it as a native square."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from resomap.config.data import Aspect, Data, Filter
from resomap.data.sources.decode import FILE_NOTES, BadImageError, DecodedImage
from resomap.data.sources.open import Source
from resomap.data.store.npy_file import NpyFile
from resomap.data.store.resize import make_square
from resomap.data.store.resumable_arrays import DONE, FillPlan, fill_arrays
from resomap.errors import DataError

MAX_FACTS = 4
BAD = 2
"""`done` in the record of a bad image; the next run tries it again."""
IMAGE_RECORD = np.dtype(
    [
        ("done", "u1"),
        ("notes", "u2"),  # one bit per FILE_NOTES
        ("width", "i4"),
        ("height", "i4"),
        ("span", "u1"),  # largest minus smallest value of all channels
        ("deepest", "u4"),  # largest value of a file with more than 8 bits, else 0
        ("object", "f4"),  # share of the image that its mask covers; -1 without a mask
        ("pixels", "u8"),  # hash of the decoded pixels, for finding duplicates
        ("stored_sha256", "u1", (32,)),
        ("sum", "i8", (3,)),  # per channel, of the stored pixels
        ("sum_of_squares", "i8", (3,)),
        ("facts", "f8", (MAX_FACTS,)),
    ]
)
LEVELS = np.arange(256)
SAMPLE_SIDE = 64
NARROW_SPAN = 25
"""Span of values, a tenth of the range, up to which an image is reported as nearly uniform."""


@dataclass(frozen=True)
class IngestResult:
    """An IMAGE_RECORD for every entry of the listing, and (name, reason) of the bad images."""

    records: np.ndarray
    bad: Sequence[tuple[str, str]]

    @property
    def good(self) -> np.ndarray:
        """Mask of the entries that could be decoded: bool (N,)."""
        good: np.ndarray = self.records["done"] == DONE
        return good


@dataclass(frozen=True)
class IngestTask:
    """A task that decodes images by location and stores each in the row given with it."""

    read: Callable[[Any], DecodedImage]
    side: int
    aspect: Aspect
    filter: Filter

    def __call__(
        self, arrays: dict[str, NpyFile], start: int, items: Sequence[tuple[Any, int]]
    ) -> np.ndarray:
        """Return a record for each (location, row); an image with row -1 is not stored."""
        records = np.zeros(len(items), IMAGE_RECORD)
        for record, (location, row) in zip(records, items, strict=True):
            try:
                decoded = self.read(location)
            except BadImageError:
                record["done"] = BAD
                continue
            self._describe(record, decoded)
            if row >= 0:
                self._store(arrays, row, record, decoded)
            record["done"] = DONE
        return records

    def _describe(self, record: Any, decoded: DecodedImage) -> None:
        size = decoded.image.size
        record["width"], record["height"] = size
        record["notes"] = sum(1 << FILE_NOTES.index(note) for note in decoded.notes)
        record["span"] = _span_of_values(decoded.image)
        record["deepest"] = decoded.deepest
        record["object"] = -1
        if decoded.mask is not None:
            record["object"] = np.asarray(decoded.mask).mean() / 255
        # The size is hashed too: 2 x 8 and 4 x 4 pixels can hold the same bytes.
        digest = hashlib.sha256(repr(size).encode() + decoded.image.tobytes()).digest()
        record["pixels"] = int.from_bytes(digest[:8], "big")
        record["facts"][: len(decoded.facts)] = decoded.facts

    def _store(
        self, arrays: dict[str, NpyFile], row: int, record: Any, decoded: DecodedImage
    ) -> None:
        filter = Image.Resampling[self.filter.upper()]
        square = make_square(decoded.image, self.side, self.aspect, filter)
        pixels = square.tobytes()
        arrays["native"][row] = np.frombuffer(pixels, np.uint8)
        record["stored_sha256"] = np.frombuffer(hashlib.sha256(pixels).digest(), np.uint8)
        # Exact integer sums from Pillow's histogram take a twentieth of the time of summing in
        # numpy, which was half of preparing (docs/LOG.md).
        counts = np.array(square.histogram(), np.int64).reshape(3, 256)
        record["sum"], record["sum_of_squares"] = counts @ LEVELS, counts @ LEVELS**2
        if decoded.mask is not None:
            # An area average gives the covered share of each pixel; `filter` is for images.
            mask = make_square(decoded.mask, self.side, self.aspect, Image.Resampling.BOX)
            arrays["masks"][row] = np.asarray(mask)


def _span_of_values(image: Image.Image) -> int:
    """Return the largest minus the smallest value of all channels."""
    # A histogram takes a third of the time of decoding. Few images have a narrow range, and
    # only those whose sample has one are read in full.
    for sample in (image.resize((SAMPLE_SIDE, SAMPLE_SIDE), Image.Resampling.NEAREST), image):
        used = np.flatnonzero(np.reshape(sample.histogram(), (3, 256)).any(axis=0))
        span = int(used[-1] - used[0])
        if span > NARROW_SPAN:
            break
    return span


def ingest(
    data: Data,
    source: Source,
    side: int,
    rows: Sequence[int],
    folder: Path,
    fingerprint: Sequence[str],
    workers: int,
) -> IngestResult:
    """Decode every entry, and store those with a row in the growing arrays of `folder`.

    These are `native` and, for a source with masks, `masks`. An interrupted ingest is resumed
    where `fingerprint` (code, source and its digest) and the shape of the arrays are equal.
    """
    count, entries = max(rows, default=-1) + 1, source.listing.entries
    arrays: dict[str, tuple[tuple[int, ...], Any]] = {
        "native": ((count, side, side, 3), np.uint8)
    }
    if source.listing.has_masks:
        arrays["masks"] = ((count, side, side), np.uint8)
    settings = (data.aspect, data.filter, data.bit_depth)
    plan = FillPlan(
        fingerprint=json.dumps([*fingerprint, side, *settings, count, len(entries)]),
        arrays=arrays,
        record_dtype=IMAGE_RECORD,
        task=IngestTask(source.read, side, data.aspect, data.filter),
        description="images",
    )
    items = [(entry.location, row) for entry, row in zip(entries, rows, strict=True)]
    records = fill_arrays(folder, plan, items, workers)
    reasons = _find_reasons(source, np.flatnonzero(records["done"] == BAD))
    return IngestResult(records, [*source.listing.unusable, *reasons])


def _find_reasons(source: Source, bad: np.ndarray) -> list[tuple[str, str]]:
    """Return (name, reason) of the bad images, which are read again.

    A record has no field for text of any length, and bad images are few.
    """
    reasons = []
    for index in bad:
        entry = source.listing.entries[index]
        try:
            source.read(entry.location)
        except BadImageError as error:
            reasons.append((entry.name, str(error)))
        else:
            raise DataError(
                f"{entry.name} could not be read at first, and then could: "
                "is its disk failing? Run again."
            )
    return reasons
