from typing import Any

import numpy as np
import pytest

from resomap.analysis.answers import Answers, Cell
from resomap.analysis.choose import choose
from resomap.analysis.compare import Candidate, Cost
from resomap.config.schema import Report


def answers(
    resolution: int, accuracy: float, seeds: tuple[int, ...], pictures: int, model: str
) -> Answers:
    """Networks that get the same share of pictures right, each seed with a few of its own mistakes."""
    right = np.tile(np.arange(pictures) < round(accuracy * pictures), (len(seeds), 1))
    for row, seed in enumerate(seeds):
        right[row, seed % pictures] ^= True
    cell = Cell("custom", model, resolution)
    return Answers(
        cell, seeds, np.zeros(pictures, int), {resolution: right}, np.full(right.shape, np.nan)
    )


def candidate(
    resolution: int,
    accuracy: float,
    latency: float | None,
    *,
    seeds: tuple[int, ...] = (0, 1, 2),
    pictures: int = 2000,
    valid: bool = True,
    model: str = "net",
) -> Candidate:
    cost = None if latency is None else Cost(latency, 1.5 * latency, valid)
    val, test = (
        answers(resolution, accuracy, seeds, count, model) for count in (pictures, 2 * pictures)
    )
    return Candidate(val, test, cost)


def rules(**changes: Any) -> Report:
    return Report(
        **{
            "margin": 0.02,
            "confidence": 0.95,
            "max_latency_ms": None,
            "min_accuracy": None,
            **changes,
        }
    )


def test_a_cheaper_cell_shown_within_the_margin_is_chosen() -> None:
    made = choose(
        [candidate(24, 0.70, 1.0), candidate(48, 0.949, 2.0), candidate(96, 0.95, 8.0)], rules()
    )
    assert made["status"] == "chosen"
    assert made["choice"]["resolution"] == 48
    assert made["best"]["resolution"] == 96
    assert "Choose net at 48 px" in made["headline"]
    assert "25% of its latency" in made["headline"]


def test_the_cheapest_of_several_within_the_margin_is_chosen_and_the_next_is_the_runner_up() -> (
    None
):
    made = choose(
        [candidate(24, 0.948, 1.0), candidate(48, 0.949, 2.0), candidate(96, 0.95, 8.0)],
        rules(),
    )
    assert made["choice"]["resolution"] == 24
    assert made["runner_up"]["resolution"] == 48


def test_the_best_is_chosen_when_every_cheaper_cell_is_shown_worse() -> None:
    made = choose([candidate(24, 0.70, 1.0), candidate(96, 0.95, 8.0)], rules())
    assert (made["status"], made["choice"]["resolution"]) == ("best", 96)
    assert made["needed"] is None


def test_ignorance_is_not_non_inferiority() -> None:
    few = {"seeds": (0,), "pictures": 100}
    made = choose([candidate(48, 0.94, 2.0, **few), candidate(96, 0.95, 8.0, **few)], rules())
    assert made["status"] == "undecided"
    assert made["choice"]["resolution"] == 96
    assert made["needed"]["resolution"] == 48
    assert made["needed"]["more_pictures"] > 0
    assert "more validation pictures would settle it" in made["headline"]


def test_a_cell_must_be_as_good_as_each_rival_not_only_as_the_observed_best() -> None:
    noisy = candidate(64, 0.949, 9.0, seeds=(0, 1, 2), pictures=2000)
    noisy.val.correct[64][:] = np.random.default_rng(0).random((3, 2000)) < 0.949
    made = choose([candidate(48, 0.935, 2.0), noisy, candidate(96, 0.95, 8.0)], rules())
    shown = next(one for one in made["comparisons"] if one["resolution"] == 48)
    assert shown["shown_within"] >= -shown["difference"]["low"]


def test_selection_is_on_validation_and_the_report_on_test() -> None:
    tempting = candidate(48, 0.70, 2.0)
    tempting.test.correct[48][:] = True
    made = choose([tempting, candidate(96, 0.95, 8.0)], rules())
    assert made["choice"]["resolution"] == 96
    assert made["choice"]["test_accuracy"]["mean"] == pytest.approx(0.95, abs=0.01)


def test_a_budget_on_latency_is_on_p90_and_leaves_cells_out() -> None:
    made = choose(
        [candidate(48, 0.80, 2.0), candidate(96, 0.95, 8.0)], rules(max_latency_ms=10.0)
    )
    assert made["choice"]["resolution"] == 48
    assert made["excluded"][0]["reason"] == "p90 latency 12 ms is above 10 ms"


def test_a_budget_on_accuracy_leaves_cells_out() -> None:
    made = choose([candidate(48, 0.80, 2.0), candidate(96, 0.95, 8.0)], rules(min_accuracy=0.9))
    assert [cell["resolution"] for cell in made["excluded"]] == [48]


def test_no_cell_within_the_budgets_means_no_choice() -> None:
    made = choose([candidate(48, 0.80, 2.0)], rules(min_accuracy=0.9))
    assert (made["status"], made["choice"]) == ("none", None)
    assert made["headline"] == "No choice: none of the 1 cells keeps the budgets."


def test_no_finished_run_means_no_choice() -> None:
    assert choose([], rules())["headline"] == "No choice: no run has finished."


def test_without_a_profile_accuracy_alone_decides_and_it_is_said() -> None:
    made = choose([candidate(48, 0.95, None), candidate(96, 0.951, None)], rules())
    assert (made["status"], made["choice"]["resolution"]) == ("best", 96)
    assert "without a measured latency" in made["headline"]


def test_a_disturbed_measurement_is_used_and_marked() -> None:
    made = choose([candidate(48, 0.949, 2.0, valid=False), candidate(96, 0.95, 8.0)], rules())
    assert made["choice"]["resolution"] == 48
    assert any("marked invalid" in reason for reason in made["reasons"])


def test_one_cell_is_the_only_choice() -> None:
    made = choose([candidate(48, 0.9, 2.0)], rules())
    assert made["headline"].endswith("the only cell.")
    assert made["runner_up"] is None
    assert made["minimum_detectable_difference"] is None


def test_one_seed_is_said_to_speak_of_these_networks() -> None:
    made = choose(
        [candidate(24, 0.7, 1.0, seeds=(0,)), candidate(48, 0.9, 2.0, seeds=(0,))], rules()
    )
    assert any("With one seed" in reason for reason in made["reasons"])


def test_cells_whose_seeds_failed_differently_can_still_be_compared() -> None:
    made = choose(
        [candidate(24, 0.7, 1.0, seeds=(0,)), candidate(48, 0.9, 2.0, seeds=(1, 2))], rules()
    )
    assert made["choice"]["resolution"] == 48


def test_regret_is_on_test_with_an_interval_and_bounded_by_validation() -> None:
    regret = choose([candidate(48, 0.945, 2.0), candidate(96, 0.95, 8.0)], rules())["regret"]
    assert regret["low"] < 0.005 < regret["high"]
    assert regret["mean"] == pytest.approx(0.005)
    assert 0.005 < regret["at_most"] <= 0.02
