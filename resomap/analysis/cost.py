"""What the cost sheet shows: what each step of resolution costs, how cost grows with pixels, and up to where it does not.

Resolutions of one network are compared round by round: in a round all of them were timed within seconds, so what drifts from round to
round drifts for all. Measurements that are marked invalid take no part.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import stats

from resomap.analysis.measurements import WAY, Row
from resomap.workflow.layout import table_columns

ALARM = 0.99
"""Confidence with which not one alarm of a sweep is false."""
SAVES = 1.05
"""A smaller picture saves time where a larger one is shown to take more than this many times as long."""
FEWEST = 3
"""Resolutions from which an exponent is told: a line through two always fits."""

SERIES = ("family", "model", *WAY, "batch_size")
COST = table_columns("cost")
NEIGHBOURS = table_columns("neighbours")


class Estimate(NamedTuple):
    """A mean and the ends of its interval."""

    mean: float
    low: float
    high: float

    def named(self, name: str) -> Row:
        """As columns `name`, `name`_low and `name`_high."""
        return {name: self.mean, f"{name}_low": self.low, f"{name}_high": self.high}


def series(records: Iterable[Row]) -> list[list[Row]]:
    """The valid measurements that differ only in resolution, smallest first, where there are at least two and their rounds are known."""
    found: dict[tuple, list[Row]] = {}
    for record in records:
        if record["status"] == "ok" and record["valid"] and record.get("ratio_rounds"):
            found.setdefault(tuple(record[name] for name in SERIES), []).append(record)
    return [
        sorted(rows, key=lambda row: row["resolution"])
        for rows in found.values()
        if len(rows) > 1
    ]


def neighbour_rows(records: Iterable[Row], confidence: float) -> list[Row]:
    """Rows of NEIGHBOURS: how many times as long the larger of two neighbouring resolutions takes.

    `verdict` is `saves` (the smaller one is shown to save time), `flat` (shown not to), `inverted` (the larger one is shown to be faster:
    `ratio_at_most`, the end of an interval that holds for all pairs of the sweep at once, is below 1) or `open`.
    """
    pairs = [
        (smaller, larger) for rows in series(records) for smaller, larger in pairwise(rows)
    ]
    at_once = 1 - (1 - ALARM) / max(len(pairs), 1)
    return [_neighbours(smaller, larger, confidence, at_once) for smaller, larger in pairs]


def _neighbours(smaller: Row, larger: Row, confidence: float, at_once: float) -> Row:
    logs = _log_ratios(smaller, larger)
    ratio, at_most = _ratio(logs, confidence), _ratio(logs, at_once).high
    identity = {name: smaller[name] for name in SERIES} | {
        "resolution": smaller["resolution"],
        "larger": larger["resolution"],
    }
    return identity | {
        "n_rounds": len(logs),
        **ratio.named("ratio"),
        "ratio_at_most": at_most,
        "verdict": _verdict(ratio, at_most),
    }


def _verdict(ratio: Estimate, at_most: float) -> str:
    if at_most < 1:
        return "inverted"
    return "saves" if ratio.low > SAVES else "flat" if ratio.high <= SAVES else "open"


def _log_ratios(smaller: Row, larger: Row) -> np.ndarray:
    """Of every round that both have (n,)."""
    first, second = _rounds([smaller, larger])
    return np.log(second / first)


def _rounds(rows: Sequence[Row]) -> np.ndarray:
    """Times in units of the reference's (rows, rounds), as many rounds as all rows have."""
    count = min(len(row["ratio_rounds"]) for row in rows)
    return np.array([row["ratio_rounds"][:count] for row in rows])


def _ratio(logs: np.ndarray, confidence: float) -> Estimate:
    return Estimate(*np.exp(_mean(logs, confidence)).tolist())


def _mean(values: np.ndarray, confidence: float) -> Estimate:
    """Student's interval of the mean of values (n,)."""
    half = stats.t.isf((1 - confidence) / 2, len(values) - 1) * stats.sem(values)
    return Estimate(
        float(values.mean()), float(values.mean() - half), float(values.mean() + half)
    )


def cost_rows(
    records: Sequence[Row], neighbours: Iterable[Row], confidence: float
) -> Iterator[Row]:
    """Rows of COST: a network's growth of time and memory over the resolutions at which it was measured in one way.

    An exponent is the slope of log cost over log pixels; a `misfit` is the largest factor, less 1, by which a resolution departs from that
    power law. The latency's interval is between rounds, so it tells how well the slope was measured; the memory's, which has no noise, are
    the least and the greatest slope from one resolution to the next. Up to `crossover_px` no resolution is shown to take more than SAVES
    times as long as the smallest.
    """
    inverted = [
        [row[name] for name in SERIES] for row in neighbours if row["verdict"] == "inverted"
    ]
    for rows in series(records):
        identity = {name: rows[0][name] for name in SERIES}
        span = {
            "smallest": rows[0]["resolution"],
            "largest": rows[-1]["resolution"],
            "n_resolutions": len(rows),
        }
        growth = (
            {**_latency_growth(rows, confidence), **_memory_growth(rows)}
            if len(rows) >= FEWEST
            else {}
        )
        yield (
            identity
            | span
            | growth
            | _crossover(rows, confidence)
            | {"inversions": inverted.count(list(identity.values()))}
        )


def _latency_growth(rows: Sequence[Row], confidence: float) -> Row:
    logs = np.log(_rounds(rows))
    slopes, residuals = _fit(rows, logs)
    return {
        **_mean(slopes, confidence).named("latency_exponent"),
        "latency_misfit": _misfit(residuals.mean(axis=1)),
    }


def _memory_growth(rows: Sequence[Row]) -> Row:
    logs = np.log([row["peak_memory_mib"] for row in rows])
    slope, residuals = _fit(rows, logs)
    steps = np.diff(logs) / np.diff(_log_pixels(rows))
    exponent = Estimate(float(slope), float(steps.min()), float(steps.max()))
    return {**exponent.named("memory_exponent"), "memory_misfit": _misfit(residuals)}


def _log_pixels(rows: Sequence[Row]) -> np.ndarray:
    return 2 * np.log([row["resolution"] for row in rows])


def _fit(rows: Sequence[Row], logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes of the lines through logs (rows, ...) over log pixels by least squares, and what is left of the logs."""
    slopes, starts = np.polyfit(_log_pixels(rows), logs, 1)
    return slopes, logs - np.multiply.outer(_log_pixels(rows), slopes) - starts


def _misfit(residuals: np.ndarray) -> float:
    return float(np.expm1(np.abs(residuals).max()))


def _crossover(rows: Sequence[Row], confidence: float) -> Row:
    """The largest resolution up to which none is shown to take longer than the smallest; blank where the next one does already."""
    found: Row = {}
    for larger in rows[1:]:
        ratio = _ratio(_log_ratios(rows[0], larger), confidence)
        if ratio.low > SAVES:
            break
        found = {"crossover_px": larger["resolution"], **ratio.named("crossover_ratio")}
    return found
