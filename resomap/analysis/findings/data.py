"""Findings about the dataset: leaks, contradictions, balance, sizes, detail kept."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from resomap.analysis.facts import SPLITS, Facts
from resomap.analysis.findings.finding import Estimate, Finding, shown_if

MANIFEST = "data/manifest.json"
DUPLICATES = "data/duplicates.csv"


def leak(facts: Facts) -> Finding:
    """Find images with the same pixels in two splits: an alarm, a part per pair of splits."""
    if facts.leaks.empty:
        return Finding("leak", "silent", DUPLICATES)
    pairs: Counter[tuple[str, str]] = Counter()
    for split, copy_split in zip(facts.leaks["split"], facts.leaks["copy_split"], strict=True):
        # Which of two copies is the original is unknown, so a pair of splits has no direction.
        first, second = sorted((split, copy_split), key=SPLITS.index)
        pairs[first, second] += 1
    parts = tuple(
        Finding("leak between splits", "fires", "", {"splits": pair}, {"images": _count(count)})
        for pair, count in pairs.most_common()
    )
    numbers = {"images": _count(len(facts.leaks))}
    return Finding("leak", "fires", DUPLICATES, _example(facts.leaks, "split"), numbers, parts)


def contradiction(facts: Facts) -> Finding:
    """Find images with the same pixels and different labels: an alarm."""
    if facts.contradictions.empty:
        return Finding("contradiction", "silent", DUPLICATES)
    numbers = {"images": _count(len(facts.contradictions))}
    example = _example(facts.contradictions, "label")
    return Finding("contradiction", "fires", DUPLICATES, example, numbers)


def _count(count: int, n: int | None = None) -> Estimate:
    """Return a count, out of `n`."""
    return Estimate(int(count), n=n)


def _example(copies: pd.DataFrame, column: str) -> dict[str, str]:
    """Return the first pair of copies and the value of `column` of each."""
    row = copies.iloc[0]
    return {
        "first": str(row["copy_of"]),
        "first_value": str(row[f"copy_{column}"]),
        "second": str(row["source"]),
        "second_value": str(row[column]),
    }


def copies_of_train_in_test(facts: Facts) -> Finding:
    """Find how many test images are copies of training images."""
    copies = facts.count_test_copies_of_train()
    # The share of the test split bounds by how much its accuracy may be too high.
    tested = facts.manifest["splits"]["test"]["count"]
    numbers = {"images": _count(copies, tested)}
    return Finding("copies of train in test", shown_if(copies), DUPLICATES, numbers=numbers)


def unusable_files(facts: Facts) -> Finding:
    """Find how many files could not be used."""
    bad, used = facts.manifest["bad"], int(facts.counts.to_numpy().sum())
    numbers = {"files": _count(bad, bad + used)}
    return Finding("unusable files", shown_if(bad), "data/bad_pictures.csv", numbers=numbers)


def empty_classes(facts: Facts) -> list[Finding]:
    """Find the classes without an image, one finding per split that lacks some."""
    findings = []
    for split, counts in facts.counts.items():
        names = list(counts.index[counts == 0])
        if names:
            subject = {"split": str(split), "classes": names}
            findings.append(Finding("empty classes", "shown", MANIFEST, subject))
    return findings


def detail_kept(facts: Facts, resolutions: Sequence[int]) -> Finding:
    """Find which share of the detail (spectral energy) resolutions below the stored one keep.

    A part per resolution, and in the subject the class of which the smallest keeps least. The
    state is `all kept` when no resolution of the sweep is below the stored one.
    """
    evidence, native = "data/spectrum.npy", facts.native_resolution
    # From the stored resolution on nothing is lost.
    below = sorted(px for px in resolutions if px < native)
    if not below:
        return Finding("detail kept", "all kept", evidence, {"stored_at": native})
    parts = []
    for px in dict.fromkeys((below[0], below[-1])):
        numbers = {"share": Estimate(float(facts.energy_kept(px)[0]))}
        parts.append(
            Finding("detail at a resolution", "shown", "", {"resolution": px}, numbers)
        )
    subject: dict[str, Any] = {"stored_at": native}
    class_numbers = {}
    worst = least_kept_class(facts, min(resolutions))
    if worst is not None:
        subject["worst_class"] = facts.manifest["classes"][worst]
        share = facts.energy_kept(min(resolutions))[1 + worst]
        class_numbers["worst_share"] = Estimate(float(share))
    return Finding("detail kept", "shown", evidence, subject, class_numbers, tuple(parts))


def least_kept_class(facts: Facts, resolution: int) -> int | None:
    """Return the class of which a resolution keeps least; None without a spectrum."""
    kept = facts.energy_kept(resolution)[1:]
    return None if np.isnan(kept).all() else int(np.nanargmin(kept))


def class_balance(counts: pd.DataFrame) -> Finding:
    """Find how unequal the classes are, from the images of every class (rows) in every split.

    The state is `empty classes`, `balanced` or `unbalanced`.
    """
    totals = counts.sum(axis=1)
    smallest, largest = int(totals.min()), int(totals.max())
    state = "unbalanced"
    if smallest == 0:
        state = "empty classes"
    elif smallest == largest:
        state = "balanced"
    return Finding(
        kind="class balance",
        state=state,
        evidence=MANIFEST,
        subject={"smallest": totals.idxmin(), "largest": totals.idxmax()},
        numbers={
            "smallest": _count(smallest),
            "largest": _count(largest),
            "empty": _count(int((totals == 0).sum()), len(totals)),
        },
    )


def image_sizes(facts: Facts, resolutions: Sequence[int]) -> Finding:
    """Find which share of the images is smaller than the side they are resized to.

    The state is `one size` when all have the same, else `some upscaled` or `none upscaled`.
    """
    if len(facts.sizes) == 1:
        width, height = facts.sizes[["width", "height"]].iloc[0]
        size = {"width": int(width), "height": int(height)}
        return Finding("image sizes", "one size", "data/pictures.csv", size)
    # Images are stored at the native resolution, so no larger side is ever needed.
    side = min(max(resolutions), facts.native_resolution)
    share = facts.share_below(side)
    state = "some upscaled" if share else "none upscaled"
    numbers = {"smaller": Estimate(share, n=int(facts.side_counts.sum()))}
    return Finding("image sizes", state, "data/pictures.csv", {"side": side}, numbers)


def squaring(facts: Facts) -> Finding:
    """Find what making the images square costs on average.

    With `squash`, the factor by which they are stretched; otherwise the share of the area that
    is cut off, or of the square that stays grey.
    """
    ratios, aspect = facts.ratio_counts, facts.manifest["aspect"]
    stretch = np.maximum(ratios.index, 1 / ratios.index)
    # Cropping and padding lose the same share: what lies beyond, or is missing to, a square.
    values = 1 - 1 / stretch
    if aspect == "squash":
        values = stretch
    numbers = {"mean": Estimate(float(np.average(values, weights=ratios)))}
    return Finding("squaring", "shown", "data/pictures.csv", {"aspect": aspect}, numbers)


def side_lengths(facts: Facts) -> Finding:
    """Find the shortest, the median and the longest deciding side of the files, in px."""
    sides = facts.side_counts
    median = float(np.median(np.repeat(sides.index, sides)))
    numbers = {"median": Estimate(median, sides.index[0], sides.index[-1], int(sides.sum()))}
    subject = {"side": facts.side_name, "stored_at": facts.native_resolution}
    return Finding("side lengths", "shown", "data/pictures.csv", subject, numbers)


def copies(facts: Facts) -> Finding:
    """Count the images that equal an earlier one, and those of another split or label."""
    numbers = {
        "images": _count(len(facts.copies)),
        "other_split": _count(len(facts.leaks)),
        "other_label": _count(len(facts.contradictions)),
    }
    return Finding("copies", shown_if(len(facts.copies)), DUPLICATES, numbers=numbers)


def dataset_splits(facts: Facts) -> Finding:
    """Count images and classes, and find which splits are given and which assigned."""
    counts = facts.counts.sum()
    subject: dict[str, Any] = {
        "dataset": facts.manifest["dataset"],
        "given": [],
        "assigned": [],
    }
    for split in SPLITS:
        origin = "assigned" if split in facts.manifest["drawn"] else "given"
        subject[origin].append(split)
    numbers = {str(split): _count(count) for split, count in counts.items()}
    numbers |= {"images": _count(counts.sum()), "classes": _count(len(facts.counts))}
    return Finding("dataset splits", "shown", MANIFEST, subject, numbers)


def image_notes(facts: Facts) -> Finding:
    """Count the images that were treated specially, by kind."""
    notes = facts.manifest["notes"]
    numbers = {note: _count(count) for note, count in notes.items() if count}
    return Finding("image notes", shown_if(numbers), MANIFEST, numbers=numbers)
