"""The type of a finding: one claim of the sweep as a value, before it is put into words."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Estimate(NamedTuple):
    """A number, the ends of its interval and the number of observations, or None."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class Finding:
    """One claim: what it is about, its numbers, whether it is shown, and which table holds it.

    `subject` names what the claim is about (model, resolution, group, method ...). `state` is
    what the numbers show, such as `shown`, `not shown`, `open`, `unknown`, or of an alarm
    `fires` and `silent`. `evidence` is the file of results/ with the numbers. `parts` are
    findings that this one rests on. Headlines, titles and sentences in `report/text/` render
    from it.
    """

    kind: str
    state: str
    evidence: str
    subject: Mapping[str, Any] = field(default_factory=dict)
    numbers: Mapping[str, Estimate] = field(default_factory=dict)
    parts: tuple["Finding", ...] = ()


def read_estimate(row: Any, name: str, n_column: str = "n") -> Estimate:
    """Read `name`, `name`_low, `name`_high and `n_column` of a table row."""
    low, high = (_known(row.get(f"{name}_{end}")) for end in ("low", "high"))
    n = _known(row.get(n_column))
    return Estimate(float(row[name]), low, high, None if n is None else int(n))


def select(row: Any, *names: str) -> dict[str, Any]:
    """Return the named columns of a table row."""
    return {name: row[name] for name in names}


def _known(value: Any) -> float | None:
    """Return a number of a table as a float; None for a blank."""
    return None if value is None or math.isnan(value) else float(value)


def shown_if(is_shown: Any) -> str:
    """Return the state of a claim that either is shown or is not."""
    return "shown" if is_shown else "not shown"
