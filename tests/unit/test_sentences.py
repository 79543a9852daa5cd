from typing import Any

import pandas as pd
import pytest

from resomap.analysis.verdict import milliseconds, points
from resomap.report.tables import Tables, read_tables
from resomap.report.text import accuracy, limits, titles
from tests.synthetic import Sweep
from tests.unit.test_tables import aggregate


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    folder = tmp_path_factory.mktemp("results")
    aggregate(folder, Sweep(test=400, val=160, valid=False, waiting=(("tiny_cnn", 24, 1),)))
    return read_tables(folder / "tables")


def group_rows(
    group: str, frequency: float, accuracies: dict[int, float], model: str = "net"
) -> list[dict[str, Any]]:
    ends = {"pair_accuracy_low": 0.0, "pair_accuracy_high": 1.0}
    return [
        {
            "model": model,
            "group": group,
            "frequency": frequency,
            "resolution": px,
            "pair_accuracy": value,
            **ends,
        }
        for px, value in accuracies.items()
    ]


def test_a_cue_is_lost_up_to_and_read_from() -> None:
    groups = pd.DataFrame(group_rows("fine", 40, {24: 0.5, 48: 0.52, 64: 0.8, 96: 0.99}))
    assert titles.lost_and_read(groups, "fine") == (48, 96)


def test_a_cue_that_one_model_reads_is_not_lost_for_all() -> None:
    groups = pd.DataFrame(
        group_rows("fine", 40, {24: 0.5, 48: 0.5})
        + group_rows("fine", 40, {24: 0.5, 48: 0.97}, "other")
    )
    assert titles.lost_and_read(groups, "fine") == (24, None)


def test_a_lucky_small_resolution_is_not_where_reading_begins() -> None:
    groups = pd.DataFrame(group_rows("fine", 40, {24: 0.95, 32: 0.6, 48: 0.97}))
    assert titles.lost_and_read(groups, "fine") == (None, 48)


def test_the_claim_about_stripes_has_its_number_and_interval(tables: Tables) -> None:
    said = next(
        accuracy.sampling_sentences(
            tables.groups, tables.cells, tables.alarms, "simple_cnn", 0.95
        )
    )
    assert said.startswith(
        "For simple_cnn the fine stripes (40 cycles across the picture, Nyquist limit 80 px) are a coin toss up to 48 px: 0."
    )
    assert "95 % interval" in said
    assert "read from 96 px" in said


def test_what_sampling_theory_predicts_stands_beside_what_was_found(tables: Tables) -> None:
    said = list(
        accuracy.sampling_sentences(
            tables.groups, tables.cells, tables.alarms, "simple_cnn", 0.95
        )
    )[-1]
    assert said.startswith(
        "Sampling theory alone predicts 0.75, 0.88, 1.00 at 24, 48, 96 px; simple_cnn reaches 0."
    )


def test_stripes_that_are_answered_right_for_the_wrong_reason_are_not_called_read(
    tables: Tables,
) -> None:
    fires = pd.DataFrame(
        [{"model": "simple_cnn", "group": "broad", "resolution": 24, "state": "fires"}]
    )
    said = list(
        accuracy.sampling_sentences(tables.groups, tables.cells, fires, "simple_cnn", 0.95)
    )[2]
    assert "the broad stripes" in said
    assert "answered right, by something else, from 24 px" in said


def test_data_without_frequencies_makes_no_claim_about_sampling(tables: Tables) -> None:
    assert (
        list(
            accuracy.sampling_sentences(
                tables.groups.iloc[:0], tables.cells, tables.alarms, "simple_cnn", 0.95
            )
        )
        == []
    )


