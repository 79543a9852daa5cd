"""Take the inventory of a source: decode every image, assign splits, and find problems."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from resomap.config.data import ALPHA_MASKS, Data
from resomap.data.sources.listing import ImageEntry, name_missing_classes
from resomap.data.sources.open import Source
from resomap.data.sources.user_files import listing_digest
from resomap.data.store.ingest import IngestResult, ingest
from resomap.data.store.inventory import Inventory, printable_name
from resomap.data.store.splits import assign_splits
from resomap.errors import DataError
from resomap.text import agree, format_count

DARK_16_BIT = 2**15
"""Images of 16 bits whose values all stay below this use fewer bits."""
FULL_OBJECT = 0.999
"""Share of an image from which on a mask separates nothing."""


def take_inventory(
    data: Data,
    source: Source,
    side: int,
    rows: np.ndarray,
    directory: Path,
    code: str,
    workers: int,
) -> Inventory:
    """Decode every image and assign splits; every problem is listed, none ends the work."""
    listing = source.listing
    fingerprint = [code, data.model_dump_json(include={"dataset", "torchvision", "reef"}), ""]
    if data.torchvision is None and data.reef is None:
        fingerprint[-1] = listing_digest(listing)
    ingested = ingest(data, source, side, rows.tolist(), directory, fingerprint, workers)
    # Only now: duplicates must share a split, and they are known once everything is decoded.
    splits, assigned, problems = _assign(data, source, ingested)
    problems += [*_depth_problems(data, source, ingested), *_mask_problems(data, ingested)]
    return Inventory(data, source, ingested, splits, assigned, rows, side, problems)


def _assign(
    data: Data, source: Source, ingested: IngestResult
) -> tuple[list[str | None], Sequence[str], list[str]]:
    """Return the split of every entry, the splits assigned here, and what is wrong."""
    good = np.flatnonzero(ingested.good).tolist()
    listing = source.listing
    entries = [listing.entries[index] for index in good]
    splits: list[str | None] = [None] * len(listing.entries)
    try:
        assigned_splits, assigned = assign_splits(
            entries, ingested.records["pixels"][good], data.splits
        )
    except DataError as error:
        return splits, [], [str(error)]
    for index, split in zip(good, assigned_splits, strict=True):
        splits[index] = split
    missing = name_missing_classes(listing, _trained_labels(entries, assigned_splits))
    problems = [f"no training image of class {missing} can be decoded."] if missing else []
    return splits, assigned, problems


def _trained_labels(entries: Sequence[ImageEntry], splits: Sequence[str]) -> set[int]:
    return {
        entry.label for entry, split in zip(entries, splits, strict=True) if split == "train"
    }


def _depth_problems(data: Data, source: Source, ingested: IngestResult) -> Iterator[str]:
    """Yield a message where images of 16 or 32 bits use fewer, so that they would be dark."""
    deepest = ingested.records["deepest"]
    deep = np.flatnonzero(deepest)
    if data.bit_depth is not None or not len(deep) or deepest.max() >= DARK_16_BIT:
        return
    largest = int(deepest.max())
    example = printable_name(source.listing.entries[deep[0]].name)
    yield (
        f"{format_count(len(deep), 'image')} {agree(len(deep), 'is', 'are')} stored with more "
        "than 8 bits per value, and none holds more "
        f"than {largest:,} ({max(8, largest.bit_length())} bit), such as {example}: set "
        f"data.bit_depth: {max(8, largest.bit_length())}, or 16 if they are meant to be so dark"
    )


def _all_masks(count: int, singular: str, plural: str) -> str:
    """Return `all 12 masks are` with `masks are` as the plural, or `the only mask is`."""
    return f"the only {singular}" if count == 1 else f"all {count:,} {plural}"


def _mask_problems(data: Data, ingested: IngestResult) -> Iterator[str]:
    """Yield a message where masks separate no object from its background."""
    shares = ingested.records["object"][ingested.good]
    masked = shares[shares >= 0]
    if data.folder is not None and data.folder.masks == ALPHA_MASKS and not len(masked):
        yield "data.folder.masks: alpha: no image has an alpha channel"
    if len(masked) and (masked == 0).all():
        masks = _all_masks(len(masked), "mask is", "masks are")
        yield f"{masks} empty: pixels of the object must differ from 0"
    elif len(masked) and (masked > FULL_OBJECT).all():
        masks = _all_masks(len(masked), "mask or box covers its", "masks or boxes cover their")
        yield (
            f"{masks} whole image: the background must be 0 (black in colours, or transparent)"
        )
