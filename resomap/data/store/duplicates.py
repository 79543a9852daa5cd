"""Exact duplicates: images whose decoded pixels equal those of an earlier image."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from resomap.data.store.inventory import Inventory


def find_duplicates(inventory: Inventory) -> list[dict[str, Any]]:
    """Return a row of duplicates.csv for every copy: itself, and the earliest image it equals.

    Images are compared by the first 64 bits of a sha256 of their pixels: among a million
    different images, two share them with a probability of 3e-8.
    """
    good = np.flatnonzero(inventory.ingested.good)
    # np.unique returns the first index of each value: the earliest image.
    _, first, group = np.unique(
        inventory.ingested.records["pixels"][good], return_index=True, return_inverse=True
    )
    originals = good[first][group]
    return [
        _pair_row(inventory, copy, original)
        for copy, original in zip(good.tolist(), originals.tolist(), strict=True)
        if copy != original
    ]


def _pair_row(inventory: Inventory, copy: int, original: int) -> dict[str, Any]:
    of = inventory.name_entry(original)
    return {
        **inventory.name_entry(copy),
        "copy_of": of["source"],
        "copy_split": of["split"],
        "copy_label": of["label"],
    }


def count_duplicates(duplicates: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Count the copies, those in another split and those with another label."""
    return {
        "copies": len(duplicates),
        "across_splits": sum(row["split"] != row["copy_split"] for row in duplicates),
        "conflicting": sum(row["label"] != row["copy_label"] for row in duplicates),
    }
