from math import asin, pi

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from resomap.explain.agreement.compare import ModelMaps, compare_maps
from resomap.explain.agreement.measures import emd, spearman, top_k
from resomap.explain.agreement.normalise import AgreementParts, SeedPairs, summarise
from resomap.explain.grids import reduce_maps

MEASURES = (spearman, top_k, emd)
QUICK = settings(max_examples=40, deadline=None)

sides = st.integers(2, 6)
levels = st.integers(-5, 5).map(float)


def varied(side: int) -> st.SearchStrategy[np.ndarray]:
    """Maps (1, side, side) of which every measure is defined."""
    return arrays(np.float64, (1, side, side), elements=levels).filter(
        lambda cells: np.ptp(cells) > 0 and cells.max() > 0
    )


pairs = sides.flatmap(lambda side: st.tuples(varied(side), varied(side)))


def unit(side: int, *cells: tuple[int, int]) -> np.ndarray:
    """A map that is 1 in these cells and 0 elsewhere."""
    field = np.zeros((1, side, side))
    field[0][tuple(np.transpose(cells))] = 1
    return field


# Grids


@QUICK
@given(arrays(np.float32, (2, 6, 6), elements=levels), st.integers(1, 6))
def test_a_map_and_its_exact_copy_on_a_finer_grid_are_one_map_on_every_coarser_grid(maps, side):
    copy = maps.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(reduce_maps(copy, side), reduce_maps(maps, side), atol=1e-12)


@QUICK
@given(varied(6), varied(6), st.integers(1, 6))
def test_a_map_and_its_exact_copy_on_a_finer_grid_score_the_same_at_every_bandwidth(
    maps, other, side
):
    copy = maps.repeat(2, axis=1).repeat(2, axis=2)
    for measure in MEASURES:
        one, two = (
            measure(reduce_maps(each, side), reduce_maps(other, side)) for each in (maps, copy)
        )
        np.testing.assert_allclose(one, two, atol=1e-9)


@QUICK
@given(sides, sides, arrays(np.float32, (2, 12, 12), elements=levels))
def test_reducing_keeps_the_mean(side, factor, maps):
    fine = maps.repeat(factor, axis=1)[:, :12]
    np.testing.assert_allclose(
        reduce_maps(fine, side).mean(axis=(1, 2)), fine.mean(axis=(1, 2)), atol=1e-6
    )


# One map, two maps


@QUICK
@given(sides.flatmap(varied))
def test_a_map_agrees_with_itself(maps):
    np.testing.assert_allclose(spearman(maps, maps), 1)
    np.testing.assert_allclose(top_k(maps, maps), 1)
    np.testing.assert_allclose(emd(maps, maps), 0, atol=1e-12)


@QUICK
@given(pairs)
def test_neither_map_comes_first(pair):
    for measure in MEASURES:
        np.testing.assert_allclose(measure(*pair), measure(*reversed(pair)), atol=1e-9)


@QUICK
@given(pairs)
def test_correlations_stay_within_1_and_distances_within_the_diagonal(pair):
    assert all(abs(measure(*pair)[0]) <= 1 + 1e-12 for measure in (spearman, top_k))
    assert 0 <= emd(*pair)[0] <= 2**0.5


@QUICK
@given(pairs, st.sampled_from([np.exp, np.cbrt, lambda x: 3 * x - 7]))
def test_ranks_know_no_scale(pair, rising):
    a, b = pair
    np.testing.assert_allclose(spearman(rising(a), b), spearman(a, b), atol=1e-12)
    np.testing.assert_allclose(spearman(-a, b), -spearman(a, b), atol=1e-12)


@QUICK
@given(pairs, st.floats(1e-3, 1e3))
def test_a_positive_factor_does_not_matter(pair, factor):
    a, b = pair
    for measure in MEASURES:
        np.testing.assert_allclose(measure(a * factor, b), measure(a, b), atol=1e-9)


@QUICK
@given(pairs, st.data())
def test_the_distance_does_not_hear_of_negative_cells(pair, data):
    a, b = pair
    negative = data.draw(arrays(np.float64, a.shape, elements=st.integers(-9, 0).map(float)))
    np.testing.assert_allclose(emd(np.where(a > 0, a, negative), b), emd(a, b), atol=1e-12)


# Planted answers


@QUICK
@given(st.integers(4, 12), st.data())
def test_a_blob_that_moves_by_d_lies_d_apart(side, data):
    blob = data.draw(arrays(np.float64, (2, 2), elements=st.integers(1, 5).map(float)))
    place, moved = (
        data.draw(st.tuples(st.integers(0, side - 2), st.integers(0, side - 2)))
        for _ in range(2)
    )
    one, other = np.zeros((2, 1, side, side))
    one[0, place[0] : place[0] + 2, place[1] : place[1] + 2] = blob
    other[0, moved[0] : moved[0] + 2, moved[1] : moved[1] + 2] = blob
    distance = np.hypot(*np.subtract(place, moved)) / side
    np.testing.assert_allclose(emd(one, other), distance, atol=1e-9)


@QUICK
@given(st.floats(0, 1), st.integers(1, 11))
def test_a_mixture_of_two_places_lies_as_far_from_one_as_it_holds_of_the_other(weight, step):
    here, there = unit(12, (0, 0)), unit(12, (0, step))
    np.testing.assert_allclose(
        emd(weight * here + (1 - weight) * there, here), (1 - weight) * step / 12, atol=1e-9
    )


