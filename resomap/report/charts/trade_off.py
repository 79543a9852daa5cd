"""The chart of accuracy against latency: the front, the choice, and what the limits exclude."""

from collections.abc import Mapping
from typing import Any

import altair as alt

from resomap.analysis.tables import Tables
from resomap.report.charts.chart import (
    ChartColumn,
    InteractiveChart,
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
)
from resomap.report.figures.style import CHOSEN, INK, MUTED, unique
from resomap.report.figures.trade_off import choice_label, trade_off_points
from resomap.report.text.format import MODE_NAMES, variant_name
from resomap.report.text.page.charts import OTHER_LIMITS, trade_off_note
from resomap.workflow.predictions import RAW

# With more points than this only those of the front and the choice carry their resolution.
MAX_LABELS = 14
TABLE_COLUMNS = (
    *("family", "model", "resolution", "n_seeds", "n_test"),
    *("accuracy", "accuracy_low", "accuracy_high"),
    *("latency_ms_p50", "latency_ms_low", "latency_ms_high", "latency_ms_p90"),
    *("latency_valid", "label", "chosen", "on_front"),
)
COLUMNS = (
    ChartColumn("model", "model"),
    ChartColumn("resolution", "trained at", "px"),
    ChartColumn("eval_resolution", "runs at", "px"),
    ChartColumn("way", "run as"),
    interval_column("accuracy", "test accuracy", "accuracy"),
    ChartColumn("n_seeds", "seeds", "count"),
    ChartColumn("n_test", "test images", "count"),
    interval_column("latency_ms_p50", "latency, ms", "digits", "latency_ms"),
    ChartColumn("latency_ms_p90", "90th percentile, ms", "digits"),
    ChartColumn("disturbed", "disturbed measurement", "yes"),
    ChartColumn("on_front", "best trade-off", "yes"),
    ChartColumn("chosen", "chosen", "yes"),
    ChartColumn("excluded", "excluded"),
)


def trade_off_chart(tables: Tables, confidence: float) -> InteractiveChart | None:
    """Return the chart of accuracy against latency; None without a measured cell.

    The page redraws the ring and the hollow marks when its own answer changes.
    """
    points = trade_off_points(tables)
    if points.empty:
        return None
    rows = plain_rows(points, TABLE_COLUMNS)
    reasons = _reasons(tables.choice)
    for row in rows:
        _describe(row, tables.choice, reasons)
        if len(rows) > MAX_LABELS and not (row["on_front"] or row["chosen"]):
            row["label"] = ""
    series = model_series(unique(tables.cells["model"]), unique(points["model"]))
    is_disturbed = any(row["disturbed"] for row in rows)
    note = trade_off_note(confidence, choice_label(tables.choice), disturbed=is_disturbed)
    return InteractiveChart(
        note, _marks(series), rows, COLUMNS, series=series, other_title=OTHER_LIMITS
    )


def _reasons(choice: Mapping[str, Any]) -> dict[tuple[str, str, int], str]:
    """Return why cells are excluded, as they were trained and in their main variant."""
    return {
        (one["family"], one["model"], one["resolution"]): one["reason"]
        for one in choice["excluded"]
        if _is_cell(one)
    }


def _is_cell(candidate: Mapping[str, Any]) -> bool:
    """Return whether a candidate runs as it was trained, at the same resolution."""
    is_adapted = candidate["mode"] != RAW or candidate["variant"]
    return not is_adapted and candidate["eval_resolution"] == candidate["resolution"]


def _describe(
    row: Row, choice: Mapping[str, Any], reasons: Mapping[tuple[str, str, int], str]
) -> None:
    """Add to a row how it runs, whether it is decided, and why it is excluded."""
    chosen = choice["choice"]
    is_added = row["chosen"] and not _is_cell(chosen)
    row["added"] = is_added
    row["decided"] = choice["status"] != "undecided"
    row["disturbed"] = row["latency_valid"] is False
    row["eval_resolution"] = chosen["eval_resolution"] if is_added else row["resolution"]
    row["way"] = _way(chosen) if is_added else None
    if is_added:
        row["n_seeds"], row["n_test"] = chosen["n_seeds"], choice["baseline"]["n_test"]
    place = (row["family"], row["model"], row["resolution"])
    row["excluded"] = None if is_added else reasons.get(place)


