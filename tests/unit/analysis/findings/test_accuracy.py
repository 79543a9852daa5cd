"""Findings about accuracy: their states and numbers."""

from typing import Any

import pandas as pd
import pytest

from resomap.analysis.findings.accuracy import (
    accuracy_of_models,
    adaptations,
    lost_and_read,
    model_in_focus,
    most_accurate_model,
    sampling_theory,
    stripe_cliff,
    stripe_findings,
    transfer,
)
from resomap.analysis.findings.finding import Estimate
from resomap.analysis.tables import Tables, read_tables
from tests.synthetic import Sweep, aggregate

NO_ALARMS = pd.DataFrame(columns=["model", "group", "resolution", "state"])
CELL = {
    "model": "net",
    "n_seeds": 2,
    "n_test": 400,
    "accuracy_low": 0.6,
    "accuracy_high": 0.8,
    "majority_accuracy": 0.125,
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    folder = tmp_path_factory.mktemp("results")
    aggregate(folder, Sweep(test=400, val=160, explained=0))
    return read_tables(folder / "tables")


def group_rows(
    accuracies: dict[int, float], model: str = "net", half: float = 0.04
) -> list[dict[str, Any]]:
    """Return rows of groups.csv about fine stripes of 40 cycles."""
    key = {"model": model, "group": "fine", "frequency": 40.0, "n": 100}
    return [
        {
            **key,
            "resolution": px,
            "pair_accuracy": accuracy,
            "pair_accuracy_low": accuracy - half,
            "pair_accuracy_high": accuracy + half,
        }
        for px, accuracy in accuracies.items()
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (group_rows({24: 0.5, 48: 0.52, 64: 0.8, 96: 0.99}), (48, 96)),
        (group_rows({24: 0.5, 48: 0.5}) + group_rows({24: 0.5, 48: 0.97}, "other"), (24, None)),
        (group_rows({24: 0.95, 32: 0.6, 48: 0.97}), (None, 48)),
        (group_rows({24: 0.5, 48: 0.5, 96: 0.97}, half=0.2), (None, None)),
    ],
    ids=["one model", "one model reads", "lucky small resolution", "few images"],
)
def test_cue_is_lost_up_to_and_read_from(
    rows: list[dict[str, Any]], expected: tuple[int | None, int | None]
) -> None:
    assert lost_and_read(pd.DataFrame(rows), "fine") == expected


def test_stripes_have_numbers_with_intervals(tables: Tables) -> None:
    fine = stripe_findings(tables.groups, tables.alarms, "simple_cnn")[0]
    assert fine.state == "shown"
    assert (fine.subject["lost_to"], fine.subject["read_from"]) == (48, 96)
    lost, read = fine.numbers["lost"], fine.numbers["read"]
    assert lost.low is not None and lost.high is not None and read.low is not None
    assert lost.low < lost.value < lost.high < 0.65
    assert (read.value, read.n) == (1.0, 100)
    assert read.low > 0.9


def test_stripes_of_all_models_start_with_finest(tables: Tables) -> None:
    findings = stripe_findings(tables.groups)
    assert [finding.subject["group"] for finding in findings] == ["fine", "medium", "broad"]
    # Of the finest, one model may keep .65 of its pairs: with 100 images that is not excluded.
    assert [finding.subject["lost_to"] for finding in findings] == [None, 24, None]


def test_stripes_at_alarm_have_wrong_reason(tables: Tables) -> None:
    fires = {"model": "simple_cnn", "group": "broad", "resolution": 24, "state": "fires"}
    findings = stripe_findings(tables.groups, pd.DataFrame([fires]), "simple_cnn")
    assert [finding.state for finding in findings] == ["shown", "shown", "wrong reason"]


def test_dataset_without_frequencies_has_no_stripes(tables: Tables) -> None:
    none = tables.groups.iloc[:0]
    assert stripe_findings(none, NO_ALARMS, "simple_cnn") == []
    assert sampling_theory(none, tables.cells, "simple_cnn") is None


def test_sampling_theory_predicts_staircase(tables: Tables) -> None:
    theory = sampling_theory(tables.groups, tables.cells, "simple_cnn")
    assert theory is not None
    assert [part.numbers["predicted"].value for part in theory.parts] == [0.75, 0.875, 1.0]
    for part in theory.parts:
        predicted, accuracy = part.numbers["predicted"], part.numbers["accuracy"]
        assert accuracy.value == pytest.approx(predicted.value, abs=0.05)


