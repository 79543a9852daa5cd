"""The manifest of a prepared store, and the tables and arrays that describe its images."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from resomap.data.sources.decode import FILE_NOTES
from resomap.data.sources.listing import ListingNotes
from resomap.data.store.duplicates import count_duplicates, find_duplicates
from resomap.data.store.ingest import NARROW_SPAN
from resomap.data.store.inventory import Inventory, printable_name
from resomap.data.store.spectrum import contact_sheet, cumulative_spectra, sample_per_class
from resomap.data.store.store import SPLITS
from resomap.system import files
from resomap.workflow.layout import table_columns


def write_tables(inventory: Inventory, directory: Path, native: Path) -> list[dict[str, Any]]:
    """Write the tables of images, bad images and duplicates, the spectra and the contact sheet.

    `native` holds the stored images. Return the duplicates, which the manifest counts.
    """
    columns = (*table_columns("images"), *inventory.source.fact_names)
    files.write_rows(directory / "pictures.csv", inventory.image_rows(), columns)
    bad = [{"source": name, "reason": reason} for name, reason in inventory.bad]
    files.write_rows(directory / "bad_pictures.csv", bad, table_columns("bad_images"))
    duplicates = find_duplicates(inventory)
    files.write_rows(directory / "duplicates.csv", duplicates, table_columns("duplicates"))
    _write_spectra(inventory, directory, native)
    return duplicates


def _write_spectra(inventory: Inventory, directory: Path, native: Path) -> None:
    # Of training images only: what is shown before training must not come from test images.
    trained = inventory.members("train")
    stored = trained[inventory.rows[trained] >= 0]
    sampled = stored[sample_per_class(inventory.labels[stored], inventory.num_classes)]
    rows, labels = inventory.rows[sampled], inventory.labels[sampled]
    class_counts = np.bincount(inventory.labels[trained], minlength=inventory.num_classes)
    shares = cumulative_spectra(native, rows, labels, class_counts)
    files.write_array(directory / "spectrum.npy", shares)
    files.write_arrays(directory / "contact_sheet.npz", **contact_sheet(native, rows, labels))


def write_manifest(
    inventory: Inventory, duplicates: Sequence[dict[str, Any]], path: Path
) -> None:
    """Write what the store holds; this comes last, since the manifest marks a complete store."""
    data, source, records = inventory.data, inventory.source, inventory.ingested.records
    manifest = {
        "dataset": data.dataset,
        "native_resolution": inventory.side,
        "filter": data.filter,
        "aspect": data.aspect,
        "classes": [printable_name(name) for name in source.listing.classes],
        **source.class_facts,
        "mask": source.listing.has_masks,
        "splits": {split: _describe_split(inventory, split) for split in SPLITS},
        **channel_statistics(records[inventory.members("train")], inventory.side),
        "drawn": list(inventory.assigned),
        "bad": len(inventory.ingested.bad),
        "notes": _count_notes(records),
        "listing": describe_notes(source.listing.notes),
        "objects": _describe_objects(inventory),
        "narrow": _describe_narrow(inventory),
        "assigned": _describe_assignment(inventory),
        "duplicates": count_duplicates(duplicates),
    }
    files.write_json(path, manifest)


def _describe_split(inventory: Inventory, split: str) -> dict[str, Any]:
    """Return the number of images, overall and per class, and a digest of pixels and labels."""
    members = inventory.members(split)
    labels = inventory.labels[members]
    # A digest of digests: the pixels, up to a terabyte, are not read again.
    hashes = inventory.ingested.records["stored_sha256"][members]
    return {
        "count": len(members),
        "sha256": sha256(hashes.tobytes() + labels.tobytes()).hexdigest(),
        "per_class": np.bincount(labels, minlength=inventory.num_classes).tolist(),
    }


def _count_notes(records: np.ndarray) -> dict[str, int]:
    """Return how many files each of FILE_NOTES applies to, without those that apply to none."""
    counts = {
        note: int((records["notes"] >> bit & 1).sum()) for bit, note in enumerate(FILE_NOTES)
    }
    return {note: count for note, count in counts.items() if count}


def describe_notes(notes: ListingNotes) -> dict[str, Any]:
    """Return how the user's files were understood, as printable values."""
    values = asdict(notes)
    for key in ("ignored_folders", "unused_columns", "shared_groups"):
        values[key] = [printable_name(name) for name in values[key]]
    values["layout"] = printable_name(values["layout"])
    values["ignored_files"] = {
        printable_name(ending): count for ending, count in notes.ignored_files.items()
    }
    return values


def _describe_objects(inventory: Inventory) -> dict[str, Any]:
    """Return how many images and test images have a mask, and the mean share it covers."""
    shares = inventory.ingested.records["object"]
    masked = inventory.ingested.good & (shares >= 0)
    return {
        "images": int(masked.sum()),
        "test_images": int(masked[inventory.members("test")].sum()),
        "share": round(float(shares[masked].mean()), 4) if masked.any() else None,
    }


def _describe_narrow(inventory: Inventory) -> dict[str, Any]:
    """Return how many images use little of the range of values, how much, and one of them."""
    spans = inventory.ingested.records["span"]
    narrow = np.flatnonzero(inventory.ingested.good & (spans <= NARROW_SPAN))
    if not len(narrow):
        return {"images": 0}
    example = inventory.source.listing.entries[narrow[0]].name
    return {
        "images": len(narrow),
        "share": round(float(spans[narrow].max()) / 255, 4),
        "example": printable_name(example),
    }


def _describe_assignment(inventory: Inventory) -> dict[str, dict[str, Any]]:
    """Return requested and actual share of each assigned split, and its largest group."""
    entries, facts = inventory.source.listing.entries, {}
    held_out = [split for split in inventory.assigned if split != "train"]
    pool = sum(len(inventory.members(split)) for split in {*held_out, "train"})
    for split in held_out:
        members = inventory.members(split).tolist()
        groups = Counter(entries[member].group for member in members)
        groups.pop(None, 0)
        name, count = groups.most_common(1)[0] if groups else ("", 0)
        facts[split] = {
            "requested": getattr(inventory.data.splits, split),
            "actual": len(members) / pool,
            "largest_group": printable_name(str(name)),
            "largest_group_images": count,
        }
    return facts


def channel_statistics(records: np.ndarray, side: int) -> dict[str, list[float]]:
    """Return mean and standard deviation per channel on the scale 0 to 1, from integer sums."""
    num_pixels = len(records) * side**2
    mean = records["sum"].sum(0) / num_pixels
    # The sums are exact, so that E[x^2] - E[x]^2 loses nothing that matters to cancellation.
    variance = records["sum_of_squares"].sum(0) / num_pixels - mean**2
    return {"mean": (mean / 255).tolist(), "std": (np.sqrt(variance) / 255).tolist()}
