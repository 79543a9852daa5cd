"""The chart of every training resolution against every test resolution."""

from resomap.analysis.findings.accuracy import model_in_focus
from resomap.analysis.findings.baseline import majority_baseline
from resomap.analysis.tables import Tables
from resomap.report.charts.chart import (
    ChartColumn,
    ChartSelector,
    InteractiveChart,
    interval_column,
    plain_rows,
)
from resomap.report.charts.heat_map import heat_map
from resomap.report.figures.style import unique
from resomap.report.text.page.charts import matrix_note, mode_name

TABLE_COLUMNS = (
    *("family", "model", "train_resolution", "eval_resolution", "mode", "n_seeds", "n"),
    *("accuracy", "accuracy_low", "accuracy_high"),
)
COLUMNS = (
    ChartColumn("model", "model"),
    ChartColumn("adapted", "mode"),
    ChartColumn("train_resolution", "trained at", "px"),
    ChartColumn("eval_resolution", "tested at", "px"),
    interval_column("accuracy", "test accuracy", "accuracy"),
    ChartColumn("n_seeds", "seeds", "count"),
    ChartColumn("n", "test images", "count"),
)


def matrix_chart(tables: Tables) -> InteractiveChart | None:
    """Return the chart of training against test resolution; None before a run has finished."""
    matrix = tables.matrix
    if matrix.empty:
        return None
    majority = majority_baseline(tables.cells).numbers["majority"].value
    # One scale for all models and modes, so that their colours compare.
    lowest = min(float(matrix["accuracy"].min()), majority)
    marks = heat_map(
        "eval_resolution",
        "train_resolution",
        "accuracy",
        titles=("tested at (px)", "trained at (px)"),
        domain=(lowest, 1.0),
        framed="datum.train_resolution === datum.eval_resolution",
    )
    rows = plain_rows(matrix, TABLE_COLUMNS)
    for row in rows:
        row["adapted"] = mode_name(row["mode"])
    return InteractiveChart(
        matrix_note(majority),
        marks,
        rows,
        COLUMNS,
        _selectors(tables),
        resolution="train_resolution",
        square=True,
    )


def _selectors(tables: Tables) -> list[ChartSelector]:
    models, modes = unique(tables.matrix["model"]), unique(tables.matrix["mode"])
    model = model_in_focus(tables) or models[0]
    names = {mode: mode_name(mode) for mode in modes}
    return [
        ChartSelector("model", "model", {name: name for name in models}, model),
        ChartSelector("mode", "mode", names, modes[0]),
    ]
