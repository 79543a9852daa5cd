"""Which runs the rounds train, and when they end, on grids of known accuracy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from benchmarks.decision_worlds import grid_cells, just_outside, make_candidates, make_world
from benchmarks.harness import shipped_config
from benchmarks.rounds import KnownGrid, draw_grid, play_rounds
from resomap.analysis.decision.candidates import Candidate
from resomap.analysis.predictions import Cell
from resomap.rounds.policy import Plan, TrainingGrid, first_round, next_round

CELLS = grid_cells()
RULES = shipped_config().report


def planned(sweep: TrainingGrid, accuracy: Sequence[float], seeds: int, **options: Any) -> Plan:
    """Return the plan after every cell was trained with so many seeds."""
    candidates = trained_candidates(accuracy, seeds)
    trained = dict.fromkeys((one.cell for one in candidates), seeds)
    return next_round(sweep, candidates, trained, seeds, **options)


def trained_candidates(accuracy: Sequence[float], seeds: int) -> list[Candidate]:
    world = make_world(np.array(accuracy), 0.005, seeds, np.random.default_rng(0))
    splits = [world.correct(world.images(4000), slice(None)) for _ in range(2)]
    return make_candidates(*splits)


def sweep_of(seeds: int, **rules: Any) -> TrainingGrid:
    return TrainingGrid(tuple(CELLS), tuple(range(seeds)), RULES.model_copy(update=rules))


def seeds_by_cell(plan: Plan) -> Mapping[Cell, list[int]]:
    found: dict[Cell, list[int]] = {}
    for run in plan.runs:
        found.setdefault(Cell(*run[:3]), []).append(run.seed)
    return found


def test_first_round_trains_every_cell_with_the_first_seed():
    plan = first_round(sweep_of(3))
    assert [Cell(*run[:3]) for run in plan.runs] == CELLS
    assert {run.seed for run in plan.runs} == {0}


def test_cells_far_below_the_best_get_no_second_seed():
    accuracy = [0.9] * 14 + [0.6]
    plan = planned(sweep_of(3), accuracy, seeds=1)
    assert set(seeds_by_cell(plan)) == set(CELLS[:-1])
    assert plan.dropped == {CELLS[-1]: "cannot change the answer"}
    assert all(seeds == [1] for seeds in seeds_by_cell(plan).values())


def test_one_seed_settles_nothing():
    # What seeds add is not known yet.
    plan = planned(sweep_of(3), [0.95] + [0.5] * 14, seeds=1)
    assert seeds_by_cell(plan) == {CELLS[0]: [1]}


def test_rounds_end_where_the_cheapest_cell_is_certified():
    # The cheapest is the best by more than the margin, so no other may be.
    plan = planned(sweep_of(4), [0.95] + [0.9] * 14, seeds=3)
    assert (plan.runs, plan.end) == ((), "settled")


def test_rounds_go_on_while_nothing_beats_the_majority_class():
    options = {"accuracy": [0.95] + [0.9] * 14, "seeds": 2}
    assert planned(sweep_of(3), **options, learned=False).runs
    assert planned(sweep_of(2), **options, learned=False).end == "seeds"


def test_rounds_end_without_a_cell_within_the_budgets():
    plan = planned(sweep_of(3, min_accuracy=0.99), [0.7] * 15, seeds=1)
    assert (plan.runs, plan.end) == ((), "hopeless")
    assert set(plan.dropped.values()) == {"outside of the budgets"}


def test_cells_that_may_keep_a_budget_on_accuracy_are_trained():
    candidates = trained_candidates([0.9] * 15, 1)
    # Every bound is below it, and half of the measured values are above.
    limit = float(np.median([one.val_accuracy for one in candidates]))
    plan = next_round(
        sweep_of(3, min_accuracy=limit), candidates, dict.fromkeys(CELLS, 1), rounds=1
    )
    above = {one.cell for one in candidates if one.val_accuracy >= limit}
    assert set(plan.reasons) == above
    assert set(plan.reasons.values()) == {"may keep the budgets"}


def test_cell_that_lags_behind_gets_every_seed_that_it_lacks():
    candidates = trained_candidates([0.9] * 15, 1)
    trained = dict.fromkeys(CELLS, 1) | {CELLS[0]: 0}
    plan = next_round(sweep_of(3), candidates, trained, rounds=1)
    assert seeds_by_cell(plan)[CELLS[0]] == [0, 1]


def test_plan_does_not_depend_on_the_order_of_the_candidates():
    candidates = trained_candidates(list(np.linspace(0.85, 0.9, 15)), 2)
    trained = dict.fromkeys(CELLS, 2)
    plans = [
        next_round(sweep_of(5), order, trained, rounds=2)
        for order in (candidates, candidates[::-1])
    ]
    assert set(plans[0].runs) == set(plans[1].runs)
    assert plans[0].end == plans[1].end


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_rounds_train_no_run_twice_and_end(seeds):
    grid = draw_grid(
        lambda rng: rng.uniform(0.8, 0.9, 15), seeds, 400, np.random.default_rng(1)
    )
    answer, trained, rounds = play_rounds(grid)
    assert max(trained) <= seeds
    assert rounds <= seeds
    assert answer.status in ("chosen", "best", "undecided")


def test_cells_just_outside_of_the_margin_are_certified_in_few_sweeps():
    accuracy, false = just_outside(), 0
    for number in range(12):
        rng = np.random.default_rng(number)
        answer, *_ = play_rounds(draw_grid(lambda _: accuracy, 3, 500, rng))
        false += answer.status == "chosen" and answer.cell != 14
    # Binomial: four of 12 have a chance of .2 % at the level of 5 %; benchmarks/rounds.md has 2,000.
    assert false < 4


def test_grid_of_clear_differences_is_settled_by_few_runs():
    accuracy = np.linspace(0.5, 0.95, 15)
    grid: KnownGrid = draw_grid(lambda _: accuracy, 5, 2000, np.random.default_rng(0))
    answer, trained, _ = play_rounds(grid)
    assert answer.cell == 14
    assert sum(trained) < 0.4 * 5 * 15
