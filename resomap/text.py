"""Counts, times and columns as people read them."""

from collections.abc import Iterator, Sequence


def counted(number: int, word: str) -> str:
    """`1 job`, `1,120 jobs`."""
    return f"{number:,} {word}{'s' * (number != 1)}"


def duration(seconds: float) -> str:
    """`75 s`, `12 min`, `3.4 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The rows as lines: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        yield "  ".join([first.ljust(widths[0]), *map(str.rjust, others, widths[1:])])
