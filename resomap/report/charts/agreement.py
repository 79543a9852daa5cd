"""The chart of agreement: how similar the maps of a network are at two resolutions."""

import pandas as pd

from resomap.analysis.findings.accuracy import model_in_focus
from resomap.analysis.findings.agreement import trained_maps
from resomap.analysis.sanity_check import (
    FailedMethods,
    attribution_methods,
    failed_methods,
    failed_resolutions,
)
from resomap.analysis.tables import Tables
from resomap.report.charts.chart import (
    ChartColumn,
    ChartSelector,
    InteractiveChart,
    Row,
    interval_column,
    plain_rows,
)
from resomap.report.charts.heat_map import heat_map
from resomap.report.figures.style import unique
from resomap.report.text.evidence import reading_name
from resomap.report.text.page.charts import agreement_note, failing_name

TABLE_COLUMNS = (
    *("family", "model", "method", "block", "low", "high", "n", "seed_pairs", "same_seed"),
    *("observed", "observed_low", "observed_high", "floor", "ceiling"),
    *("normalised", "normalised_low", "normalised_high"),
)
COLUMNS = (
    ChartColumn("model", "model"),
    ChartColumn("reading", "maps"),
    ChartColumn("low", "smaller", "px"),
    ChartColumn("high", "larger", "px"),
    interval_column("normalised", "normalised agreement", "decimals"),
    interval_column("observed", "raw, other seeds", "decimals"),
    ChartColumn("same_seed", "raw, same seed", "decimals"),
    ChartColumn("floor", "another image", "decimals"),
    ChartColumn("ceiling", "another seed", "decimals"),
    ChartColumn("n", "images", "count"),
    ChartColumn("seed_pairs", "pairs of seeds", "count"),
)


def agreement_chart(tables: Tables) -> InteractiveChart | None:
    """Return the chart of agreement; None without maps at two resolutions."""
    maps = trained_maps(tables.agreement)
    maps = maps[maps["method"].isin(attribution_methods(maps))]
    # A resolution against itself has no normalised agreement, but a ceiling.
    pairs = maps[maps["low"] < maps["high"]]
    if pairs.empty:
        return None
    # With one seed there is no ceiling to normalise by.
    normalised = bool(pairs["observed"].notna().any())
    rows = _rows(pairs, failed_methods(tables.sanity), normalised=normalised)
    marks = heat_map(
        "low",
        "high",
        "shown",
        titles=("smaller resolution (px)", "larger resolution (px)"),
        domain=(0.0, 1.0),
    )
    note, selectors = agreement_note(normalised=normalised), _selectors(tables, rows)
    return InteractiveChart(
        note, marks, rows, COLUMNS, selectors, resolution="low", square=True
    )


def _rows(pairs: pd.DataFrame, failed: FailedMethods, *, normalised: bool) -> list[Row]:
    rows = plain_rows(pairs, TABLE_COLUMNS)
    for row in rows:
        name = reading_name(row["method"], row["block"])
        fails = failed_resolutions(failed, [row["model"]], row["method"])
        row["reading"] = failing_name(name, fails)
        row["shown"] = row["normalised" if normalised else "same_seed"]
    return rows


def _selectors(tables: Tables, rows: list[Row]) -> list[ChartSelector]:
    models, readings = (unique(row[name] for row in rows) for name in ("model", "reading"))
    focus = model_in_focus(tables)
    initial = focus if focus and focus in models else models[0]
    return [
        ChartSelector("model", "model", {name: name for name in models}, initial),
        ChartSelector("reading", "maps", {name: name for name in readings}, readings[0]),
    ]