def _way(candidate: Mapping[str, Any]) -> str | None:
    """Return the mode and the variant of a candidate, where they are not those of a cell."""
    names = [MODE_NAMES[candidate["mode"]]] if candidate["mode"] in MODE_NAMES else []
    if candidate["variant"]:
        names.append(variant_name(candidate["variant"]))
    return ", ".join(names) or None


def _marks(series: list[Any]) -> Any:
    """Return the layers: front, intervals, points, labels, and the ring around the choice."""
    x = _latency_axis("latency_ms_p50")
    y = alt.Y("accuracy:Q", title="test accuracy", scale=accuracy_scale())
    stroke = alt.Stroke("model:N", scale=model_colours(series), legend=None)
    bars = {"stroke": stroke, "opacity": in_focus()}
    across = marks_of().mark_rule(strokeWidth=2.2)
    across = across.encode(_latency_axis("latency_ms_low"), y, x2="latency_ms_high", **bars)
    along = marks_of().mark_rule(strokeWidth=2.2).encode(x, _low_end(y), **bars)
    along = along.encode(y2="accuracy_high")
    points, labels = _points(x, y, series), _labels(x, y)
    return layer(_front(x, y), across, along, points, labels, _crosses(x, y), _ring(x, y))


def _latency_axis(field: str) -> Any:
    axis = alt.Axis(format="~g", grid=False, tickCount=6)
    scale = alt.Scale(type="log", nice=False, padding=26)
    title = "median latency of one image (ms, logarithmic)"
    return alt.X(f"{field}:Q", title=title, scale=scale, axis=axis)


def _low_end(axis: Any) -> Any:
    low = axis.copy()
    low.shorthand = "accuracy_low:Q"
    return low


def _front(x: Any, y: Any) -> Any:
    """Return the steps through the points that no other beats in both."""
    # The best accuracy at a lower latency; of equal latencies only the most accurate counts.
    cheapest = [
        alt.SortField("latency_ms_p50", order="ascending"),
        alt.SortField("accuracy", order="descending"),
    ]
    line = marks_of().mark_line(
        interpolate="step-after", strokeDash=[6, 4], stroke=follow_page(MUTED), strokeWidth=1.4
    )
    line = line.transform_window(
        best="max(accuracy)", sort=cheapest, frame=[None, -1], ignorePeers=True
    )
    # The first point has no best before it, and no number is at most that.
    return line.transform_filter("!(datum.accuracy <= datum.best)").encode(x, y)


def _points(x: Any, y: Any, series: list[Any]) -> Any:
    colours = model_colours(series)
    colour = alt.condition(
        "datum.disturbed",
        alt.value("var(--paper)"),
        alt.Fill("model:N", scale=colours, legend=None),
    )
    return (
        marks_of("points")
        .mark_point(size=95, strokeWidth=1.8, opacity=1)
        .encode(
            x,
            y,
            fill=colour,
            stroke=alt.Stroke("model:N", scale=colours, legend=None),
            shape=alt.Shape("model:N", scale=model_shapes(series), legend=None),
            opacity=in_focus(),
        )
    )


def _labels(x: Any, y: Any) -> Any:
    look = {"dx": 9, "dy": 13, "align": "left", "fontSize": 12, "fill": follow_page(INK)}
    return marks_of().mark_text(**look).encode(x, y, text="label:N", opacity=in_focus())


def _crosses(x: Any, y: Any) -> Any:
    """Return a cross over each point that a limit excludes."""
    cross = {"shape": "M-1,-1L1,1M-1,1L1,-1", "size": 80, "filled": False, "opacity": 1}
    marks = marks_of("crosses").mark_point(**cross, stroke=follow_page(INK), strokeWidth=1.8)
    return marks.transform_filter("datum.excluded !== null").encode(x, y)


def _ring(x: Any, y: Any) -> Any:
    """Return the ring; it is dotted until the choice is decided."""
    ring = {"size": 420, "filled": False, "stroke": follow_page(CHOSEN), "strokeWidth": 2.6}
    dash = alt.condition("datum.decided", alt.value([1, 0]), alt.value([2, 4]))
    marks = marks_of("ring").mark_point(shape="circle", opacity=1, **ring)
    return marks.transform_filter("datum.chosen").encode(x, y, strokeDash=dash)
