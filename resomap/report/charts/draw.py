"""All interactive charts of a sweep, by the name of the figure in whose place they stand."""

from collections.abc import Callable, Collection
from typing import Any

from resomap.analysis.tables import Tables
from resomap.report.charts.accuracy import accuracy_chart
from resomap.report.charts.agreement import agreement_chart
from resomap.report.charts.chart import InteractiveChart
from resomap.report.charts.cost import cost_chart
from resomap.report.charts.matrix import matrix_chart
from resomap.report.charts.trade_off import trade_off_chart
from resomap.report.markup import PageFigure

Builders = dict[str, Callable[[], InteractiveChart | None]]


def draw_charts(
    tables: Tables, figures: Collection[PageFigure], confidence: float
) -> dict[str, dict[str, Any]]:
    """Return the charts of those figures that have one, as JSON-able values by name.

    A figure without data has no chart: its drawing gives the reason.
    """
    builders: Builders = {
        "accuracy_by_resolution": lambda: accuracy_chart(tables, confidence),
        "train_test_matrix": lambda: matrix_chart(tables),
        "accuracy_by_cost": lambda: trade_off_chart(tables, confidence),
        "cost_by_resolution": lambda: cost_chart(tables),
        "agreement": lambda: agreement_chart(tables),
    }
    charts = {}
    for figure in figures:
        chart = builders.get(figure.name, lambda: None)()
        if chart is not None:
            charts[figure.name] = chart.block(figure.title)
    return charts
