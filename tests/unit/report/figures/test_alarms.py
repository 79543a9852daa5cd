from dataclasses import replace

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from resomap.analysis.tables import Tables
from resomap.report.figures.alarms import plot_right_answer_wrong_reason
from resomap.report.figures.style import CHOSEN, Drawing
from tests.alarm_tables import alarm_table
from tests.drawings import find_panel, note_of, texts_of


def rings(axes: Axes) -> int:
    colour = mpl.colors.to_rgba(CHOSEN)
    return sum(
        len(dots.get_offsets())
        for dots in axes.collections
        if np.allclose(colour, dots.get_edgecolors()[:1])
    )


def plot(tables: Tables, *fires: tuple[int, str]) -> Drawing:
    return plot_right_answer_wrong_reason(replace(tables, alarms=alarm_table(*fires)))


def test_alarms_are_ringed_and_named(tables: Tables) -> None:
    drawing = plot(tables, (24, "medium"), (24, "fine"), (48, "fine"))
    assert [rings(axes) for axes in drawing.figure.axes] == [3, 3, 3]
    labels = texts_of(find_panel(drawing, "evidence"))
    assert labels == ["medium\nfine\nconfirmed", "fine\nconfirmed"]


def test_no_alarm_draws_no_ring(tables: Tables) -> None:
    assert [rings(axes) for axes in plot(tables).figure.axes] == [0, 0, 0]


def test_no_intervention_leaves_two_columns(tables: Tables) -> None:
    drawing = plot(replace(tables, interventions=tables.interventions[:0]))
    assert len(drawing.figure.axes) == 2
    assert "No intervention" in note_of(drawing)


def test_interventions_are_merged_into_the_data(tables: Tables) -> None:
    rows, data = tables.interventions, plot(tables).data
    expected = rows[(rows["resolution"] == 24) & (rows["group"] == "fine")]["follows_rest"]
    merged = data[(data["resolution"] == 24) & (data["group"] == "fine")]
    assert merged["exchange_follows_rest"].tolist() == [expected.iloc[0]]
