"""How numbers, counts and durations are written for people, in the report and on the command line."""

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

MINUS, EN_DASH = "\N{MINUS SIGN}", "\N{EN DASH}"


def format_count(number: int, noun: str) -> str:
    """Return the number with its noun: `1 job`, `1,120 jobs`, `3 classes`."""
    plural = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{'' if number == 1 else plural}"


def agree(count: float, singular: str, plural: str) -> str:
    """Return the form of a word that agrees with a count: `agree(1, "is", "are")`."""
    return singular if count == 1 else plural


def format_duration(seconds: float) -> str:
    """Return a time in the unit that reads best: `75 s`, `12 min`, `3.4 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def format_bytes(size: float) -> str:
    """Return a size in the unit that reads best: `312 KiB`, `4.2 MiB`, `1.07 GiB`."""
    if size < 2**20:
        return f"{size / 2**10:.0f} KiB"
    if size < 2**30:
        return f"{size / 2**20:.1f} MiB"
    return f"{size / 2**30:,.2f} GiB"


def format_milliseconds(latency: float) -> str:
    """Return a latency with three significant digits: `2.31 ms`, `1204 ms`."""
    return f"{latency:.3g} ms" if latency < 100 else f"{latency:.0f} ms"


def format_ratio(ratio: float) -> str:
    """Return how many times larger something is: `5.2 times`, `1,204 times`."""
    return f"{ratio:.1f} times" if ratio < 10 else f"{ratio:,.0f} times"


def format_percent(share: float) -> str:
    """Return a share in [0, 1] as `12 %` or `99.7 %`, with as many digits as separate it from 0 % and 100 %."""
    # An error may be larger than what it is the error of.
    if share > 1:
        return f"{100 * share:.0f} %"
    for digits in range(3):
        number = f"{100 * share:.{digits}f}"
        if share in (0, 1) or 0 < float(number) < 100:
            return f"{number} %"
    return "less than 0.01 %" if share < 0.5 else "more than 99.99 %"


def format_points(difference: float) -> str:
    """Return a difference of two accuracies in points of a hundred: `1 point`, `2.5 points`."""
    number = f"{100 * difference:.1f}".removesuffix(".0").replace("-", MINUS)
    return f"{number} point{'' if number.removeprefix(MINUS) == '1' else 's'}"


def format_number(value: float, digits: int = 2) -> str:
    """Return `value` with a true minus sign, and never a negative zero."""
    return f"{round(value, digits) + 0:.{digits}f}".replace("-", MINUS)


def format_interval(low: float, high: float, digits: int = 2) -> str:
    """Return the ends of an interval: `0.31-0.43` with an en dash, or `-0.10 to 0.43` when one is negative."""
    joint = " to " if low < 0 else EN_DASH
    return f"{format_number(low, digits)}{joint}{format_number(high, digits)}"


def format_confidence(confidence: float) -> str:
    """Return the name of an interval: `95 % interval`."""
    return f"{100 * confidence:g} % interval"


def align_columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield each row as a line: the first column aligned to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        yield "  ".join([first.ljust(widths[0]), *map(str.rjust, others, widths[1:])])


def wrap_lines(lines: Iterable[str], width: int, indent: int) -> Iterator[str]:
    """Yield lines of at most `width` columns; continued ones start `indent` columns later."""
    for line in lines:
        yield from wrap(line, width, subsequent_indent=" " * indent, break_on_hyphens=False)
