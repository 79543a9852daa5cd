"""The answer of `resomap compare`: what differs between two sweeps, and by how much."""

from collections.abc import Iterator
from typing import Any

from resomap.report.text.format import cell_name
from resomap.text import (
    align_columns,
    format_confidence,
    format_count,
    format_number,
    format_points,
)

ComparisonRecord = dict[str, Any]
MAX_KEYS = 12
OF_RECIPE = {"steps", "images_seen"}
"""Facts of runs that follow from keys, which are counted themselves."""


def comparison_lines(record: ComparisonRecord) -> Iterator[str]:
    """Yield the comparison of the second sweep with the first."""
    first, second = record["directories"]
    yield f"{second} compared with {first}, on {format_count(record['n_test'], 'test image')}"
    yield from _settings(record)
    if not record["cells"]:
        yield "no cell has finished in both with a seed in common"
        return
    yield ""
    heads = [
        "cell",
        "seeds",
        "first",
        "second",
        "points",
        format_confidence(record["confidence"]),
        "",
    ]
    rows = [_row(cell) for cell in record["cells"]]
    yield from (line.rstrip() for line in align_columns([heads, *rows]))
    yield ""
    yield from _summary(record)


def _settings(record: ComparisonRecord) -> Iterator[str]:
    """Yield the keys and the environments that differ."""
    keys = record["configuration"]
    for entry in keys[:MAX_KEYS]:
        first, second = (_value(value) for value in entry["values"])
        yield f"  {entry['key']}: {first} -> {second}"
    if len(keys) > MAX_KEYS:
        yield f"  ... and {format_count(len(keys) - MAX_KEYS, 'more key')}"
    for entry in record["environment"]:
        first, second = (", ".join(map(str, values)) for values in entry["values"])
        yield f"  {entry['key']} (as run): {first} -> {second}"
    same_images = record["same_training_images"]
    if not same_images:
        yield "  the images of training or validation differ"
    if not keys:
        yield "  the configurations do not differ"
    as_run = [entry for entry in record["environment"] if entry["key"] not in OF_RECIPE]
    causes = len(keys) + len(as_run) + (not same_images)
    if causes > 1:
        yield f"  {causes} settings differ, so that a difference has no single cause"


def _value(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:39]}\N{HORIZONTAL ELLIPSIS}"


def _row(cell: ComparisonRecord) -> list[str]:
    difference = cell["difference"]
    first, second = cell["accuracies"]
    verdict = "open"
    if cell["shown"]:
        verdict = "higher" if difference["mean"] > 0 else "lower"
    ends = [format_number(100 * difference[end], 1) for end in ("low", "high")]
    return [
        cell_name(cell),
        str(cell["n_seeds"]),
        f"{first:.3f}",
        f"{second:.3f}",
        format_number(100 * difference["mean"], 1),
        " to ".join(ends),
        verdict,
    ]


def _summary(record: ComparisonRecord) -> Iterator[str]:
    """Yield the mean difference, how many cells are shown to differ, and what is not compared."""
    cells, overall = record["cells"], record["overall"]
    if overall and len(cells) > 1:
        ends = [format_number(100 * overall[end], 1) for end in ("low", "high")]
        interval = f"{format_confidence(record['confidence'])} {ends[0]} to {ends[1]}"
        yield f"mean of {format_count(len(cells), 'cell')}: {format_points(overall['mean'])} ({interval})"
    shown = sum(cell["shown"] for cell in cells)
    yield f"{shown} of {format_count(len(cells), 'cell')} shown to differ, all cells together"
    if min(cell["n_seeds"] for cell in cells) == 1:
        yield "with one seed, intervals hold for these networks only"
    unmatched = record["unmatched"]
    if unmatched:
        yield f"in one sweep only: {', '.join(map(cell_name, unmatched))}"
