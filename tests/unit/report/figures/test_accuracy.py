from pathlib import Path

from resomap.analysis.tables import read_tables
from resomap.report.figures.accuracy import plot_accuracy_by_resolution
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
