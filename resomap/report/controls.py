"""The controls of the page: a slider per limit that was measured, and filters by name."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from resomap.report.text.page.controls import FILTERS, SLIDERS, option_name

STEPS = 200
"""Positions of a slider; the loosest one sets no limit."""
DIGITS = 3
"""Significant digits of a limit that a slider sets."""
Answer = dict[str, Any]


class Slider(NamedTuple):
    """A limit: its key in `report`, its words, and the range in which it changes the answer.

    `scale` is how many of its key's unit are one of the shown unit. `value` is the limit of the
    sweep in the shown unit, None without one. A `floor` is a smallest value, else a largest one.
    """

    key: str
    label: str
    unit: str
    low: float
    high: float
    scale: float
    value: float | None
    is_floor: bool


class Filter(NamedTuple):
    """A selection by name: its key, its label, and pairs of a value and its name."""

    key: str
    label: str
    options: list[tuple[str, str]]


def sliders(answer: Answer, rules: dict[str, Any]) -> list[Slider]:
    """Return a slider for every limit that separates candidates, or that the sweep has."""
    made = []
    for key, words in SLIDERS.items():
        values = list(_bounds(answer, words.column))
        limit = rules[key]
        if not values or (len(set(values)) == 1 and limit is None):
            continue
        low, high = (
            round_limit(value / words.scale, down=value == min(values))
            for value in (min(values), max(values))
        )
        if limit is not None:
            low, high = min(low, limit / words.scale), max(high, limit / words.scale)
        value = None if limit is None else limit / words.scale
        made.append(
            Slider(key, words.label, words.unit, low, high, words.scale, value, words.is_floor)
        )
    return made


def _bounds(answer: Answer, column: str) -> Iterator[float]:
    """Yield the ends of the intervals that have to keep a limit."""
    for one in (*answer["networks"], *answer["candidates"]):
        measured = one.get(column)
        if measured and measured[1] is not None:
            yield measured[1]


def round_limit(value: float, *, down: bool) -> float:
    """Return a value beyond `value` with DIGITS significant digits, at least 1 % away."""
    if value <= 0:
        return 0.0
    value *= 0.99 if down else 1.01
    step = 10.0 ** (math.floor(math.log10(value)) - DIGITS + 1)
    whole = math.floor(value / step) if down else math.ceil(value / step)
    # The step is a power of ten, so that dividing by its inverse keeps the digits short.
    return float(f"{whole * step:.{DIGITS}g}")


def filters(answer: Answer) -> list[Filter]:
    """Return a filter for every kind of name of which the candidates have several."""
    names = {
        "models": [one["model"] for one in answer["networks"]],
        "modes": [one["mode"] for one in answer["networks"]],
        "variants": [one["selected_by"] for one in answer["candidates"]],
    }
    return [
        Filter(key, label, [(name, option_name(key, name)) for name in _unique(names[key])])
        for key, label in FILTERS.items()
        if len(set(names[key])) > 1
    ]


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
