"""What is to be known of the pictures before a network sees them, in sentences: pure functions from facts."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from resomap.report.facts import SPLITS, Facts
from resomap.report.figures.style import shorten_name
from resomap.report.text.data_titles import (
    STORED,
    balance_title,
    counted,
    information_title,
    least_kept,
    percent,
    shape_title,
    sizes_title,
)
from resomap.report.text.titles import listing

LONGEST_NAME = 60
MOST_NAMED = 6
TREATED = {
    "animated": "the first frame counts",
    "16 bit": "brought to 8",
    "alpha": "what shows through is white",
    "rotated by EXIF": "turned upright",
}
"""What is done with pictures that are noted for something."""


def alarm_sentences(facts: Facts) -> Iterator[str]:
    """What makes numbers wrong whatever a network learns: pictures in two splits, and equal pictures with different labels."""
    if len(facts.leaks):
        yield (
            f"Leak: {counted(len(facts.leaks), 'picture')} with the same pixels in two splits ({_split_pairs(facts.leaks)}), "
            f"such as {_example(facts.leaks, 'split')}: what was learnt by heart counts as known."
        )
    if len(facts.contradictions):
        yield (
            f"Contradiction: {counted(len(facts.contradictions), 'picture')} with the same pixels as one of another label, "
            f"such as {_example(facts.contradictions, 'label')}: no network is right on both."
        )


def _split_pairs(leaks: pd.DataFrame) -> str:
    pairs = [
        tuple(sorted(pair, key=SPLITS.index))
        for pair in zip(leaks["split"], leaks["copy_split"], strict=True)
    ]
    return "; ".join(
        f"{count:,} in {first} and {second}"
        for (first, second), count in Counter(pairs).most_common()
    )


def _example(copies: pd.DataFrame, kind: str) -> str:
    """`a.jpg (train) and b.jpg (test)`: the first."""
    first = {
        column: shorten_name(str(value), LONGEST_NAME)
        for column, value in copies.iloc[0].items()
    }
    return f"{first['copy_of']} ({first[f'copy_{kind}']}) and {first['source']} ({first[kind]})"


def limit_sentences(facts: Facts) -> Iterator[str]:
    """What the pictures themselves put in doubt, the gravest first."""
    learnt, tested = (
        facts.count_test_copies_of_train(),
        facts.manifest["splits"]["test"]["count"],
    )
    leaks, contradictions = (
        counted(len(copies), "picture") for copies in (facts.leaks, facts.contradictions)
    )
    if learnt:
        share = f"{learnt:,} of {tested:,} ({percent(learnt / tested)})"
        yield f"Test accuracies may be too high by as much as the share of test pictures that stand in train, too: {share}."
    elif len(facts.leaks):
        yield f"Accuracies count what was learnt by heart: {leaks} with the same pixels in two splits."
    if len(facts.contradictions):
        yield f"Some labels are wrong, or a picture does not tell its class: {contradictions} with the same pixels as one of another label."
    yield from _left_out(facts)
    for split, counts in facts.counts.items():
        yield from _unseen(str(split), counts)


def _left_out(facts: Facts) -> Iterator[str]:
    bad, used = facts.manifest["bad"], int(facts.counts.to_numpy().sum())
    if bad:
        yield f"Left out as unusable: {bad:,} of {counted(bad + used, 'file')}; each is listed with its reason."


def _unseen(split: str, counts: pd.Series) -> Iterator[str]:
    empty = [shorten_name(name, LONGEST_NAME) for name in counts.index[counts == 0]]
    if empty:
        more = [f"{len(empty) - MOST_NAMED:,} more"] if len(empty) > MOST_NAMED else []
        yield f"Without a {split} picture: {counted(len(empty), 'class')} ({listing([*empty[:MOST_NAMED], *more])})."


def information_sentences(facts: Facts, resolutions: Sequence[int]) -> Iterator[str]:
    """What resolutions keep of the pictures' detail, and how many pictures have less than is asked for."""
    smallest = min(resolutions)
    told = information_title(facts, resolutions).replace(
        "the detail", "the pictures' detail (spectral energy)"
    )
    worst = least_kept(facts, smallest)
    if worst is not None and smallest < facts.native_resolution:
        name, share = facts.manifest["classes"][worst], facts.energy_kept(smallest)[1 + worst]
        told += f"; least in class {shorten_name(name, LONGEST_NAME)} ({percent(share)} at {smallest} px)"
    yield f"{told}."
    if facts.has_files and len(facts.sizes) > 1:
        yield f"{sizes_title(facts, resolutions)}."


def fact_sentences(facts: Facts) -> dict[str, list[str]]:
    """What the data set is, by subject."""
    told = {
        "Pictures": _splits(facts),
        "Classes": _classes(facts.counts.sum(axis=1)),
        "Sizes": _sizes(facts) if facts.has_files else (),
        "Copies": _copies(facts),
        "Noted": _notes(facts.manifest["notes"]),
    }
    return {subject: said for subject, claims in told.items() if (said := list(claims))}


def _splits(facts: Facts) -> Iterator[str]:
    counts, drawn = (
        facts.counts.sum(),
        [split for split in SPLITS if split in facts.manifest["drawn"]],
    )
    told = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    yield f"{counted(int(counts.sum()), 'picture')} of {counted(len(facts.counts), 'class')} ({facts.manifest['dataset']}): {told}."
    if facts.has_files:
        origins = {
            "given": [split for split in SPLITS if split not in drawn],
            "dealt by ResoMap": drawn,
        }
        yield f"Splits {'; '.join(f'{origin}: {listing(splits)}' for origin, splits in origins.items() if splits)}."


def _classes(totals: pd.Series) -> Iterator[str]:
    largest, smallest = totals.idxmax(), totals.idxmin()
    ends = f": {shorten_name(largest, LONGEST_NAME)} ({totals[largest]:,}) and {shorten_name(smallest, LONGEST_NAME)} ({totals[smallest]:,})"
    yield f"{balance_title(totals.to_frame())}{'' if totals[largest] == totals[smallest] else ends}."


def _sizes(facts: Facts) -> Iterator[str]:
    sides = facts.side_counts
    if len(facts.sizes) > 1:
        middle = np.median(np.repeat(sides.index, sides))
        yield (
            f"The {facts.side_name} side of the files has {sides.index[0]:,} to {sides.index[-1]:,} px, {middle:,.0f} in the median. "
            f"They are {STORED[facts.manifest['aspect']]} and stored at {facts.native_resolution} px. {shape_title(facts)}."
        )
    else:
        yield f"{sizes_title(facts, [facts.native_resolution])}; stored at {facts.native_resolution} px."


def _copies(facts: Facts) -> Iterator[str]:
    if len(facts.copies):
        kinds = f"{len(facts.leaks):,} of another split, {len(facts.contradictions):,} with another label"
        yield f"Equal to an earlier one, pixel by pixel: {counted(len(facts.copies), 'picture')}, {kinds}."
    else:
        yield "No two pictures are equal pixel by pixel."


def _notes(notes: dict[str, int]) -> Iterator[str]:
    told = [
        f"{note}: {count:,}{f' ({TREATED[note]})' if note in TREATED else ''}"
        for note, count in notes.items()
        if count
    ]
    if told:
        yield f"{'; '.join(told)}."
