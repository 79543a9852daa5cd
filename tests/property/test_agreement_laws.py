from math import asin, pi

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from resomap.explain.agreement.compare import ModelMaps, compare_maps
from resomap.explain.agreement.measures import emd, spearman, top_k
from resomap.explain.grids import reduce_maps

MEASURES = (spearman, top_k, emd)
QUICK = settings(max_examples=40, deadline=None)

sides = st.integers(2, 6)
levels = st.integers(-5, 5).map(float)


def varied(side: int) -> st.SearchStrategy[np.ndarray]:
    """Draw maps (1, side, side) for which every measure is defined."""
    return arrays(np.float64, (1, side, side), elements=levels).filter(
        lambda cells: np.ptp(cells) > 0 and cells.max() > 0
    )


pairs = sides.flatmap(lambda side: st.tuples(varied(side), varied(side)))


def unit(side: int, *cells: tuple[int, int]) -> np.ndarray:
    """Return a map that is 1 in these cells and 0 elsewhere."""
    values = np.zeros((1, side, side))
    values[0][tuple(np.transpose(cells))] = 1
    return values


def double(maps: np.ndarray) -> np.ndarray:
    """Return the exact copy of maps on a grid that is twice as fine."""
    return maps.repeat(2, axis=1).repeat(2, axis=2)


# Grids


@QUICK
@given(arrays(np.float32, (2, 6, 6), elements=levels), st.integers(1, 6))
def test_finer_copy_reduces_to_same_map(maps, side):
    np.testing.assert_allclose(
        reduce_maps(double(maps), side), reduce_maps(maps, side), atol=1e-12
    )


@QUICK
@given(varied(6), varied(6), st.integers(1, 6))
def test_finer_copy_agrees_equally(maps, other, side):
    reduced = reduce_maps(other, side)
    for measure in MEASURES:
        expected = measure(reduce_maps(maps, side), reduced)
        result = measure(reduce_maps(double(maps), side), reduced)
        np.testing.assert_allclose(result, expected, atol=1e-9)


@QUICK
@given(sides, sides, arrays(np.float32, (2, 12, 12), elements=levels))
def test_reducing_keeps_the_mean(side, factor, maps):
    fine = maps.repeat(factor, axis=1)[:, :12]
    means = reduce_maps(fine, side).mean(axis=(1, 2))
    np.testing.assert_allclose(means, fine.mean(axis=(1, 2)), atol=1e-6)


# Measures


@QUICK
@given(sides.flatmap(varied))
def test_map_agrees_with_itself(maps):
    np.testing.assert_allclose(spearman(maps, maps), 1)
    np.testing.assert_allclose(top_k(maps, maps), 1)
    np.testing.assert_allclose(emd(maps, maps), 0, atol=1e-12)


@QUICK
@given(pairs)
def test_measures_are_symmetric(pair):
    for measure in MEASURES:
        np.testing.assert_allclose(measure(*pair), measure(*reversed(pair)), atol=1e-9)


@QUICK
@given(pairs)
def test_measures_stay_in_range(pair):
    assert all(abs(measure(*pair)[0]) <= 1 + 1e-12 for measure in (spearman, top_k))
    assert 0 <= emd(*pair)[0] <= 2**0.5


@QUICK
@given(pairs, st.sampled_from([np.exp, np.cbrt, lambda x: 3 * x - 7]))
def test_rank_correlation_ignores_monotonic_scale(pair, increasing):
    a, b = pair
    np.testing.assert_allclose(spearman(increasing(a), b), spearman(a, b), atol=1e-12)
    np.testing.assert_allclose(spearman(-a, b), -spearman(a, b), atol=1e-12)


@QUICK
@given(pairs, st.floats(1e-3, 1e3))
def test_measures_ignore_positive_factor(pair, factor):
    a, b = pair
    for measure in MEASURES:
        np.testing.assert_allclose(measure(a * factor, b), measure(a, b), atol=1e-9)


@QUICK
@given(pairs, st.data())
def test_distance_ignores_negative_cells(pair, data):
    a, b = pair
    negative = data.draw(arrays(np.float64, a.shape, elements=st.integers(-9, 0).map(float)))
    np.testing.assert_allclose(emd(np.where(a > 0, a, negative), b), emd(a, b), atol=1e-12)


# Known values


@QUICK
@given(st.integers(4, 12), st.data())
def test_distance_of_shifted_blob_is_the_shift(side, data):
    blob = data.draw(arrays(np.float64, (2, 2), elements=st.integers(1, 5).map(float)))
    corners = st.tuples(st.integers(0, side - 2), st.integers(0, side - 2))
    positions = [data.draw(corners) for _ in range(2)]
    maps = np.zeros((2, 1, side, side))
    for values, (row, column) in zip(maps, positions, strict=True):
        values[0, row : row + 2, column : column + 2] = blob
    distance = np.hypot(*np.subtract(*positions)) / side
    np.testing.assert_allclose(emd(*maps), distance, atol=1e-9)