@pytest.mark.parametrize(
    ("lower", "censored", "state"),
    [
        (24.0, "", "bracketed"),
        (float("nan"), "", "open"),
        (float("nan"), "below", "below"),
        (24.0, "above", "above"),
        (float("nan"), "both", "unknown"),
    ],
)
def test_state_of_accuracy_is_that_of_knee(lower: float, censored: str, state: str) -> None:
    cells = pd.DataFrame([CELL | {"resolution": px, "accuracy": 0.7} for px in (24, 48)])
    knee = {"model": "net", "group": "all", "margin": 0.02, "lower": lower, "upper": 48}
    (finding,) = accuracy_of_models(cells, pd.DataFrame([knee | {"censored": censored}]))
    assert finding.state == state
    assert (finding.subject["smallest"], finding.subject["largest"]) == (24, 48)
    assert finding.numbers["largest"] == (0.7, 0.6, 0.8, 400)


def test_most_accurate_model_has_best_cell(tables: Tables) -> None:
    finding = most_accurate_model(accuracy_of_models(tables.cells, tables.knees))
    assert finding is not None
    assert (finding.subject["model"], finding.subject["best"]) == ("simple_cnn", 96)
    assert finding.numbers["best"].value == tables.cells["accuracy"].max()
    assert most_accurate_model([]) is None


def test_chosen_model_is_in_focus(tables: Tables) -> None:
    assert model_in_focus(tables) == "simple_cnn"


def matrix(own: float, elsewhere: float) -> pd.DataFrame:
    """Return a matrix of one network tested at two resolutions, with intervals of 0.02 to either side."""
    rows = []
    for px, accuracy in ((24, own), (48, elsewhere)):
        key = {"model": "net", "train_resolution": 24, "eval_resolution": px, "n": 400}
        key["mode"] = "raw"
        ends = {"accuracy_low": accuracy - 0.02, "accuracy_high": accuracy + 0.02}
        rows.append({**key, "accuracy": accuracy, **ends})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("elsewhere", "state"), [(0.81, "not shown"), (0.30, "loss"), (0.90, "gain")]
)
def test_transfer_needs_separate_intervals(elsewhere: float, state: str) -> None:
    finding = transfer(matrix(0.80, elsewhere))
    assert finding.state == state
    assert (finding.subject["trained_at"], finding.subject["tested_at"]) == (24, 48)
    assert finding.numbers["gain"].value == pytest.approx(elsewhere - 0.80)
    assert finding.numbers["gain"].n == 1


def test_transfer_of_adapted_network_is_from_the_accuracy_as_trained() -> None:
    adapted = matrix(0.82, 0.90).assign(mode="bn")
    finding = transfer(pd.concat([matrix(0.80, 0.30), adapted]))
    assert (finding.state, finding.subject["mode"]) == ("gain", "bn")
    assert finding.numbers["gain"].value == pytest.approx(0.10)
    assert finding.numbers["own"].value == 0.80
    assert finding.numbers["gain"].n == 2


def test_adaptation_is_compared_over_networks_that_have_it() -> None:
    without_norm = matrix(0.9, 0.5).assign(model="other")
    rows = [matrix(0.80, 0.30), matrix(0.81, 0.75).assign(mode="bn"), without_norm]
    (finding,) = adaptations(pd.concat(rows))
    assert finding.subject == {"mode": "bn"}
    assert finding.numbers == {"raw": Estimate(0.30, n=1), "adapted": Estimate(0.75, n=1)}


def test_sweep_without_adaptation_has_no_such_finding() -> None:
    assert adaptations(matrix(0.8, 0.9)) == []


def test_transfer_needs_two_resolutions() -> None:
    assert transfer(matrix(0.8, 0.9)[:1]).state == "one resolution"
    assert transfer(matrix(0.8, 0.9)[:0]).state == "unknown"


@pytest.mark.parametrize(
    ("accuracies", "state"),
    [([0.95, 0.5], "shown"), ([0.5, 0.95], "open"), ([0.8, 0.8], "unknown")],
)
def test_cliff_is_shown_when_read_and_lost_are_apart(
    accuracies: list[float], state: str
) -> None:
    runs = pd.DataFrame({"pair_accuracy": accuracies, "cycles_per_pixel": [0.4, 0.6]})
    assert stripe_cliff(runs).state == state
