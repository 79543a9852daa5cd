from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from resomap.analysis.tables import Tables, read_tables
from resomap.report.figures.accuracy import plot_accuracy_by_resolution, plot_train_test_matrix
from resomap.report.figures.trade_off import plot_accuracy_by_cost
from tests.drawings import note_of
from tests.synthetic import Sweep, aggregate


def test_many_models_have_a_panel_per_family(tmp_path: Path) -> None:
    models = tuple(f"net_{letter}" for letter in "abcdefg")
    sizes = {"test": 40, "val": 24, "native": 24, "explained": 0}
    aggregate(tmp_path, Sweep(models=models, resolutions=(24,), seeds=(0,), **sizes))
    tables = read_tables(tmp_path / "tables")
    families = tables.cells.assign(family=["a"] * 4 + ["b"] * 3)
    for cells, panels in ((tables.cells, 1), (families, 2)):
        many = type(tables)(**{**vars(tables), "cells": cells})
        drawing = plot_accuracy_by_resolution(many, 0.95, 24)
        assert len(drawing.figure.axes) == panels


def heights(drawing: Any) -> list[float]:
    """Return the heights of all horizontal lines of a figure."""
    lines = [line for axes in drawing.figure.axes for line in axes.lines]
    data = [list(line.get_ydata()) for line in lines]
    return [ends[0] for ends in data if len(ends) == 2 and ends[0] == ends[1]]


def test_majority_class_is_a_line_in_every_figure_of_accuracy(tmp_path: Path) -> None:
    aggregate(tmp_path, Sweep(resolutions=(24, 48), test=80, val=24, native=48, explained=0))
    tables = read_tables(tmp_path / "tables")
    skewed = type(tables)(
        **{**vars(tables), "cells": tables.cells.assign(majority_accuracy=0.3)}
    )
    drawings = (
        plot_accuracy_by_resolution(skewed, 0.95, 48),
        plot_train_test_matrix(skewed),
        plot_accuracy_by_cost(skewed, 0.95),
    )
    for drawing in drawings:
        assert pytest.approx(0.3) in heights(drawing)


def test_matrix_has_a_panel_for_every_mode(tables: Tables) -> None:
    adapted = tables.matrix.assign(mode="bn")
    both = pd.concat([tables.matrix, adapted[adapted["train_resolution"] > 24]])
    drawing = plot_train_test_matrix(Tables(**{**vars(tables), "matrix": both}))
    headings = [axes.get_title(loc="left") for axes in drawing.figure.axes]
    assert headings[:2] == ["simple_cnn", "simple_cnn, bn"]
    assert "bn: with BatchNorm statistics of that size" in note_of(drawing)


def test_panels_above_an_empty_one_keep_their_labels(tables: Tables) -> None:
    without_norm = tables.matrix.assign(model="plain")
    matrix = pd.concat([tables.matrix, tables.matrix.assign(mode="bn"), without_norm])
    drawing = plot_train_test_matrix(Tables(**{**vars(tables), "matrix": matrix}))
    labels = [axes.get_xlabel() for axes in drawing.figure.axes[:4]]
    assert labels[1:3] == ["tested at (px)", "tested at (px)"]
    assert labels[0] == ""
