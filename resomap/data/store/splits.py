"""Who is trained on, validated on and tested on, where the source does not say it."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from resomap.config import data
from resomap.data.sources.entries import Entry
from resomap.errors import DataError

HELD_OUT = ("test", "val")


def deal(
    entries: Sequence[Entry], pixels: np.ndarray, splits: data.Splits
) -> tuple[list[str], list[str]]:
    """The split of every picture, and which splits were dealt here; `pixels` (N,) names each picture's content.

    Splits that the source gives stay; what it lacks of val and test is taken from its training pictures. A class is dealt by the
    hashes of the seed and its pictures' names, so that one more picture moves no other to another side, but for a few at the borders.
    Pictures of one group, or with the same pixels, stay together; a group of several classes counts for its most frequent one.
    """
    dealt = [entry.split or "train" for entry in entries]
    missing = [split for split in HELD_OUT if split not in dealt]
    pool = [index for index, split in enumerate(dealt) if split == "train"] if missing else []
    by_class: dict[int, list[list[int]]] = defaultdict(list)
    for unit in _units([entries[index] for index in pool], pixels[pool]) if pool else []:
        labels = np.bincount([entries[pool[member]].label for member in unit])
        by_class[int(labels.argmax())].append([pool[member] for member in unit])
    for units in by_class.values():
        ordered = sorted(
            units,
            key=lambda unit: _lot(
                splits.seed, min(entries[index].group or entries[index].name for index in unit)
            ),
        )
        for split, unit in _take(ordered, {split: getattr(splits, split) for split in missing}):
            for index in unit:
                dealt[index] = split
    for split in missing:
        if split not in dealt:
            raise DataError(
                f"too few pictures, or too few groups, to keep some for {split}: each class needs three or more"
            )
    return dealt, [
        *missing,
        *(
            ["train"]
            if len(missing) == len(HELD_OUT) and not any(entry.split for entry in entries)
            else []
        ),
    ]


def _units(entries: Sequence[Entry], pixels: np.ndarray) -> list[list[int]]:
    """Pictures that must not be parted, a list a unit."""
    from scipy.sparse import coo_array  # 0.3 s, which most preparations need not
    from scipy.sparse.csgraph import connected_components

    ties = [np.unique(pixels, return_inverse=True, return_index=True)]
    groups = np.array([entry.group or f"\0{index}" for index, entry in enumerate(entries)])
    ties.append(np.unique(groups, return_inverse=True, return_index=True))
    here = np.arange(len(entries))
    ends = [
        np.concatenate([here, here]),
        np.concatenate([first[inverse] for _, first, inverse in ties]),
    ]
    count, unit_of = connected_components(
        coo_array((np.ones(2 * len(here)), ends), shape=(len(here), len(here))), directed=False
    )
    units: list[list[int]] = [[] for _ in range(count)]
    for index, unit in enumerate(unit_of):
        units[unit].append(index)
    return units


def _lot(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode(errors="surrogateescape")).digest()


def _take(
    units: Sequence[list[int]], shares: dict[str, float]
) -> Iterable[tuple[str, list[int]]]:
    """Units from the front until each split has its share of the pictures; the last unit is left for training."""
    count, place = sum(map(len, units)), 0
    for split, share in shares.items():
        taken = 0
        while taken < share * count and place < len(units) - 1:
            yield split, units[place]
            taken, place = taken + len(units[place]), place + 1
