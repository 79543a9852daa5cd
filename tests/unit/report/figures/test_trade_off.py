from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from resomap.analysis.tables import Tables, read_tables
from resomap.report.figures.trade_off import pareto_front, plot_accuracy_by_cost
from tests.synthetic import Sweep, aggregate


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    folder = tmp_path_factory.mktemp("results")
    aggregate(folder, Sweep(resolutions=(24, 48), test=80, val=40, seeds=(0,), explained=0))
    return read_tables(folder / "tables")


def chosen_rows(tables: Tables, **changes: Any) -> list[dict[str, Any]]:
    """Return the rows marked as the choice, of which the record has these changes."""
    choice = tables.choice | {"choice": tables.choice["choice"] | changes}
    drawing = plot_accuracy_by_cost(replace(tables, choice=choice), 0.95)
    plt.close(drawing.figure)
    data: pd.DataFrame = drawing.data
    return data[data["chosen"]].to_dict("records")  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({}, "48"),
        ({"variant": "compiled"}, "48"),
        ({"resolution": 24, "eval_resolution": 48}, "24 at 48"),
        ({"mode": "bn"}, "48"),
    ],
)
def test_choice_stands_at_its_own_cost(
    tables: Tables, changes: dict[str, Any], label: str
) -> None:
    latency = 0.123 if changes else tables.choice["choice"]["latency_ms_p50"]
    (row,) = chosen_rows(tables, **changes, latency_ms_p50=latency)
    assert (row["label"], row["latency_ms_p50"]) == (label, latency)
    assert row["accuracy"] == tables.choice["choice"]["test_accuracy"]["mean"]


def test_pareto_front_holds_undominated_points() -> None:
    front = pareto_front(np.array([1.0, 2.0, 2.0, 3.0]), np.array([0.7, 0.9, 0.8, 0.9]))
    assert front.tolist() == [True, True, False, False]


def test_equal_points_share_the_front() -> None:
    assert pareto_front(np.array([1.0, 1.0]), np.array([0.7, 0.7])).tolist() == [True, True]


def test_legend_names_only_what_is_drawn(tables: Tables) -> None:
    cells = tables.cells[tables.cells["resolution"] == 48]
    one = cells[cells["model"] == "tiny_cnn"]
    choice = tables.choice | {"choice": None, "status": "nothing learned"}
    for shown, count in ((tables.cells, 1), (one, 0)):
        drawing = plot_accuracy_by_cost(replace(tables, cells=shown, choice=choice), 0.95)
        names = [text.get_text() for text in drawing.figure.axes[0].get_legend().get_texts()]
        plt.close(drawing.figure)
        assert names.count("best trade-offs (Pareto front)") == count
        assert not set(names) & {"chosen", "used until decided"}


def test_excluded_and_disturbed_cells_are_marked(tables: Tables) -> None:
    identity = {"eval_resolution": 24, "mode": "raw", "variant": None, "reason": "too slow"}
    cell = {"family": "custom", "model": "tiny_cnn", "resolution": 24} | identity
    other = cell | {"mode": "bn"}
    marked = tables.choice | {"excluded": [cell, other]}
    disturbed = tables.cells.assign(latency_valid=False)
    drawing = plot_accuracy_by_cost(replace(tables, choice=marked, cells=disturbed), 0.95)
    names = [text.get_text() for text in drawing.figure.axes[0].get_legend().get_texts()]
    plt.close(drawing.figure)
    rows = drawing.data[drawing.data["excluded"]]
    assert list(zip(rows["model"], rows["resolution"], strict=True)) == [("tiny_cnn", 24)]
    assert {"excluded by a limit", "latency marked invalid"} <= set(names)


def test_latencies_have_intervals(tables: Tables) -> None:
    data = plot_accuracy_by_cost(tables, 0.95).data
    plt.close("all")
    assert (data["latency_ms_low"] < data["latency_ms_p50"]).all()
    assert (data["latency_ms_high"] > data["latency_ms_p50"]).all()
