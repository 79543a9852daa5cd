"""Differences between all pairs of cells."""

import numpy as np
import pytest

from resomap.analysis.decision.contrasts import contrast_cells
from resomap.analysis.statistics import compute_spread


def draw_cells(
    cells: int, seeds: int, images: int, luck: float = 0.0, rng: int = 0
) -> list[np.ndarray]:
    """Draw equal cells of accuracy .8 on shared images, with luck by cell and seed."""
    random = np.random.default_rng(rng)
    difficulty = random.normal(0, 1, images)
    return [
        difficulty + random.normal(0, 1, (seeds, images)) + random.normal(0, luck, (seeds, 1))
        < 1.19
        for _ in range(cells)
    ]


def test_differences_are_those_of_means() -> None:
    cells = draw_cells(3, 2, 500)
    contrasts = contrast_cells(cells, [(0, 1)] * 3)
    assert contrasts.differences[0, 2] == pytest.approx(cells[0].mean() - cells[2].mean())


def test_image_variance_is_that_of_paired_differences() -> None:
    cells = draw_cells(2, 3, 400)
    contrasts = contrast_cells(cells, [(0, 1, 2)] * 2)
    spread = compute_spread(cells[0].astype(float) - cells[1])
    assert contrasts.image_variance[0, 1] == pytest.approx(spread.image_variance, rel=1e-4)
    assert contrasts.of_seeds.between[0, 1] == pytest.approx(spread.seed_variance, rel=1e-4)
    assert contrasts.of_seeds.alone[0, 1] == pytest.approx(spread.alone_variance, rel=1e-3)


def test_error_covers_luck_of_seeds() -> None:
    lucky = contrast_cells(draw_cells(8, 3, 2000, luck=0.3), [(0, 1, 2)] * 8)
    alike = contrast_cells(draw_cells(8, 3, 2000), [(0, 1, 2)] * 8)
    assert np.median(lucky.errors[0]) > 3 * np.median(alike.errors[0])


def test_one_seed_compares_these_networks_only() -> None:
    contrasts = contrast_cells(draw_cells(3, 1, 400), [(0,)] * 3)
    assert contrasts.pool is None
    assert contrasts.interval(0, 1, 0.95).method == "these networks only"
    assert not contrasts.seed_part.any()


def test_cells_of_other_seeds_are_compared() -> None:
    first, second, third = draw_cells(3, 2, 300)
    contrasts = contrast_cells([first[:1], second, third], [(0,), (1, 2), (1, 2)])
    assert np.isfinite(contrasts.errors[0]).all()
    assert contrasts.pair_seeds[0, 1] == pytest.approx(4 / 3)


def test_subset_keeps_numbers_of_all() -> None:
    contrasts = contrast_cells(draw_cells(5, 2, 300, luck=0.1), [(0, 1)] * 5)
    some = contrasts.subset([3, 1])
    assert some.interval(0, 1, 0.9) == contrasts.interval(3, 1, 0.9)


def test_pair_has_same_variances_whichever_cells_are_compared() -> None:
    cells, seeds = draw_cells(7, 3, 333, luck=0.2), [(0, 1, 2)] * 6 + [(0, 1)]
    cells[6] = cells[6][:2]
    every = contrast_cells(cells, seeds)
    some = [6, 1, 4]
    alone = contrast_cells([cells[one] for one in some], [seeds[one] for one in some])
    pairs = np.ix_(some, some)
    # The page computes with the numbers of all pairs, so they have to be the same to the bit.
    assert (alone.image_variance == every.image_variance[pairs]).all()
    for name in ("count", "between", "alone"):
        assert (getattr(alone.of_seeds, name) == getattr(every.of_seeds, name)[pairs]).all()


def test_half_widths_are_symmetric_and_grow_with_confidence() -> None:
    contrasts = contrast_cells(draw_cells(4, 2, 300), [(0, 1)] * 4)
    wide, narrow = contrasts.half_widths(0.01), contrasts.half_widths(0.1)
    pairs = ~np.eye(4, dtype=bool)
    assert wide == pytest.approx(wide.T)
    assert (wide > narrow)[pairs].all()
