"""Rows of the tables made from the profiles.

profiles.csv, stages.csv, neighbours.csv (what each step of resolution costs), cost.csv (how
cost grows with pixels, and up to where it does not) and energy.csv.

Resolutions of one network are compared round by round: in a round all of them were timed within
seconds, so a drift of the machine from round to round cancels. Invalid measurements are left
out.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from resomap.analysis.profiles import VARIANT_COLUMNS, Row
from resomap.analysis.statistics import Interval, geometric_interval, student_interval
from resomap.workflow.layout import table_columns

# Confidence that no alarm about an inversion in a sweep is false.
INVERSION_CONFIDENCE = 0.99
# A lower resolution saves time when the higher one is shown to take more than this many times
# as long.
MIN_SAVING = 1.05
# Resolutions that an exponent needs: a line through two always fits.
MIN_RESOLUTIONS = 3
# Repetitions that a 99th percentile needs.
MIN_P99_REPETITIONS = 1000

PROFILE_COLUMNS = table_columns("profiles")
STAGE_COLUMNS = table_columns("stages")
ENERGY_COLUMNS = table_columns("energy")
STAGE_NAMES = ("decode", "resize", "copy", "forward")
# What the measurements of one series share: they differ only in resolution.
SERIES_COLUMNS = ("family", "model", *VARIANT_COLUMNS, "batch_size")


def profile_rows(records: Iterable[Row]) -> Iterator[Row]:
    """Yield a row of profiles.csv per record of `cells`; blank without a value."""
    for record in records:
        row = {name: record.get(name) for name in PROFILE_COLUMNS}
        # Of fewer repetitions it would be one of the few largest, a single disturbance.
        if (row["n"] or 0) < MIN_P99_REPETITIONS:
            row["latency_ms_p99"] = None
        yield row


def stage_rows(records: Iterable[Row]) -> Iterator[Row]:
    """Yield a row of stages.csv per record of `stages`, with the total time of an image."""
    for record in records:
        row = {name: record.get(name) for name in STAGE_COLUMNS}
        yield row | {"total_ms": sum(record[f"{stage}_ms"] or 0 for stage in STAGE_NAMES)}


def group_series(records: Iterable[Row]) -> list[list[Row]]:
    """Group valid measurements that differ only in resolution, smallest first; at least two."""
    series: dict[tuple, list[Row]] = {}
    for record in records:
        if record["status"] == "ok" and record["valid"] and record.get("ratio_rounds"):
            key = tuple(_series_key(record).values())
            series.setdefault(key, []).append(record)
    long = [rows for rows in series.values() if len(rows) > 1]
    return [sorted(rows, key=lambda row: row["resolution"]) for rows in long]


def _series_key(row: Row) -> Row:
    """Return the columns that the measurements of one series share."""
    return {name: row[name] for name in SERIES_COLUMNS}


def neighbour_rows(records: Iterable[Row], confidence: float) -> list[Row]:
    """Return a row of neighbours.csv per pair: how many times as long the higher one takes.

    `verdict` is `saves` (the lower one is shown to save time), `flat` (shown not to),
    `inverted` (the higher one is shown to be faster: `ratio_at_most`, the end of an interval
    that holds for all pairs of the sweep at once, is below 1) or `open`.
    """
    pairs = [pair for rows in group_series(records) for pair in pairwise(rows)]
    # Bonferroni over all pairs, since an inversion in any of them raises the alarm.
    joint = 1 - (1 - INVERSION_CONFIDENCE) / max(len(pairs), 1)
    return [_neighbour_row(low, high, confidence, joint) for low, high in pairs]


def _neighbour_row(smaller: Row, larger: Row, confidence: float, joint: float) -> Row:
    """Compare two neighbours; `joint` is the confidence that holds for all pairs."""
    logs = _log_ratios(smaller, larger)
    ratio = geometric_interval(logs, confidence)
    at_most = geometric_interval(logs, joint).high
    return {
        **_series_key(smaller),
        "resolution": smaller["resolution"],
        "larger": larger["resolution"],
        "n_rounds": len(logs),
        **ratio.columns("ratio"),
        "ratio_at_most": at_most,
        "verdict": _verdict(ratio, at_most),
    }


def _verdict(ratio: Interval, at_most: float) -> str:
    """Return what the ratio of two neighbouring resolutions shows."""
    if at_most < 1:
        return "inverted"
    if ratio.low > MIN_SAVING:
        return "saves"
    return "flat" if ratio.high <= MIN_SAVING else "open"


def _log_ratios(smaller: Row, larger: Row) -> np.ndarray:
    """Return the log ratios of the rounds that both have (n,)."""
    first, second = _rounds([smaller, larger])
    return np.log(second / first)


def _rounds(rows: Sequence[Row]) -> np.ndarray:
    """Return times relative to the reference workload (rows, rounds) for the common rounds."""
    # A resolution may have stopped measuring earlier, once its interval was narrow enough.
    count = min(len(row["ratio_rounds"]) for row in rows)
    return np.array([row["ratio_rounds"][:count] for row in rows])


def cost_rows(
    records: Sequence[Row], neighbours: Iterable[Row], confidence: float
) -> Iterator[Row]:
    """Yield a row of cost.csv per series: how time and memory grow with resolution.

    An exponent is the slope of log cost over log pixels. A `misfit` is the largest factor, less
    1, by which a resolution departs from that power law. Up to `crossover_px` no
    resolution is shown to take more than MIN_SAVING times as long as the smallest.
    """
    inverted = [_series_key(row) for row in neighbours if row["verdict"] == "inverted"]
    for rows in group_series(records):
        key = _series_key(rows[0])
        row = {
            **key,
            "smallest": rows[0]["resolution"],
            "largest": rows[-1]["resolution"],
            "n_resolutions": len(rows),
            "inversions": inverted.count(key),
            **_crossover(rows, confidence),
        }
        if len(rows) >= MIN_RESOLUTIONS:
            row |= {**_latency_growth(rows, confidence), **_memory_growth(rows)}
        yield row


def _latency_growth(rows: Sequence[Row], confidence: float) -> Row:
    """Fit the power law of the latency, one slope per round."""
    # One fit per round gives slopes whose spread between rounds is the error of measuring.
    slopes, residuals = _fit_power_law(rows, np.log(_rounds(rows)))
    exponent = student_interval(slopes, confidence)
    misfit = _misfit(residuals.mean(axis=1))
    return {**exponent.columns("latency_exponent"), "latency_misfit": misfit}


def _memory_growth(rows: Sequence[Row]) -> Row:
    """Fit the power law of the peak memory."""
    logs = np.log([row["peak_memory_mib"] for row in rows])
    slope, residuals = _fit_power_law(rows, logs)
    # Memory has no noise: its "interval" is the range of the slopes between neighbours.
    steps = np.diff(logs) / np.diff(_log_pixels(rows))
    exponent = Interval(float(slope), float(steps.min()), float(steps.max()), "range of steps")
    return {**exponent.columns("memory_exponent"), "memory_misfit": _misfit(residuals)}


def _log_pixels(rows: Sequence[Row]) -> np.ndarray:
    """Return the logarithm of the number of pixels (rows,)."""
    return 2 * np.log([row["resolution"] for row in rows])


def _fit_power_law(rows: Sequence[Row], logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit logs (rows, ...) over log pixels by least squares; returns slopes and residuals."""
    slopes, intercepts = np.polyfit(_log_pixels(rows), logs, 1)
    return slopes, logs - np.multiply.outer(_log_pixels(rows), slopes) - intercepts