@QUICK
@given(st.floats(0, 1), st.integers(1, 11))
def test_distance_to_mixture_is_linear_in_weight(weight, step):
    start, end = unit(12, (0, 0)), unit(12, (0, step))
    mixture = weight * start + (1 - weight) * end
    np.testing.assert_allclose(emd(mixture, start), (1 - weight) * step / 12, atol=1e-9)


@pytest.mark.parametrize("weight", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_rank_correlation_with_mixture_follows_weight(weight):
    a, b = np.random.default_rng(0).normal(size=(2, 400, 12, 12))
    rho = weight / np.hypot(weight, 1 - weight)
    values = spearman(a, weight * a + (1 - weight) * b)
    # Spearman's correlation of bivariate normals with Pearson correlation rho.
    assert abs(values.mean() - 6 / pi * asin(rho / 2)) < 4 * max(values.std() / 20, 1e-3)


@pytest.mark.parametrize("shared", range(9))
def test_top_k_equals_chance_corrected_overlap(shared):
    cells = np.random.default_rng(1).uniform(0, 1, size=(2, 64))  # an eighth of 64 is 8
    cells[0, :8] += 1
    cells[1, 8 - shared : 16 - shared] += 1
    expected = (shared / 8 - 1 / 8) / (1 - 1 / 8)
    np.testing.assert_allclose(top_k(*cells.reshape(2, 1, 8, 8)), expected, atol=1e-12)


@pytest.mark.parametrize("measure", [spearman, top_k])
def test_independent_maps_have_zero_correlation(measure):
    values = measure(*np.random.default_rng(2).normal(size=(2, 400, 12, 12)))
    assert abs(values.mean()) < 3 * values.std() / 20


def test_top_k_ignores_common_zeros():
    assert top_k(unit(12, (0, 0)), unit(12, (11, 11)))[0] < 0.01


# Comparisons of simulated networks: a signal per image, and noise of each training


def compare_simulated(
    low: np.ndarray, high: np.ndarray, seeds: int = 2, noise_ratio: float = 1
) -> dict[str, dict]:
    """Return rows by measure for maps with signals `low` and `high` (n, 6, 6) and noise.

    Grids have 6 x 6 and 12 x 12 cells. On the common grid the noise has unit variance at the
    low resolution and a standard deviation of 1 / `noise_ratio` at the high one.
    """
    rng = np.random.default_rng(7)
    maps: dict[int, dict[int, np.ndarray]] = {}
    for resolution, signal, spread in ((24, low, 1), (48, double(high), 2 / noise_ratio)):
        maps[resolution] = {
            seed: signal + spread * rng.normal(size=signal.shape) for seed in range(seeds)
        }
    index = np.arange(len(low))
    rows = compare_maps(
        ModelMaps("gradcam", "rule", "trained", index, maps), index % 6, np.arange(0)
    )
    across = [row for row in rows if row["low"] < row["high"] and row["population"] == "all"]
    return {row["measure"]: row for row in across}


@pytest.fixture(scope="module")
def signals() -> np.ndarray:
    """Two independent signals per image, and one that all images share: (3, n, 6, 6)."""
    first, second, shared = np.random.default_rng(8).normal(size=(3, 80, 6, 6))
    return np.stack([first, second, np.broadcast_to(shared[0], first.shape)])


@pytest.mark.parametrize("seeds", [2, 5])
def test_equal_signals_reach_the_ceiling(signals, seeds):
    for row in compare_simulated(signals[0], signals[0], seeds).values():
        assert row["normalised"] == pytest.approx(1, abs=0.1)
        assert row["normalised_low"] < 1 < row["normalised_high"]


def test_less_noise_at_one_resolution_keeps_agreement(signals):
    rows = compare_simulated(3 * signals[0], 3 * signals[0], seeds=4, noise_ratio=4)
    assert rows["spearman"]["normalised"] == pytest.approx(1, abs=0.02)
    assert all(row["normalised"] == pytest.approx(1, abs=0.1) for row in rows.values())


@pytest.mark.parametrize("seeds", [2, 5])
def test_signal_shared_by_all_images_stays_on_floor(signals, seeds):
    first, second, shared = signals
    rows = compare_simulated(first + shared, second + shared, seeds)
    assert rows["spearman"]["floor"] > 0.2
    for row in rows.values():
        assert row["normalised"] == pytest.approx(0, abs=0.1)
        assert row["normalised_low"] < 0 < row["normalised_high"]


@pytest.mark.parametrize("weight", [0.25, 0.5, 0.75])
def test_normalised_agreement_equals_shared_part(signals, weight):
    first, second, _ = signals
    mixture = weight * first + np.sqrt(1 - weight**2) * second
    row = compare_simulated(first, mixture, seeds=4)["spearman"]
    assert row["normalised"] == pytest.approx(weight, abs=0.06)


@pytest.mark.parametrize("seeds", [2, 5])
@pytest.mark.parametrize("strength", [0, 1])
def test_ceiling_on_floor_is_not_normalised(signals, seeds, strength):
    same = signals[2] * strength
    for row in compare_simulated(same, same, seeds).values():
        assert row["observed"] == pytest.approx(row["floor"], abs=0.05)
        assert "normalised" not in row
