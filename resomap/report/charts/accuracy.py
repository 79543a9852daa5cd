"""The chart of test accuracy by resolution: means with intervals, and single runs."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from resomap.analysis.findings.baseline import majority_baseline
from resomap.analysis.tables import Tables
from resomap.report.charts.chart import (
    FOCUS,
    ChartColumn,
    InteractiveChart,
    ModelSeries,
    Row,
    accuracy_scale,
    follow_page,
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
from resomap.report.figures.style import MUTED, dodge, unique
from resomap.report.text.page.charts import accuracy_note

# Of more models than this, single runs are drawn when one is singled out in the legend.
MAX_WITH_RUNS = 4
TABLE_COLUMNS = (
    *("family", "model", "resolution", "n_seeds", "n_test"),
    *("accuracy", "accuracy_low", "accuracy_high"),
)
COLUMNS = (
    ChartColumn("model", "model"),
    ChartColumn("resolution", "resolution", "px"),
    interval_column("accuracy", "test accuracy", "accuracy"),
    ChartColumn("runs", "single runs", "accuracy"),
    ChartColumn("n_seeds", "seeds", "count"),
    ChartColumn("n_test", "test images", "count"),
)


def accuracy_chart(tables: Tables, confidence: float) -> InteractiveChart | None:
    """Return the chart of accuracy by resolution; None before a run has finished."""
    cells = tables.cells[tables.cells["n_seeds"] > 0]
    if cells.empty:
        return None
    shown, models = unique(cells["model"]), unique(tables.cells["model"])
    rows = plain_rows(cells, TABLE_COLUMNS)
    for row in rows:
        shift = dodge(shown.index(row["model"]), len(shown))
        row |= {"x": row["resolution"] * shift, "runs": _single_runs(tables.runs, row)}
    series = model_series(models, shown)
    majority = majority_baseline(tables.cells).numbers["majority"].value
    is_near = _is_near(majority, rows)
    marks = _marks(series, sorted(set(cells["resolution"])), majority if is_near else None)
    note = accuracy_note(confidence, majority, is_drawn=is_near, has_runs=_has_runs(series))
    return InteractiveChart(note, marks, rows, COLUMNS, series=series)


def _is_near(majority: float, rows: Sequence[Row]) -> bool:
    """Return whether a line at the majority class leaves the accuracies half of the height."""
    lowest, highest = (extreme(row["accuracy"] for row in rows) for extreme in (min, max))
    return lowest - majority <= highest - lowest


def _single_runs(runs: pd.DataFrame, cell: dict[str, Any]) -> list[float]:
    is_run = runs["status"] == "ok"
    for name in ("family", "model", "resolution"):
        is_run &= runs[name] == cell[name]
    return [float(accuracy) for accuracy in runs.loc[is_run, "accuracy"]]


def _marks(series: list[ModelSeries], resolutions: list[int], majority: float | None) -> Any:
    x = resolution_axis("x", resolutions)
    scale = accuracy_scale()
    y, low = (
        alt.Y(f"{field}:Q", title="test accuracy", scale=scale)
        for field in ("accuracy", "accuracy_low")
    )
    colours = model_colours(series)
    stroke = alt.Stroke("model:N", scale=colours, legend=None)
    look = {"stroke": stroke, "opacity": in_focus()}
    lines = marks_of().mark_line(strokeWidth=2).encode(x, y, **look)
    bars = marks_of().mark_rule(strokeWidth=2.4).encode(x, low, y2="accuracy_high", **look)
    points = marks_of("points").mark_point(size=75, strokeWidth=0.5, opacity=1)
    points = points.encode(
        x,
        y,
        fill=alt.Fill("model:N", scale=colours, legend=None),
        shape=alt.Shape("model:N", scale=model_shapes(series), legend=None),
        **look,
    )
    runs = _runs(x, scale).encode(stroke=stroke, opacity=_opacity_of_runs(series))
    layers = [lines, bars, runs, points]
    if majority is not None:
        layers.insert(0, _majority_line(majority, scale))
    return layer(*layers)


def _has_runs(series: Sequence[ModelSeries]) -> bool:
    """Return whether the single runs of all models have room beside their means."""
    return len(series) <= MAX_WITH_RUNS


def _opacity_of_runs(series: Sequence[ModelSeries]) -> Any:
    if _has_runs(series):
        return in_focus()
    return alt.condition(f"datum.model === {FOCUS}", alt.value(1), alt.value(0))


def _runs(x: Any, scale: Any) -> Any:
    """Return single runs, a little to the right of their mean."""
    marks = marks_of().mark_point(size=24, filled=False, xOffset=9, strokeWidth=1.1)
    y = alt.Y("runs:Q", title="test accuracy", scale=scale)
    return marks.transform_flatten(["runs"]).encode(x, y)


def _majority_line(majority: float, scale: Any) -> Any:
    line = marks_of().mark_rule(strokeDash=[2, 3], stroke=follow_page(MUTED))
    return line.encode(y=alt.YDatum(majority, scale=scale))
