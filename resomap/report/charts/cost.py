"""The chart of cost by resolution, for every runtime and variant that was measured."""

from collections.abc import Iterator
from typing import Any

import altair as alt
import pandas as pd

from resomap.analysis.profiles import VARIANT_COLUMNS, single_image_rows
from resomap.analysis.tables import Tables
from resomap.config.variants import TRAINING_STEP
from resomap.report.charts.chart import (
    ChartColumn,
    ChartSelector,
    InteractiveChart,
    ModelSeries,
    Row,
    in_focus,
    interval_column,
    layer,
    marks_of,
    model_colours,
    model_series,
    model_shapes,
    plain_rows,
    resolution_axis,
)
from resomap.report.figures.style import dodge, unique
from resomap.report.text.format import way_name
from resomap.report.text.page.charts import cost_note

LATENCY, RATE, MEMORY = "latency", "rate", "memory"
MEASURES = {
    LATENCY: "latency of one image (ms)",
    RATE: "images per second, fastest batch",
    MEMORY: "peak memory of one image (MiB)",
}
VALUES = {
    LATENCY: "latency_ms_p50",
    RATE: "inference_images_per_second",
    MEMORY: "peak_memory_mib",
}
TABLE_COLUMNS = (
    *("family", "model", "resolution", *VARIANT_COLUMNS, "batch_size", "valid", "n", "rounds"),
    *(*VALUES.values(), "latency_ms_low", "latency_ms_high", "latency_ms_p90"),
)
COLUMNS = (
    ChartColumn("model", "model"),
    ChartColumn("resolution", "resolution", "px"),
    ChartColumn("way", "run as"),
    ChartColumn("measure", "measure"),
    interval_column("value", "median", "digits"),
    ChartColumn("p90", "90th percentile", "digits"),
    ChartColumn("batch_size", "batch size", "count"),
    ChartColumn("n", "batches timed", "count"),
    ChartColumn("rounds", "rounds of measuring", "count"),
    ChartColumn("disturbed", "disturbed measurement", "yes"),
)


def cost_chart(tables: Tables) -> InteractiveChart | None:
    """Return the chart of cost by resolution; None without a measured latency."""
    profiles = tables.profiles
    if single_image_rows(profiles).empty:
        return None
    measured = profiles[
        profiles["latency_ms_p50"].notna() & (profiles["variant"] != TRAINING_STEP)
    ]
    shown = unique(measured["model"])
    rows = [
        row | {"x": row["resolution"] * dodge(shown.index(row["model"]), len(shown))}
        for row in _rows(measured)
    ]
    series = model_series(unique(tables.cells["model"]), shown)
    marks = _marks(series, sorted(set(measured["resolution"])))
    return InteractiveChart(cost_note(), marks, rows, COLUMNS, _selectors(rows), series)


def _rows(measured: pd.DataFrame) -> Iterator[Row]:
    """Yield a row per measure, cell and way to run it."""
    singles = plain_rows(measured[measured["batch_size"] == 1], TABLE_COLUMNS)
    keys = ["family", "model", "resolution", *VARIANT_COLUMNS]
    fastest = measured.sort_values(VALUES[RATE], ascending=False, kind="stable")
    batches = plain_rows(fastest.drop_duplicates(keys).sort_index(), TABLE_COLUMNS)
    for measure, rows in ((LATENCY, singles), (RATE, batches), (MEMORY, singles)):
        for row in rows:
            if row[VALUES[measure]] is not None:
                yield _row(measure, row)


def _row(measure: str, row: Row) -> Row:
    copied = ("family", "model", "resolution", "batch_size", "n", "rounds")
    made = {name: row[name] for name in copied}
    low, high, p90 = (row[f"latency_ms_{name}"] for name in ("low", "high", "p90"))
    if measure == RATE and low is not None:
        # The interval of a latency in ms, turned into images per second.
        low, high = (1e3 * row["batch_size"] / latency for latency in (high, low))
    is_memory = measure == MEMORY
    return made | {
        "measure": MEASURES[measure],
        "way": way_name(row),
        "value": row[VALUES[measure]],
        "value_low": None if is_memory else low,
        "value_high": None if is_memory else high,
        "p90": p90 if measure == LATENCY else None,
        "disturbed": row["valid"] is False,
    }


def _selectors(rows: list[Row]) -> list[ChartSelector]:
    measures, ways = unique(row["measure"] for row in rows), unique(row["way"] for row in rows)
    return [
        ChartSelector("measure", "measure", {name: name for name in measures}, measures[0]),
        ChartSelector("way", "run as", {name: name for name in ways}, ways[0]),
    ]


def _marks(series: list[ModelSeries], resolutions: list[int]) -> Any:
    x, scale = resolution_axis("x", resolutions), alt.Scale(type="log", nice=False, padding=14)
    # The measure stands in the selector above the axis.
    axis = alt.Axis(format="~g", tickCount=6)
    y, low = (
        alt.Y(f"{field}:Q", title=None, scale=scale, axis=axis)
        for field in ("value", "value_low")
    )
    colours = model_colours(series)
    stroke = alt.Stroke("model:N", scale=colours, legend=None)
    look = {"stroke": stroke, "opacity": in_focus()}
    lines = marks_of().mark_line(strokeWidth=2).encode(x, y, **look)
    bars = marks_of().mark_rule(strokeWidth=4).encode(x, low, y2="value_high", **look)
    fill = alt.condition(
        "datum.disturbed",
        alt.value("var(--paper)"),
        alt.Fill("model:N", scale=colours, legend=None),
    )
    points = marks_of("points").mark_point(size=80, strokeWidth=1.6, opacity=1)
    shape = alt.Shape("model:N", scale=model_shapes(series), legend=None)
    return layer(lines, bars, points.encode(x, y, fill=fill, shape=shape, **look))