@pytest.mark.parametrize(
    ("lower", "upper", "censored", "told"),
    [
        (
            24.0,
            48,
            "",
            "Its knee lies above 24 px and at or below 48 px, the first size shown to be within 2 points of its best.",
        ),
        (
            float("nan"),
            48,
            "",
            "From 48 px on it is shown to be within 2 points of its best; nothing smaller is shown to be worse.",
        ),
        (
            float("nan"),
            24,
            "below",
            "Already 24 px is shown to be within 2 points of its best: the knee lies at or below it.",
        ),
        (
            24.0,
            48,
            "above",
            "Only 48 px is shown to be within 2 points of its best: the sweep ends before the curve is shown to level off.",
        ),
    ],
)
def test_a_knee_is_told_with_what_the_sweep_does_not_show(
    lower: float, upper: int, censored: str, told: str
) -> None:
    ends = {"accuracy_low": 0.6, "accuracy_high": 0.8, "n_seeds": 2}
    cells = pd.DataFrame(
        [{"model": "net", "resolution": px, "accuracy": 0.7, **ends} for px in (24, 48)]
    )
    knees = pd.DataFrame(
        [
            {
                "model": "net",
                "group": "all",
                "margin": 0.02,
                "lower": lower,
                "upper": upper,
                "censored": censored,
            }
        ]
    )
    assert next(accuracy.accuracy_sentences(cells, knees, 0.95)).endswith(f"at 48 px. {told}")


def test_a_gain_inside_the_noise_is_not_claimed() -> None:
    row = {
        "model": "net",
        "train_resolution": 24,
        "eval_resolution": 24,
        "accuracy": 0.80,
        "accuracy_low": 0.78,
        "accuracy_high": 0.82,
    }
    matrix = pd.DataFrame(
        [
            row,
            row
            | {
                "eval_resolution": 48,
                "accuracy": 0.81,
                "accuracy_low": 0.79,
                "accuracy_high": 0.83,
            },
        ]
    )
    assert (
        titles.matrix_title(matrix)
        == "No network is shown to gain at a size it was not trained at"
    )
    assert next(accuracy.transfer_sentences(matrix)).startswith("No network is shown to gain")


def test_a_loss_everywhere_is_claimed() -> None:
    row = {
        "model": "net",
        "train_resolution": 24,
        "eval_resolution": 24,
        "accuracy": 0.80,
        "accuracy_low": 0.78,
        "accuracy_high": 0.82,
    }
    matrix = pd.DataFrame(
        [
            row,
            row
            | {
                "eval_resolution": 48,
                "accuracy": 0.30,
                "accuracy_low": 0.28,
                "accuracy_high": 0.32,
            },
        ]
    )
    assert (
        titles.matrix_title(matrix)
        == "Every network loses 50 points or more at a size it was not trained at"
    )


def test_a_clear_gain_is_claimed() -> None:
    row = {
        "model": "net",
        "train_resolution": 24,
        "eval_resolution": 24,
        "accuracy": 0.80,
        "accuracy_low": 0.78,
        "accuracy_high": 0.82,
    }
    matrix = pd.DataFrame(
        [
            row,
            row
            | {
                "eval_resolution": 48,
                "accuracy": 0.90,
                "accuracy_low": 0.88,
                "accuracy_high": 0.92,
            },
        ]
    )
    assert (
        titles.matrix_title(matrix)
        == "Trained at 24 px, net gains 10 points when tested at 48 px"
    )


def test_limits_name_failed_runs_disturbed_profiles_and_single_seeds(tables: Tables) -> None:
    said = " ".join(limits.limit_sentences(tables, native_resolution=96))
    assert "1 of 12 runs has no results yet: tiny_cnn at 24 px, seed 1." in list(
        limits.missing_sentences(tables.runs)
    )
    assert (
        "18 of 18 cost measurements are marked invalid (crowded). Compare them with care"
        in said
    )
    assert "1 of 6 cells have one seed" in said
    assert "Information ends" not in said


def test_limits_say_where_information_ends(tables: Tables) -> None:
    assert any(
        said.startswith("Information ends at 64 px")
        for said in limits.limit_sentences(tables, native_resolution=64)
    )


@pytest.mark.parametrize(
    ("difference", "told"),
    [(0.02, "2 points"), (0.01, "1 point"), (-0.0123, "−1.2 points"), (0.0, "0 points")],
)
def test_points_are_hundredths(difference: float, told: str) -> None:
    assert points(difference) == told


@pytest.mark.parametrize(
    ("latency", "told"), [(0.04567, "0.0457 ms"), (2.5, "2.5 ms"), (1234.5, "1234 ms")]
)
def test_milliseconds_have_three_digits(latency: float, told: str) -> None:
    assert milliseconds(latency) == told


def test_lists_read_as_english() -> None:
    assert [titles.listing(names) for names in ([24], [24, 48], [24, 48, 96])] == [
        "24",
        "24 and 48",
        "24, 48 and 96",
    ]
