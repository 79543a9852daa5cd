"""Assign train, val and test splits to images that come without one."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from resomap.config.data import Splits
from resomap.data.sources.listing import ImageEntry
from resomap.errors import DataError

HELD_OUT_SPLITS = ("test", "val")


def assign_splits(
    entries: Sequence[ImageEntry], pixels: np.ndarray, settings: Splits
) -> tuple[list[str], list[str]]:
    """Return the split of every image, and which splits were assigned here.

    Splits that the source gives are kept; a missing val or test is taken from its training
    images. Images of one group, or with equal hashes in `pixels` (N,), stay in one split; a
    group of several classes counts for its most frequent one. Within a class, units are ranked
    by a hash of the seed and their names, so that an added image moves no other to another
    split, but for a few at the borders.
    """
    splits = [entry.split or "train" for entry in entries]
    missing = [split for split in HELD_OUT_SPLITS if split not in splits]
    if missing:
        shares = {split: getattr(settings, split) for split in missing}
        for units in _units_by_class(entries, pixels, splits, settings.seed).values():
            for split, unit in _take_shares(units, shares):
                for index in unit:
                    splits[index] = split
    for split in missing:
        if split not in splits:
            raise DataError(
                f"too few images, or too few groups, for a {split} split: "
                "each class needs three or more"
            )
    # train is given where only a held-out split is missing, or where any image names its split.
    assigned = list(missing)
    if len(missing) == len(HELD_OUT_SPLITS) and not any(entry.split for entry in entries):
        assigned.append("train")
    return splits, assigned


def _units_by_class(
    entries: Sequence[ImageEntry], pixels: np.ndarray, splits: Sequence[str], seed: int
) -> dict[int, list[list[int]]]:
    """Return the units of training images by class, in the order of their hashes."""
    pool = [index for index, split in enumerate(splits) if split == "train"]
    by_class: dict[int, list[list[int]]] = defaultdict(list)
    if not pool:
        return by_class
    for members in _find_units([entries[index] for index in pool], pixels[pool]):
        unit = [pool[member] for member in members]
        label = np.bincount([entries[index].label for index in unit]).argmax()
        by_class[int(label)].append(unit)
    for units in by_class.values():
        units.sort(
            key=lambda unit: _rank_key(
                seed, min(entries[index].group or entries[index].name for index in unit)
            )
        )
    return by_class


def _find_units(entries: Sequence[ImageEntry], pixels: np.ndarray) -> list[list[int]]:
    """Return lists of images that must share a split: connected by a group or equal pixels."""
    from scipy.sparse import coo_array  # takes 0.3 s, and most preparations do not need it
    from scipy.sparse.csgraph import connected_components

    # An image without a group gets one of its own; no group of a user begins with NUL.
    groups = np.array([entry.group or f"\0{index}" for index, entry in enumerate(entries)])
    indices = np.arange(len(entries))
    targets = []
    for key in (pixels, groups):
        _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        targets.append(first[inverse])
    # One edge from each image to the first of its group and to the first with its pixels.
    edges = (np.concatenate([indices, indices]), np.concatenate(targets))
    graph = coo_array((np.ones(2 * len(indices)), edges), shape=(len(indices), len(indices)))
    count, unit_of = connected_components(graph, directed=False)
    units: list[list[int]] = [[] for _ in range(count)]
    for index, unit in enumerate(unit_of):
        units[unit].append(index)
    return units


def _rank_key(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode(errors="surrogateescape")).digest()


def _take_shares(
    units: Sequence[list[int]], shares: dict[str, float]
) -> Iterable[tuple[str, list[int]]]:
    """Yield (split, unit) from the front until each split has its share of the images.

    The last unit is left for training.
    """
    num_images, position = sum(map(len, units)), 0
    for split, share in shares.items():
        taken = 0
        while taken < share * num_images and position < len(units) - 1:
            yield split, units[position]
            taken, position = taken + len(units[position]), position + 1
