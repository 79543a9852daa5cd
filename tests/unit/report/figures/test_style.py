import numpy as np
import pytest
from matplotlib.figure import Figure

from resomap.report.figures.style import dot_handle, latency_axis, legend_below, model_style


def test_models_have_distinct_styles() -> None:
    models = ["a", "b", "c"]
    assert len({tuple(model_style(models, model).values()) for model in models}) == 3


@pytest.mark.parametrize(
    ("limits", "labels"),
    [
        ((5.5, 19), ["6", "8", "10", "12", "14", "16", "18"]),
        ((0.8, 30), ["1", "2", "5", "10", "20"]),
        ((0.01, 1), ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]),
    ],
)
def test_latency_axis_has_ticks_on_every_range(
    limits: tuple[float, float], labels: list[str]
) -> None:
    axes = Figure().subplots()
    latency_axis(axes, "latency")
    axes.set_xlim(*limits)
    ticks = np.asarray(axes.get_xticks())
    shown = [tick for tick in ticks if limits[0] <= tick <= limits[1]]
    assert [axes.xaxis.get_major_formatter()(tick) for tick in shown] == labels


@pytest.mark.parametrize(("letters", "columns"), [(10, 5), (24, 2), (200, 1)])
def test_legend_has_as_many_columns_as_fit_into_the_figure(letters, columns):
    figure = Figure(figsize=(9.5, 4), layout="constrained")
    handles = [dot_handle("black") for _ in range(5)]
    legend_below(figure, handles, ["n" * letters] * 5)
    (legend,) = figure.legends
    assert legend._ncols == columns
    assert columns == 1 or legend.get_window_extent().width <= figure.bbox.width
