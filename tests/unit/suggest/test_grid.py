"""The grid that fits a time: in the time, near to the full grid, and never without a comparison."""

import itertools
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resomap.suggest.grid import (
    FEWEST_EPOCHS,
    Fixed,
    Grid,
    epoch_choices,
    fit_grid,
    penalty,
    smaller_grids,
    smallest_grid,
)

WANTED = Grid(("small", "large"), (48, 96, 192), seeds=4, epochs=20)
FREE = Fixed()
# Seconds of an epoch of a small network at 48 px, and of starting a job.
MACHINES = {"one old core": (20.0, 12.0), "two cores": (1.5, 5.0), "a GPU": (0.05, 4.0)}


def timed_on(machine: str):
    """Return the seconds of a grid on a machine: epochs by pixels, and three jobs a run."""
    epoch, start = MACHINES[machine]

    def seconds(grid: Grid) -> float:
        runs = itertools.product(grid.models, grid.resolutions)
        trained = sum(epoch * (side / 48) ** 2 * len(model) / 5 for model, side in runs)
        explained = 40.0 if not grid.quick else 8.0
        return grid.seeds * (
            grid.epochs * trained + grid.cells * (3 * start + epoch * explained)
        )

    return seconds


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("minutes", [1, 3, 10, 60, 600, 6000])
def test_fitted_grid_takes_no_longer_than_its_budget(machine, minutes):
    seconds_of = timed_on(machine)
    grid = fit_grid(WANTED, FREE, seconds_of, 60 * minutes)
    if grid is None:
        assert seconds_of(smallest_grid(WANTED, FREE, seconds_of)) > 60 * minutes
    else:
        assert seconds_of(grid) <= 60 * minutes
        assert grid.cells >= 2


@pytest.mark.parametrize("machine", MACHINES)
def test_more_time_never_gives_up_more(machine):
    budgets = [60 * minutes for minutes in (5, 10, 30, 120, 480, 10_000)]
    grids = [fit_grid(WANTED, FREE, timed_on(machine), seconds) for seconds in budgets]
    losses = [inf if grid is None else penalty(WANTED, grid) for grid in grids]
    assert losses == sorted(losses, reverse=True)
    assert grids[-1] == WANTED


def test_explanations_and_seeds_are_given_up_before_models_and_resolutions():
    seconds_of = timed_on("two cores")
    whole = seconds_of(WANTED)
    grid = fit_grid(WANTED, FREE, seconds_of, 0.5 * whole)
    assert grid.quick or grid.seeds < WANTED.seeds
    assert (grid.models, grid.resolutions) == (WANTED.models, WANTED.resolutions)


def test_given_parts_are_kept():
    fixed = Fixed(models=True, resolutions=True, seeds=True, epochs=True)
    grids = set(smaller_grids(WANTED, fixed))
    assert {grid.quick for grid in grids} == {False, True}
    assert {(grid.models, grid.resolutions, grid.seeds, grid.epochs) for grid in grids} == {
        (WANTED.models, WANTED.resolutions, WANTED.seeds, WANTED.epochs)
    }


def test_smallest_grid_is_the_cheapest_of_all():
    seconds_of = timed_on("two cores")
    smallest = smallest_grid(WANTED, FREE, seconds_of)
    assert seconds_of(smallest) == min(map(seconds_of, smaller_grids(WANTED, FREE)))


def test_cell_that_does_not_fit_is_left_out():
    def seconds_of(grid: Grid) -> float:
        return inf if "large" in grid.models and 192 in grid.resolutions else 1.0

    grid = fit_grid(WANTED, FREE, seconds_of, 60)
    assert not ("large" in grid.models and 192 in grid.resolutions)
    assert grid.seeds == WANTED.seeds


@given(st.integers(1, 500))
def test_epochs_descend_to_the_fewest(epochs):
    choices = epoch_choices(epochs)
    assert choices[0] == epochs
    assert all(after < before for before, after in itertools.pairwise(choices))
    assert choices[-1] == min(epochs, FEWEST_EPOCHS)
