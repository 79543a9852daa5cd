"""The charts of a sweep: valid specifications, with the numbers of the figures' CSV files."""

from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import pytest

from resomap.analysis.tables import Tables, read_tables
from resomap.report.charts.draw import draw_charts
from resomap.report.figures.accuracy import plot_accuracy_by_resolution, plot_train_test_matrix
from resomap.report.figures.agreement import plot_agreement
from resomap.report.figures.cost import plot_cost_by_resolution
from resomap.report.figures.trade_off import plot_accuracy_by_cost
from resomap.report.markup import PageFigure
from resomap.report.text.format import way_name
from tests.synthetic import Sweep, aggregate

CHARTED = (
    "accuracy_by_resolution",
    "train_test_matrix",
    "accuracy_by_cost",
    "cost_by_resolution",
    "agreement",
)
Charts = dict[str, dict[str, Any]]


def charts_of(tables: Tables) -> Charts:
    names = (*CHARTED, "class_balance")
    figures = [PageFigure(name, f"title of {name}", "", "", "", "") for name in names]
    return draw_charts(tables, figures, 0.95)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    folder = tmp_path_factory.mktemp("results")
    variants = ("eager", "training_step", "onnxruntime", "onnxruntime-int8")
    sweep = Sweep(
        resolutions=(24, 48),
        test=80,
        val=40,
        explained=4,
        modes=("raw", "bn"),
        variants=variants,
    )
    aggregate(folder, sweep)
    return read_tables(folder / "tables")


@pytest.fixture(scope="module")
def charts(tables: Tables) -> Charts:
    return charts_of(tables)


def drawn(tables: Tables, name: str) -> pd.DataFrame:
    """Return the numbers of the figure, as its CSV file has them."""
    drawings = {
        "accuracy_by_resolution": lambda: plot_accuracy_by_resolution(tables, 0.95, 96),
        "train_test_matrix": lambda: plot_train_test_matrix(tables),
        "accuracy_by_cost": lambda: plot_accuracy_by_cost(tables, 0.95),
        "cost_by_resolution": lambda: plot_cost_by_resolution(tables),
        "agreement": lambda: plot_agreement(tables),
    }
    return drawings[name]().data


def test_figures_without_chart_stay_drawings(charts: Charts) -> None:
    assert sorted(charts) == sorted(CHARTED)
    assert charts["agreement"]["title"] == "title of agreement"


@pytest.mark.parametrize("name", CHARTED)
def test_specification_is_valid_and_names_no_address(charts: Charts, name: str) -> None:
    spec = charts[name]["spec"]
    # Raises where the schema of Vega-Lite does not admit it.
    alt.LayerChart.from_dict(spec)
    assert "://" not in str(spec)
    assert spec["data"] == {"name": "rows"}


@pytest.mark.parametrize("name", CHARTED)
def test_columns_and_selectors_exist_in_the_rows(charts: Charts, name: str) -> None:
    chart = charts[name]
    fields = {chart["resolution"], "family", "model"}
    for column in chart["columns"]:
        fields |= {column["field"], *filter(None, (column["low"], column["high"]))}
    for selector in chart["selectors"]:
        values = {row[selector["field"]] for row in chart["rows"]}
        assert selector["initial"] in values
        assert values == set(selector["names"])
        fields.add(selector["field"])
    assert all(fields <= set(row) for row in chart["rows"])


KEYS = {
    "accuracy_by_resolution": ["model", "resolution"],
    "train_test_matrix": ["model", "mode", "train_resolution", "eval_resolution"],
    "accuracy_by_cost": ["model", "resolution", "chosen"],
    "agreement": ["model", "method", "block", "low", "high"],
}
NUMBERS = {
    "accuracy_by_resolution": ["accuracy", "accuracy_low", "accuracy_high", "n_test"],
    "train_test_matrix": ["accuracy", "accuracy_low", "accuracy_high", "n", "n_seeds"],
    "accuracy_by_cost": [
        *("accuracy", "accuracy_low", "accuracy_high", "on_front"),
        *("latency_ms_p50", "latency_ms_low", "latency_ms_high"),
    ],
    "agreement": ["normalised", "normalised_low", "normalised_high", "floor", "ceiling", "n"],
}


@pytest.mark.parametrize("name", KEYS)
def test_rows_have_the_numbers_of_the_figure(tables: Tables, charts: Charts, name: str) -> None:
    figure, rows = drawn(tables, name), pd.DataFrame(charts[name]["rows"])
    if name == "agreement":
        # Its CSV also has references, and each resolution against itself.
        figure = figure[(figure["network"] == "trained") & (figure["low"] < figure["high"])]
        figure = figure[figure["method"].isin(set(rows["method"]))]
    assert len(rows) == len(figure) > 1
    both = figure.merge(rows, on=KEYS[name], suffixes=("_figure", "_chart"))
    assert len(both) == len(figure)
    for number in NUMBERS[name]:
        first, second = (both[f"{number}_{side}"].astype(float) for side in ("figure", "chart"))
        pd.testing.assert_series_equal(first, second, check_names=False)


def test_cost_rows_are_those_of_every_way_to_run(tables: Tables, charts: Charts) -> None:
    profiles = drawn(tables, "cost_by_resolution")
    rows = charts["cost_by_resolution"]["rows"]
    latencies = {
        (row["model"], row["resolution"], row["way"]): (
            *(row[name] for name in ("value", "value_low", "value_high", "p90")),
        )
        for row in rows
        if row["measure"].startswith("latency")
    }
    single = profiles[(profiles["batch_size"] == 1) & (profiles["variant"] != "training_step")]
    expected = {
        (row["model"], row["resolution"], way_name(row)): (
            *(row[f"latency_ms_{name}"] for name in ("p50", "low", "high", "p90")),
        )
        for row in single.to_dict("records")
    }
    # Charts have six digits, which halves their share of the page.
    assert {
        key: pytest.approx(values, rel=1e-5) for key, values in latencies.items()
    } == expected
    assert len({row["way"] for row in rows}) == 3


def test_excluded_cells_carry_their_reason(tables: Tables) -> None:
    cell = {"family": "custom", "model": "tiny_cnn", "resolution": 24, "variant": None}
    excluded = [
        cell | {"eval_resolution": 24, "mode": "raw", "reason": "too slow"},
        cell | {"eval_resolution": 48, "mode": "raw", "reason": "no cell as trained"},
    ]
    tables.choice["excluded"], before = excluded, tables.choice["excluded"]
    rows = charts_of(tables)["accuracy_by_cost"]["rows"]
    tables.choice["excluded"] = before
    reasons = {(row["model"], row["resolution"]): row["excluded"] for row in rows}
    assert reasons.pop(("tiny_cnn", 24)) == "too slow"
    assert set(reasons.values()) == {None}


@pytest.mark.parametrize(
    ("sweep", "left"),
    [
        (Sweep(models=("tiny_cnn",), waiting=(("tiny_cnn", 24, 0),)), {"cost_by_resolution"}),
        (
            Sweep(models=("tiny_cnn",), profiled=False, explained=0),
            {"accuracy_by_resolution", "train_test_matrix"},
        ),
    ],
    ids=["nothing finished", "nothing measured or explained"],
)
def test_figure_without_data_has_no_chart(sweep: Sweep, left: set[str], tmp_path: Path) -> None:
    size = {"resolutions": (24,), "seeds": (0,), "test": 40, "val": 24, "native": 24}
    aggregate(tmp_path, Sweep(**vars(sweep) | size))
    assert set(charts_of(read_tables(tmp_path / "tables"))) == left
