"""The decision on simulated sweeps: a bounded part of benchmarks/decision.py."""

import numpy as np
import pytest

from benchmarks.decision import SIZES
from benchmarks.decision_trials import (
    Rate,
    budgets_kept,
    count_certificates,
    cover,
    follow_advice,
    knees_right,
    simulated_ranking,
    swapped_latencies,
    time_decision,
)
from benchmarks.decision_worlds import SEED_SD, just_outside, make_world


@pytest.mark.parametrize(("accuracy", "seeds"), [(0.5, 2), (0.8, 3), (0.95, 5)])
def test_intervals_cover_truth_and_are_narrow(accuracy: float, seeds: int) -> None:
    found = cover(np.full(12, accuracy), 0.007, seeds, 1000, 60)
    assert 0.90 < found.accuracy.mean() < 0.99
    assert 0.92 < found.difference.mean() < 0.99
    # Over that of a known variance, itself estimated from 60 draws.
    assert max(found.accuracy_width, found.difference_width) < 1.4


def test_more_seeds_narrow_intervals() -> None:
    widths = [cover(np.full(12, 0.8), 0.01, seeds, 1000, 20).mean_width for seeds in (2, 3, 5)]
    assert widths == sorted(widths, reverse=True)


def test_unlike_seed_variances_are_covered() -> None:
    found = cover(np.full(12, 0.8), np.repeat([0.005, 0.03], 6), 3, 1000, 80)
    assert found.accuracy.mean() > 0.92
    assert found.accuracy.min() > 0.8


def test_certificates_are_reached_and_true() -> None:
    certified = []
    for seeds, images in SIZES:
        found = count_certificates(seeds, images, 40)
        certified.append(found.certified / found.total)
        assert Rate(found.false, found.total).at_most(0.05)
    assert certified[0] > 0.3
    assert certified[2] > 0.7
    assert certified == sorted(certified)


def test_cells_just_outside_margin_are_not_certified() -> None:
    found = count_certificates(3, 1000, 100, lambda _: just_outside())
    assert Rate(found.false, found.total).at_most(0.05)


def test_equal_cells_certify_the_cheapest() -> None:
    equal, images = np.full(15, 0.8), 12_000
    found = count_certificates(3, images, 12, lambda _: equal, 0.002, images)
    assert found.certified == found.total
    assert found.cheapest >= 11
    assert found.false == 0


@pytest.mark.parametrize(("seeds", "images"), SIZES[:2])
def test_one_better_cell_leaves_cheaper_ones_uncertified(seeds: int, images: int) -> None:
    better = just_outside()
    better[-1] += 0.02
    found = count_certificates(seeds, images, 60, lambda _: better)
    assert found.false == found.cheaper == 0


def test_cells_within_margin_are_not_shown_worse() -> None:
    # All but one lose almost the margin, so that each of 14 verdicts would be false.
    accuracy, wrong = just_outside(), 0
    accuracy[:-1] += 2e-4
    rng = np.random.default_rng(7)
    for _ in range(60):
        ranking = simulated_ranking(make_world(accuracy, SEED_SD, 3, rng), 3, 1000, 1000)
        wrong += any(one.verdict == "worse" for one in ranking.comparisons())
    assert Rate(wrong, 60).at_most(0.05)


def test_advice_followed_settles() -> None:
    found = follow_advice(5, 2, 400, 12, np.random.default_rng(0))
    settled = found.settled_by_seeds + found.settled_by_images
    given = len(found.seeds) + len(found.images)
    assert given >= 6
    assert Rate(settled, given).at_least(0.75)


def test_budgets_are_truly_kept() -> None:
    accuracy, latency = budgets_kept(20)
    assert accuracy.at_least(0.95)
    assert latency.at_least(0.95)


def test_overlapping_latencies_swapped_keep_choice() -> None:
    between, _ = swapped_latencies(20)
    assert between.count == 0


@pytest.mark.parametrize("dip", [False, True])
def test_knees_are_bracketed(dip: bool) -> None:
    right, bounded = knees_right(60, 3, 2000, dip=dip)
    assert right.at_least(0.95)
    assert bounded > 0.1


def test_decision_of_large_sweep_is_fast() -> None:
    # Under one second on an idle core.
    assert time_decision(112, 5, 1000) < 10
