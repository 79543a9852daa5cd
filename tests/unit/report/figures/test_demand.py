import numpy as np

from resomap.report.figures.demand import MAX_CLASSES, plot_demand


def test_bars_of_every_model_and_class_fill_the_width(tables):
    drawing = plot_demand(tables)
    upper, lower = drawing.figure.axes
    assert [label.get_text() for label in upper.get_yticklabels()] == ["simple_cnn"]
    assert 1 < len(lower.get_yticklabels()) <= MAX_CLASSES
    for axes in (upper, lower):
        widths = sum(bar.get_width() for bars in axes.containers for bar in bars)
        assert np.isclose(widths, len(axes.get_yticklabels()))


def test_sweep_without_runs_states_so(tables):
    empty = type(tables)(**{**vars(tables), "demand": tables.demand[:0]})
    assert plot_demand(empty).title == "No seed has finished at every resolution"
