"""The grid of a sweep that fits a time: what is given up first where the whole one does not."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import log2

FEWEST_EPOCHS = 4
# What a missing part of the full sweep costs, in the order in which it is given up.
QUICK_PENALTY = 1.0
SEED_PENALTY = 1.0
ONE_SEED_PENALTY = 6.0
"""In addition: one seed leaves the spread between seeds unknown."""
EPOCHS_PENALTY = 3.0
"""For half of the epochs."""
MODEL_PENALTY, RESOLUTION_PENALTY = 5.0, 5.0
LARGEST_PENALTY = 3.0
"""In addition, for the largest resolution, which keeps the detail."""


@dataclass(frozen=True)
class Grid:
    """The size of a sweep; `quick` has fewer explained images, and no recalibration of BatchNorm."""

    models: tuple[str, ...]
    resolutions: tuple[int, ...]
    seeds: int
    epochs: int
    quick: bool = False

    @property
    def cells(self) -> int:
        """Return the number of (model, resolution)."""
        return len(self.models) * len(self.resolutions)


@dataclass(frozen=True)
class Fixed:
    """Which parts of a grid may not be reduced, because the user gave them."""

    models: bool = False
    resolutions: bool = False
    seeds: bool = False
    epochs: bool = False


def fit_grid(
    full: Grid, fixed: Fixed, seconds_of: Callable[[Grid], float], seconds: float
) -> Grid | None:
    """Return the grid nearest to the full one that takes at most `seconds`; None without one."""
    # In this order, so that few of them are estimated. Of equally near ones, the smaller sweep.
    nearest = sorted(
        smaller_grids(full, fixed),
        key=lambda grid: (penalty(full, grid), grid.cells * grid.seeds),
    )
    return next((grid for grid in nearest if seconds_of(grid) <= seconds), None)


def smallest_grid(full: Grid, fixed: Fixed, seconds_of: Callable[[Grid], float]) -> Grid:
    """Return the cheapest grid that still compares two cells."""
    grids = list(smaller_grids(full, fixed))
    fewest = min((grid.seeds, grid.epochs, not grid.quick) for grid in grids)
    shortest = [grid for grid in grids if (grid.seeds, grid.epochs, not grid.quick) == fewest]
    return min(shortest, key=seconds_of)


def smaller_grids(full: Grid, fixed: Fixed) -> Iterator[Grid]:
    """Yield the full grid and all that lack some of it, with two cells where it has two."""
    models = [full.models] if fixed.models else list(_prefixes(full.models))
    sides = [full.resolutions]
    if not fixed.resolutions:
        sides = list(_subsets(full.resolutions))
    seeds = [full.seeds] if fixed.seeds else range(1, full.seeds + 1)
    epochs = [full.epochs] if fixed.epochs else epoch_choices(full.epochs)
    for parts in product(models, sides, seeds, epochs, (False, True)):
        grid = Grid(*parts)
        if grid.cells >= min(2, full.cells):
            yield grid


def _prefixes(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    return (names[:count] for count in range(len(names), 0, -1))


def _subsets(sides: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    for count in range(len(sides), 0, -1):
        yield from combinations(sides, count)


def epoch_choices(epochs: int) -> Sequence[int]:
    """Return numbers of epochs from the full one down to the fewest, a fifth less each."""
    choices = [epochs]
    while choices[-1] > FEWEST_EPOCHS:
        choices.append(max(FEWEST_EPOCHS, choices[-1] * 4 // 5))
    return choices


def penalty(full: Grid, grid: Grid) -> float:
    """Return how much of the full grid is given up."""
    total = QUICK_PENALTY * (grid.quick and not full.quick)
    total += SEED_PENALTY * (full.seeds - grid.seeds)
    if grid.seeds == 1 < full.seeds:
        total += ONE_SEED_PENALTY
    total += EPOCHS_PENALTY * log2(full.epochs / grid.epochs)
    total += MODEL_PENALTY * (len(full.models) - len(grid.models))
    total += RESOLUTION_PENALTY * (len(full.resolutions) - len(grid.resolutions))
    if grid.resolutions[-1] < full.resolutions[-1]:
        total += LARGEST_PENALTY
    return total