def _misfit(residuals: np.ndarray) -> float:
    """Return the largest factor, less 1, between a measurement and the power law."""
    return float(np.expm1(np.abs(residuals).max()))


def _crossover(rows: Sequence[Row], confidence: float) -> Row:
    """Return the largest resolution up to which none is shown to take longer; or nothing."""
    crossover: Row = {}
    for larger in rows[1:]:
        ratio = geometric_interval(_log_ratios(rows[0], larger), confidence)
        if ratio.low > MIN_SAVING:
            break
        crossover = {"crossover_px": larger["resolution"], **ratio.columns("crossover_ratio")}
    return crossover


def energy_rows(records: Iterable[Row], cells: Iterable[Row]) -> Iterator[Row]:
    """Yield a row of energy.csv per measurement with a known power.

    The energy of a correct image is the energy of an image over the test accuracy, and has its
    interval; images per second per watt have that of the latency.
    """
    accuracies = {}
    for row in cells:
        if row.get("accuracy"):
            accuracies[row["family"], row["model"], row["resolution"]] = row
    for record in records:
        if record.get("power_w"):
            cell = accuracies.get((record["family"], record["model"], record["resolution"]))
            row = {name: record.get(name) for name in ENERGY_COLUMNS}
            # A training step predicts nothing, so it has no correct images.
            if cell is not None and record["variant"] != "training_step":
                row |= _energy_per_correct_image(record["energy_j_per_image"], cell)
            yield row | _images_per_watt(record)


def _energy_per_correct_image(joules: float, cell: Row) -> Row:
    """Return the energy of a correct image, J: low where the accuracy is high."""
    columns = {}
    for end, accuracy in (("", ""), ("_low", "_high"), ("_high", "_low")):
        value = cell[f"accuracy{accuracy}"]
        columns[f"energy_j_per_correct_image{end}"] = joules / value if value else None
    return columns


def _images_per_watt(record: Row) -> Row:
    """Return images per second per watt; the low end belongs to the high end of the latency."""
    images = 1e3 * record["batch_size"] / record["power_w"]
    mean, low, high = (images / record[f"latency_ms_{end}"] for end in ("p50", "high", "low"))
    return Interval(mean, low, high, "interval of the latency").columns(
        "images_per_second_per_watt"
    )
