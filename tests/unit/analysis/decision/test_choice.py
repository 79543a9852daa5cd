"""The choice: which cell, with which status, and what the record holds."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from resomap.analysis.decision.candidates import Candidate
from resomap.analysis.decision.choice import choose
from resomap.analysis.decision.latencies import Latency
from resomap.analysis.predictions import Cell, Predictions
from tests.synthetic import report_rules


def predictions(
    resolution: int, accuracy: float, seeds: tuple[int, ...], images: int, model: str
) -> Predictions:
    """Build networks that get the same share of images right, each seed with one mistake of its own."""
    right = np.tile(np.arange(images) < round(accuracy * images), (len(seeds), 1))
    for row, seed in enumerate(seeds):
        right[row, seed % images] ^= True
    cell, no_pairs = Cell("custom", model, resolution), np.full(right.shape, np.nan)
    # Ten classes of equal size: the majority class scores 0.1.
    labels = np.arange(images) % 10
    return Predictions(cell, seeds, labels, {resolution: right}, no_pairs)


def candidate(
    resolution: int,
    accuracy: float,
    latency: float | None,
    *,
    seeds: tuple[int, ...] = (0, 1, 2),
    images: int = 2000,
    valid: bool = True,
) -> Candidate:
    cost = None if latency is None else Latency(latency, 1.5 * latency, valid)
    val = predictions(resolution, accuracy, seeds, images, "net")
    test = predictions(resolution, accuracy, seeds, 2 * images, "net")
    return Candidate(val, test, cost)


rules = report_rules


def test_cheaper_cell_within_margin_is_chosen() -> None:
    cells = [candidate(24, 0.70, 1.0), candidate(48, 0.949, 2.0), candidate(96, 0.95, 8.0)]
    choice = choose(cells, rules())
    assert choice["status"] == "chosen"
    assert (choice["choice"]["resolution"], choice["best"]["resolution"]) == (48, 96)


def test_cheapest_of_several_within_margin_is_chosen() -> None:
    cells = [candidate(24, 0.948, 1.0), candidate(48, 0.949, 2.0), candidate(96, 0.95, 8.0)]
    choice = choose(cells, rules())
    assert choice["choice"]["resolution"] == 24
    assert choice["runner_up"]["resolution"] == 48


def test_best_is_chosen_when_cheaper_cells_are_worse() -> None:
    choice = choose([candidate(24, 0.70, 1.0), candidate(96, 0.95, 8.0)], rules())
    assert (choice["status"], choice["choice"]["resolution"]) == ("best", 96)
    assert choice["needed"] is None


def few_images(resolution: int, accuracy: float, latency: float, rng: int) -> Candidate:
    """Build a cell of one seed with random mistakes on 100 validation images."""
    cell = candidate(resolution, accuracy, latency, seeds=(0,), images=100)
    for predicted in (cell.val, cell.test):
        np.random.default_rng(rng).shuffle(predicted.correct[resolution][0])
    return cell


def test_missing_evidence_is_not_non_inferiority() -> None:
    choice = choose([few_images(48, 0.94, 2.0, 0), few_images(96, 0.95, 8.0, 1)], rules())
    assert (choice["status"], choice["choice"]["resolution"]) == ("undecided", 96)
    assert choice["needed"]["resolution"] == 48
    # One seed says nothing about others, so no number is promised.
    assert (choice["needed"]["more_seeds"], choice["needed"]["more_images"]) == (None, None)


def test_shown_within_holds_against_every_rival() -> None:
    noisy = candidate(64, 0.949, 9.0)
    noisy.test.correct[64][:] = np.random.default_rng(0).random((3, 4000)) < 0.949
    close = [candidate(48, 0.948, 2.0), candidate(96, 0.95, 8.0)]
    alone, rivalled = choose(close, rules()), choose([*close, noisy], rules())
    within = [
        next(one["shown_within"] for one in choice["comparisons"] if one["resolution"] == 48)
        for choice in (alone, rivalled)
    ]
    # The noisy rival may be better than the best: it leaves a larger deficit possible.
    assert within[1] > within[0] > 0.002


def test_selection_uses_validation_and_reports_test() -> None:
    tempting = candidate(48, 0.70, 2.0)
    tempting.test.correct[48][:] = True
    choice = choose([tempting, candidate(96, 0.95, 8.0)], rules())
    assert choice["choice"]["resolution"] == 96
    assert choice["choice"]["test_accuracy"]["mean"] == pytest.approx(0.95, abs=0.01)


def test_latency_budget_excludes_cells_by_p90() -> None:
    cells = [candidate(48, 0.80, 2.0), candidate(96, 0.95, 8.0)]
    choice = choose(cells, rules(max_latency_ms=10.0))
    assert choice["choice"]["resolution"] == 48
    assert choice["excluded"][0]["reason"] == "p90 latency 12 ms is above 10 ms"


def test_accuracy_budget_excludes_cells() -> None:
    cells = [candidate(48, 0.80, 2.0), candidate(96, 0.95, 8.0)]
    choice = choose(cells, rules(min_accuracy=0.9))
    assert [cell["resolution"] for cell in choice["excluded"]] == [48]


@pytest.mark.parametrize("cells", [[candidate(48, 0.80, 2.0)], []])
def test_no_cell_within_budgets_gives_no_choice(cells: list[Candidate]) -> None:
    choice = choose(cells, rules(min_accuracy=0.9))
    assert (choice["status"], choice["choice"], choice["comparisons"]) == ("none", None, [])
    assert len(choice["excluded"]) == len(cells)


def test_accuracy_alone_decides_without_profile() -> None:
    choice = choose([candidate(48, 0.95, None), candidate(96, 0.951, None)], rules())
    assert (choice["status"], choice["choice"]["resolution"]) == ("best", 96)
    assert choice["choice"]["latency_ms_p50"] is None


def test_disturbed_measurement_is_used_and_marked() -> None:
    cells = [candidate(48, 0.949, 2.0, valid=False), candidate(96, 0.95, 8.0)]
    choice = choose(cells, rules())
    assert choice["choice"]["resolution"] == 48
    assert choice["choice"]["latency_valid"] is False


def test_single_cell_has_no_rival() -> None:
    choice = choose([candidate(48, 0.9, 2.0)], rules())
    assert choice["runner_up"] is None
    assert choice["minimum_detectable_difference"] is None


def test_cells_of_different_seeds_are_compared() -> None:
    cells = [candidate(24, 0.7, 1.0, seeds=(0,)), candidate(48, 0.9, 2.0, seeds=(1, 2))]
    assert choose(cells, rules())["choice"]["resolution"] == 48


def test_regret_is_on_test_and_bounded_by_validation() -> None:
    cells = [candidate(48, 0.945, 2.0), candidate(96, 0.95, 8.0)]
    regret = choose(cells, rules())["regret"]
    assert regret["low"] < 0.005 < regret["high"]
    assert regret["mean"] == pytest.approx(0.005)
    assert 0.005 < regret["at_most"] <= 0.02


def at_chance(resolution: int, latency: float = 1.0, **options: Any) -> Candidate:
    """Build a cell as accurate as the majority class, of 64 test images."""
    return candidate(resolution, 0.1, latency, seeds=(0,), images=32, **options)


def test_no_cell_above_majority_class_is_no_choice() -> None:
    choice = choose([at_chance(16), at_chance(24, 2.0, valid=False)], rules())
    assert (choice["status"], choice["choice"], choice["provisional"]) == (
        "nothing learned",
        None,
        [],
    )
    assert choice["best"]["resolution"] == 16
    # Classes 0 to 3 of ten have 7 of 64 images.
    assert choice["baseline"] == {
        "majority_accuracy": 7 / 64,
        "n_test": 64,
        "cells": 2,
        "cells_above": 0,
        "allowed": 2,
        "allowed_above": 0,
    }


def test_one_cell_above_majority_class_is_enough() -> None:
    choice = choose([at_chance(16), candidate(24, 0.9, 2.0, seeds=(0,), images=32)], rules())
    assert (choice["status"], choice["baseline"]["cells_above"]) == ("best", 1)


def test_accuracy_of_majority_class_alone_is_nothing_learned() -> None:
    cell = candidate(24, 0.8, 1.0, seeds=(0,), images=100)
    skewed = replace(
        cell, test=replace(cell.test, labels=(np.arange(200) % 5 == 0).astype(int))
    )
    assert choose([cell], rules())["status"] == "best"
    choice = choose([skewed], rules())
    assert choice["status"] == "nothing learned"
    assert choice["baseline"]["majority_accuracy"] == 0.8


@pytest.mark.parametrize(
    ("first", "changes", "status"),
    [
        (at_chance(16), {"max_latency_ms": 2}, "none"),
        (at_chance(16), {"min_accuracy": 0.05}, "best"),
        (candidate(16, 0.9, 1.0, seeds=(0,), images=32), {"max_latency_ms": 2}, "best"),
    ],
    ids=["only an excluded cell learned", "nothing excluded", "the other is excluded"],
)
def test_cell_within_budgets_must_beat_majority_class(
    first: Candidate, changes: dict[str, Any], status: str
) -> None:
    second = candidate(32, 0.95, 8.0, seeds=(0,), images=32)
    choice = choose([first, second], rules(**changes))
    assert choice["status"] == status
    assert (choice["choice"] is None) == (status == "none")


@pytest.mark.parametrize(
    ("cells", "changes", "expected"),
    [
        ([candidate(48, 0.949, 2, valid=False), candidate(96, 0.95, 8)], {}, [48]),
        ([candidate(48, 0.949, 2), candidate(96, 0.95, 8, valid=False)], {}, [96]),
        ([candidate(24, 0.7, 1, valid=False), candidate(96, 0.95, 8)], {}, []),
        (
            [candidate(48, 0.9, 2), candidate(96, 0.95, 8, valid=False)],
            {"max_latency_ms": 10},
            [96],
        ),
        ([candidate(48, 0.9, 2), candidate(96, 0.95, 8)], {}, []),
        ([candidate(48, 0.95, None)], {}, []),
    ],
    ids=["chosen", "best", "worse cell", "excluded by latency", "all valid", "not measured"],
)
def test_choice_is_provisional_by_latencies_it_rests_on(
    cells: list[Candidate], changes: dict[str, Any], expected: list[int]
) -> None:
    choice = choose(cells, rules(**changes))
    assert [cell["resolution"] for cell in choice["provisional"]] == expected


def test_frugal_choice_is_the_most_accurate_of_one_latency() -> None:
    cheap = [few_images(48, accuracy, 2.0, 0) for accuracy in (0.91, 0.94)]
    moved = cheap[1].val.cell._replace(resolution=64)
    # Trained at 64 px and used at 48 px, it costs what the other one costs.
    splits = {name: replace(getattr(cheap[1], name), cell=moved) for name in ("val", "test")}
    for split in splits.values():
        split.correct[64] = split.correct[48]
    other = replace(cheap[1], **splits, eval_resolution=48)
    choice = choose([cheap[0], other, few_images(96, 0.95, 8.0, 1)], rules())
    assert choice["frugal"]["resolution"] == 64
