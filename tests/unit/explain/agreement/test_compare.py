from typing import Any

import numpy as np
import pytest

from resomap.explain.agreement.compare import ModelMaps, compare_maps, seed_pairs
from resomap.explain.agreement.measures import MEASURES

LABELS = np.arange(24) % 4
NONE = np.zeros(0, np.int64)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def make_maps(
    *, seeds: int = 2, images: int = 12, network: str = "trained", low: int = 6, high: int = 12
) -> ModelMaps:
    """Return maps of a signal (images, low, low) at two resolutions, with noise."""
    signal = normal(images, low, low)
    maps: dict[int, dict[int, np.ndarray]] = {}
    for resolution, side in ((24, low), (96, high)):
        enlarged = np.kron(signal, np.ones((1, side // low, side // low)))
        noise = {seed: normal(images, side, side, seed=10 + seed) for seed in range(seeds)}
        maps[resolution] = {seed: enlarged + noise[seed] for seed in range(seeds)}
    return ModelMaps("saliency", "input", network, np.arange(images), maps)


def find_rows(maps: ModelMaps, right: np.ndarray = NONE, **values: object) -> list[dict]:
    """Return the rows of a comparison that have the given values."""
    rows = compare_maps(maps, LABELS, right)
    return [row for row in rows if values.items() <= row.items()]


def find_row(maps: ModelMaps, right: np.ndarray = NONE, **values: object) -> dict[str, Any]:
    """Return the one row with the given values; by default of all images across resolutions."""
    default = {"population": "all", "measure": "spearman", "low": 24, "high": 96}
    (row,) = find_rows(maps, right, **default | values)
    return row


# Pairs


@pytest.mark.parametrize(
    ("count", "pairs"), [(1, 0), (2, 2), (3, 6), (4, 12), (5, 10), (20, 40)]
)
def test_seed_pairs_grow_linearly(count, pairs):
    seeds = [10 * seed for seed in range(count)]
    result = seed_pairs(seeds)
    assert len(set(result)) == len(result) == pairs
    assert all(first != second for first, second in result)
    if pairs:
        first, second = zip(*result[:count], strict=True)
        assert set(first) == set(second) == set(seeds)


def test_equal_seeds_only_enter_same_seed():
    maps = make_maps()
    for by_seed in maps.maps.values():
        by_seed[1] = normal(12, 6, 6, seed=99)  # independent of seed 0
    maps.maps[96][0] = maps.maps[24][0]
    row = find_row(maps)
    assert row["same_seed"] == pytest.approx(1)
    assert abs(row["observed"]) < 0.2


def test_floor_never_compares_an_image_with_itself():
    """Each image's map is 1 in a cell of its own, so equal images would raise the floor."""
    unique = np.eye(36, dtype=np.float32)[:24].reshape(24, 6, 6)
    by_resolution = {resolution: dict.fromkeys((0, 1), unique) for resolution in (24, 96)}
    row = find_row(ModelMaps("gradcam", "rule", "trained", np.arange(24), by_resolution))
    assert row["observed"] == pytest.approx(1)
    assert row["floor"] == pytest.approx(-1 / 35)


def test_population_equals_its_images_alone():
    maps, right = make_maps(images=24), np.arange(8)
    alone = {
        resolution: {seed: values[:8] for seed, values in by_seed.items()}
        for resolution, by_seed in maps.maps.items()
    }
    expected = find_row(ModelMaps("saliency", "input", "trained", right, alone))
    row = find_row(maps, right, population="right")
    assert row == expected | {"population": "right"}


# Grids and ceilings


def test_maps_are_compared_on_coarser_grid():
    rows = find_rows(make_maps(low=16, high=32), population="all")
    sides = {(row["measure"], row["low"], row["high"]): row["side"] for row in rows}
    assert sides["spearman", 24, 96] == sides["top_k", 24, 96] == 16
    assert sides["spearman", 24, 24] == 16
    assert sides["spearman", 96, 96] == 32


def test_distance_uses_at_most_twelve_cells():
    rows = find_rows(make_maps(low=16, high=32), measure="emd")
    assert {row["side"] for row in rows} == {12}


def test_resolution_with_itself_has_only_ceiling():
    row = find_row(make_maps(), high=24)
    assert row["observed"] == row["ceiling"]
    assert row["observed_low"] < row["observed"] < row["observed_high"]
    assert np.isnan(row["floor"])
    assert "normalised" not in row


@pytest.mark.parametrize("measure", MEASURES)
def test_ceiling_lies_between_both_resolutions(measure):
    maps = make_maps(low=6, high=6)
    for seed in range(2):
        maps.maps[96][seed] = normal(12, 6, 6) + 0.2 * normal(12, 6, 6, seed=50 + seed)
    ceilings = sorted(
        find_row(maps, measure=measure, low=resolution, high=resolution)["observed"]
        for resolution in (24, 96)
    )
    assert ceilings[0] < find_row(maps, measure=measure)["ceiling"] < ceilings[1]


def test_single_seed_has_only_same_seed():
    row = find_row(make_maps(seeds=1))
    assert row["same_seed"] > row["floor"]
    assert row["seed_pairs"] == 0
    assert row["interval"] is None
    assert np.isnan(row["observed"])
    assert {"ceiling", "normalised"}.isdisjoint(row)


@pytest.mark.parametrize(
    ("seeds", "interval"),
    [
        (2, "bootstrap over pictures, these networks only"),
        (3, "pictures and seeds"),
        (5, "pictures and seeds"),
    ],
)
def test_interval_column_names_its_sources(seeds, interval):
    assert find_row(make_maps(seeds=seeds))["interval"] == interval


@pytest.mark.parametrize(("network", "seeds"), [("untrained", 2), ("none", 1)])
def test_untrained_and_baselines_have_no_ceiling(network, seeds):
    maps = make_maps(network=network, seeds=seeds)
    row = find_row(maps)
    assert row["observed"] > row["floor"]
    assert {"ceiling", "normalised"}.isdisjoint(row)
    assert np.isnan(row["same_seed"]) == (network == "none")
    assert {row["population"] for row in find_rows(maps, np.arange(12))} == {"all"}


# Undefined values


def test_undefined_images_are_counted_and_excluded():
    maps = make_maps()
    maps.maps[96][1][:3] = 0
    row = find_row(maps)
    assert (row["undefined"], row["n"]) == (3, 12)
    assert abs(row["observed"] - find_row(make_maps())["observed"]) < 0.15


def test_mostly_undefined_row_has_no_values():
    maps = make_maps()
    maps.maps[96][1][:7] = 0
    row = find_row(maps)
    assert row["undefined"] == 7
    values = {"same_seed", "observed", "floor", "ceiling", "normalised", "interval"}
    assert values.isdisjoint(row)


def test_fewer_than_five_images_have_no_values():
    row = find_row(make_maps(), np.arange(4), population="right")
    assert row["n"] == 4
    assert "observed" not in row
    assert "observed" in find_row(make_maps(), np.arange(5), population="right")