@pytest.mark.parametrize("weight", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_a_mixture_of_two_independent_maps_agrees_with_one_as_its_weight_says(weight):
    a, b = np.random.default_rng(0).normal(size=(2, 400, 12, 12))
    rho = weight / np.hypot(weight, 1 - weight)
    agreement = spearman(a, weight * a + (1 - weight) * b)
    assert abs(agreement.mean() - 6 / pi * asin(rho / 2)) < 4 * max(agreement.std() / 20, 1e-3)


@pytest.mark.parametrize("shared", range(9))
def test_maps_that_share_some_of_their_strongest_cells_overlap_by_that_share(shared):
    cells = np.random.default_rng(1).uniform(0, 1, size=(2, 64))  # an eighth of 64 is 8
    cells[0, :8] += 1
    cells[1, 8 - shared : 16 - shared] += 1
    expected = (shared / 8 - 1 / 8) / (1 - 1 / 8)
    np.testing.assert_allclose(top_k(*cells.reshape(2, 1, 8, 8)), expected, atol=1e-12)


def test_maps_that_know_nothing_of_each_other_agree_by_chance():
    a, b = np.random.default_rng(2).normal(size=(2, 400, 12, 12))
    for measure in (spearman, top_k):
        values = measure(a, b)
        assert abs(values.mean()) < 3 * values.std() / 20


def test_maps_that_say_nothing_but_in_one_cell_each_do_not_agree_in_the_rest():
    assert top_k(unit(12, (0, 0)), unit(12, (11, 11)))[0] < 0.01


# What a comparison makes of planted networks: a signal for each picture, and what each training adds to it


def compared(
    low: np.ndarray, high: np.ndarray, seeds: int = 2, quiet: float = 1
) -> dict[str, dict]:
    """Rows, by measure, of networks whose maps are these signals (n, 6, 6), at 6 x 6 and 12 x 12 cells, with noise of their own.

    On the common grid the noise has unit variance, at the high resolution that over `quiet` squared.
    """
    rng = np.random.default_rng(7)
    signals = {24: low, 48: high.repeat(2, axis=1).repeat(2, axis=2)}
    noise = {24: 1, 48: 2 / quiet}
    maps = {
        resolution: {
            seed: signal + noise[resolution] * rng.normal(size=signal.shape)
            for seed in range(seeds)
        }
        for resolution, signal in signals.items()
    }
    rows = compare_maps(
        ModelMaps("gradcam", "rule", "trained", np.arange(len(low)), maps),
        np.arange(len(low)) % 6,
        np.arange(0),
    )
    return {
        row["measure"]: row
        for row in rows
        if row["low"] < row["high"] and row["population"] == "all"
    }


@pytest.fixture(scope="module")
def signals() -> np.ndarray:
    """Two independent signals of the same pictures, and one that all pictures share: (3, n, 6, 6)."""
    own, other, shared = np.random.default_rng(8).normal(size=(3, 80, 6, 6))
    return np.stack([own, other, np.broadcast_to(shared[0], own.shape)])


@pytest.mark.parametrize("seeds", [2, 5])
def test_resolutions_that_share_all_but_the_noise_of_trainings_reach_their_ceiling(
    signals, seeds
):
    for row in compared(signals[0], signals[0], seeds).values():
        assert row["normalised"] == pytest.approx(1, abs=0.1)
        assert row["normalised_low"] < 1 < row["normalised_high"]


def test_a_resolution_whose_trainings_differ_less_does_not_lower_the_agreement(signals):
    rows = compared(3 * signals[0], 3 * signals[0], seeds=4, quiet=4)
    assert rows["spearman"]["normalised"] == pytest.approx(1, abs=0.02)
    assert all(row["normalised"] == pytest.approx(1, abs=0.1) for row in rows.values())


@pytest.mark.parametrize("seeds", [2, 5])
def test_resolutions_that_share_no_more_than_their_pictures_do_stay_on_their_floor(
    signals, seeds
):
    own, other, shared = signals
    rows = compared(own + shared, other + shared, seeds)
    assert rows["spearman"]["floor"] > 0.2
    for row in rows.values():
        assert row["normalised"] == pytest.approx(0, abs=0.1)
        assert row["normalised_low"] < 0 < row["normalised_high"]


@pytest.mark.parametrize("weight", [0.25, 0.5, 0.75])
def test_resolutions_that_share_a_part_stand_at_that_part(signals, weight):
    own, other, _ = signals
    row = compared(own, weight * own + np.sqrt(1 - weight**2) * other, seeds=4)["spearman"]
    assert row["normalised"] == pytest.approx(weight, abs=0.06)


@pytest.mark.parametrize("seeds", [2, 5])
@pytest.mark.parametrize("signal", ["none", "shared by all pictures"])
def test_where_the_ceiling_is_no_higher_than_the_floor_nothing_is_normalised(
    signals, seeds, signal
):
    same = signals[2] * (signal != "none")
    for row in compared(same, same, seeds).values():
        assert row["observed"] == pytest.approx(row["floor"], abs=0.05)
        assert "normalised" not in row


def test_nineteen_of_twenty_intervals_hold_what_they_are_of():
    rng, held = np.random.default_rng(9), []
    for _ in range(200):
        observed, floor, *ceilings = (
            SeedPairs([(0, 1)], rng.normal(expected, 0.3, size=(1, 60)))
            for expected in (0.5, 0.1, 0.9, 0.4)
        )
        told = summarise(
            AgreementParts(observed, floor, (ceilings[0], ceilings[1])), (0, 1), "correlation"
        )
        truth = {"observed": 0.5, "normalised": 0.4 / (0.6 - 0.1)}
        held.append(
            [
                told[f"{name}_low"] < value < told[f"{name}_high"]
                for name, value in truth.items()
            ]
        )
    assert all(0.9 < share < 0.99 for share in np.mean(held, axis=0))
