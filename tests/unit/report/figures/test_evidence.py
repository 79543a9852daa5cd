from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes

from resomap.analysis.tables import Tables
from resomap.report.figures.evidence import (
    group_order,
    plot_evidence_by_resolution,
    plot_faithfulness,
)
from resomap.report.figures.style import MUTED
from tests.drawings import find_panel, note_of

METHODS = ("Grad-CAM", "Integrated Gradients", "Saliency")


def strokes(axes: Axes) -> int:
    return sum(line.get_marker() == (2, 2, -45) for line in axes.lines if len(line.get_xdata()))


def test_relevance_is_relative_to_the_best_of_the_grid(tables: Tables) -> None:
    axes = find_panel(plot_evidence_by_resolution(tables), "Grad-CAM")
    rows = tables.explanations
    rows = rows[(rows["method"] == "gradcam") & (rows["group"] == "broad")]
    expected = rows.groupby("resolution")["relevance_mass"].mean() / 0.9
    lines = [line.get_ydata() for line in axes.lines if len(line.get_xdata()) == 3]
    assert any(np.allclose(line, expected) for line in lines)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_panel_shows_the_baselines(method: str, tables: Tables) -> None:
    lines = find_panel(plot_evidence_by_resolution(tables), method).lines
    styles = {line.get_linestyle() for line in lines if line.get_color() == MUTED}
    assert styles >= {"--", "-.", ":"}


def test_contrast_panel_compares_methods_with_edge_filter(tables: Tables) -> None:
    legend = find_panel(plot_evidence_by_resolution(tables), "medium").get_legend()
    assert legend is not None
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["Grad-CAM", "Integrated Gradients", "edge filter"]


def test_failed_method_is_greyed_out_with_a_note(tables: Tables) -> None:
    drawing = plot_evidence_by_resolution(tables)
    assert [strokes(find_panel(drawing, name)) for name in METHODS] == [0, 0, 4]
    assert "sanity check" in note_of(drawing)
    passed = replace(tables, sanity=tables.sanity.assign(passed=True))
    assert "sanity check" not in note_of(plot_evidence_by_resolution(passed))


def test_group_order_ignores_the_order_of_explanations(tables: Tables) -> None:
    shuffled = replace(tables, explanations=tables.explanations.iloc[::-1])
    expected = ["outline", "broad", "medium", "fine"]
    assert group_order(shuffled) == group_order(tables) == expected


def test_faithfulness_is_beyond_random_on_one_scale(tables: Tables) -> None:
    drawing = plot_faithfulness(tables)
    assert len({axes.get_ylim() for axes in drawing.figure.axes}) == 1
    lines = find_panel(drawing, "Grad-CAM").lines
    means = [line.get_ydata() for line in lines if line.get_marker() == "o"]
    gains = [float(values[0]) for values in means if len(values) == 2]
    assert gains == pytest.approx([0.2] * 3, abs=0.03)
