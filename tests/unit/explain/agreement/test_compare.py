import numpy as np
import pytest

from resomap.errors import DataError
from resomap.explain.agreement.compare import ModelMaps, compare_maps, seed_pairs
from resomap.explain.agreement.measures import MEASURES, emd, spearman, top_k
from resomap.explain.agreement.normalise import AgreementParts, SeedPairs, summarise
from resomap.explain.grids import reduce_maps

LABELS = np.arange(24) % 4
NOBODY = np.zeros(0, np.int64)


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def evidence(
    *,
    seeds: int = 2,
    pictures: int = 12,
    network: str = "trained",
    low: int = 6,
    high: int = 12,
) -> ModelMaps:
    """Maps of a signal (pictures, low, low) at two resolutions, with noise of each seed's own."""
    signal = drawn(pictures, low, low)
    maps = {
        resolution: {
            seed: np.kron(signal, np.ones((1, side // low, side // low)))
            + drawn(pictures, side, side, seed=10 + seed)
            for seed in range(seeds)
        }
        for resolution, side in ((24, low), (96, high))
    }
    return ModelMaps("saliency", "input", network, np.arange(pictures), maps)


def rows(maps: ModelMaps, right: np.ndarray = NOBODY, **wanted: object) -> list[dict]:
    """The rows of a comparison that have the wanted values."""
    return [row for row in compare_maps(maps, LABELS, right) if wanted.items() <= row.items()]


def row(maps: ModelMaps, right: np.ndarray = NOBODY, **wanted: object) -> dict:
    """The one row of a comparison that has the wanted values; of all pictures, by rank correlation, across resolutions unless told."""
    (one,) = rows(
        maps,
        right,
        **{"population": "all", "measure": "spearman", "low": 24, "high": 96} | wanted,
    )
    return one


# Measures


def test_a_map_is_never_enlarged():
    with pytest.raises(DataError, match="6 x 6 cells cannot be brought to 7 x 7"):
        reduce_maps(np.zeros((1, 6, 6)), 7)


def test_a_constant_map_has_no_order():
    constant, varied = np.full((1, 5, 5), 0.1), drawn(1, 5, 5)
    assert np.isnan(
        [
            spearman(constant, varied),
            spearman(varied, constant),
            top_k(constant, varied),
            top_k(constant, constant),
        ]
    ).all()


def test_a_map_without_a_positive_cell_lies_nowhere():
    negative, varied = -np.ones((1, 5, 5)), drawn(1, 5, 5)
    assert np.isnan(
        [emd(negative, varied), emd(varied, negative), emd(negative, negative)]
    ).all()


def test_one_undefined_pair_leaves_the_others_alone():
    a, b = drawn(2, 3, 5, 5)
    a[1] = 0
    for measure in (spearman, top_k, emd):
        values = measure(a, b)
        assert np.isnan(values).tolist() == [False, True, False]
        np.testing.assert_array_equal(values[[0, 2]], measure(a[[0, 2]], b[[0, 2]]))


def test_a_map_of_one_cell_has_no_measure_but_a_place():
    one = np.ones((1, 1, 1))
    assert np.isnan([spearman(one, one)[0], top_k(one, one)[0]]).all()
    assert emd(one, one) == [0]


def test_cells_that_only_the_rounding_of_sums_tells_apart_come_out_equal():
    constant = reduce_maps(np.full((1, 7, 7), 0.1), 3)
    cancelled = reduce_maps(np.tile([[0.1, -0.1], [-0.1, 0.1]], (3, 3))[None], 3)
    np.testing.assert_array_equal(constant, constant[0, 0, 0])
    np.testing.assert_array_equal(cancelled, 0)


def test_maps_that_differ_by_rounding_alone_lie_in_the_same_place():
    a = np.abs(drawn(1, 12, 12)).astype(np.float64)
    assert emd(a, a + 1e-16 * np.abs(drawn(1, 12, 12, seed=1))) == [0]


# Who meets whom


@pytest.mark.parametrize(
    ("count", "pairs"), [(1, 0), (2, 2), (3, 6), (4, 12), (5, 10), (20, 40)]
)
def test_pairs_of_seeds_do_not_grow_with_the_square_of_the_seeds(count, pairs):
    seeds = [10 * seed for seed in range(count)]
    found = seed_pairs(seeds)
    assert len(set(found)) == len(found) == pairs
    assert all(one != other for one, other in found)
    assert (
        {one for one, _ in found[:count]}
        == {other for _, other in found[:count]}
        == (set(seeds) if pairs else set())
    )


def test_no_map_meets_that_of_its_own_seed_but_in_its_own_column():
    maps = evidence()
    for resolution in maps.maps:  # the two seeds know nothing of each other
        maps.maps[resolution][1] = drawn(12, 6, 6, seed=99)
    maps.maps[96][0] = maps.maps[24][0]
    told = row(maps)
    assert told["same_seed"] == pytest.approx(1)
    assert abs(told["observed"]) < 0.2


def test_the_other_map_of_the_floor_is_never_the_same_pictures():
    """Each picture's maps are 1 in a cell of its own: any meeting of a picture with itself would lift the floor above that of strangers."""
    own = np.eye(36, dtype=np.float32)[:24].reshape(24, 6, 6)
    told = row(
        ModelMaps(
            "gradcam",
            "rule",
            "trained",
            np.arange(24),
            {r: dict.fromkeys((0, 1), own) for r in (24, 96)},
        )
    )
    assert told["observed"] == pytest.approx(1)
    assert told["floor"] == pytest.approx(-1 / 35)


def test_the_floor_is_that_of_the_population():
    maps = evidence(pictures=24)
    right = np.arange(8)
    alone = {
        resolution: {seed: each[:8] for seed, each in by_seed.items()}
        for resolution, by_seed in maps.maps.items()
    }
    only = row(ModelMaps("saliency", "input", "trained", right, alone))
    among = row(maps, right, population="right")
    assert {name: value for name, value in among.items() if name != "population"} == {
        name: value for name, value in only.items() if name != "population"
    }


# What a row says


def test_maps_meet_on_the_coarser_grid_and_the_distance_on_at_most_twelve_cells():
    sides = {
        (told["measure"], told["low"], told["high"]): told["side"]
        for told in rows(evidence(low=16, high=32), population="all")
    }
    assert {sides["spearman", 24, 96], sides["top_k", 24, 96], sides["spearman", 24, 24]} == {
        16
    }
    assert sides["spearman", 96, 96] == 32
    assert {side for (measure, _, _), side in sides.items() if measure == "emd"} == {12}


def test_a_resolution_with_itself_is_its_ceiling_alone():
    told = row(evidence(), high=24)
    assert told["observed"] == told["ceiling"]
    assert told["observed_low"] < told["observed"] < told["observed_high"]
    assert np.isnan(told["floor"])
    assert "normalised" not in told


def test_the_ceiling_lies_between_those_of_the_two_resolutions():
    maps = evidence(low=6, high=6)
    maps.maps[96].update(
        {seed: drawn(12, 6, 6) + 0.2 * drawn(12, 6, 6, seed=50 + seed) for seed in range(2)}
    )
    for measure in MEASURES:
        ceilings = sorted(
            row(maps, measure=measure, low=resolution, high=resolution)["observed"]
            for resolution in (24, 96)
        )
        assert ceilings[0] < row(maps, measure=measure)["ceiling"] < ceilings[1]


def test_with_one_seed_only_the_maps_of_that_seed_are_told():
    told = row(evidence(seeds=1))
    assert told["same_seed"] > told["floor"]
    assert told["seed_pairs"] == 0
    assert told["interval"] is None
    assert np.isnan(told["observed"])
    assert {"ceiling", "normalised"}.isdisjoint(told)


@pytest.mark.parametrize(
    ("seeds", "interval"),
    [
        (2, "bootstrap over pictures, these networks only"),
        (3, "pictures and seeds"),
        (5, "pictures and seeds"),
    ],
)
def test_an_interval_says_what_it_knows(seeds, interval):
    assert row(evidence(seeds=seeds))["interval"] == interval


def test_seeds_that_disagree_widen_the_interval_from_three_seeds_on():
    pairs = seed_pairs([0, 1, 2])
    alike = 0.5 + 0.01 * drawn(len(pairs), 50)
    odd = alike - 0.3 * np.array([[2 in pair] for pair in pairs])
    nothing = SeedPairs([], np.zeros((0, 50)))
    widths = []
    for values in (alike, odd):
        told = summarise(
            AgreementParts(SeedPairs(pairs, values), nothing, (nothing, nothing)),
            (0, 1, 2),
            "correlation",
        )
        widths.append(told["observed_high"] - told["observed_low"])
    assert widths[1] > 20 * widths[0]


def test_untrained_networks_and_baselines_have_a_floor_and_no_ceiling():
    untrained = row(evidence(network="untrained"))
    baseline = row(evidence(network="none", seeds=1))
    for told in (untrained, baseline):
        assert told["observed"] > told["floor"]
        assert {"ceiling", "normalised"}.isdisjoint(told)
    assert np.isnan(baseline["same_seed"])
    assert {
        told["population"] for told in rows(evidence(network="untrained"), np.arange(12))
    } == {"all"}


def test_undefined_pictures_are_counted_and_left_out():
    maps, whole = evidence(), evidence()
    maps.maps[96][1][:3] = 0
    told = row(maps)
    assert told["undefined"] == 3
    assert told["n"] == 12
    assert abs(told["observed"] - row(whole)["observed"]) < 0.15


def test_a_row_is_blank_where_most_pictures_are_undefined():
    maps = evidence()
    maps.maps[96][1][:7] = 0
    assert row(maps)["undefined"] == 7
    assert {"same_seed", "observed", "floor", "ceiling", "normalised", "interval"}.isdisjoint(
        row(maps)
    )


def test_fewer_than_five_pictures_are_counted_and_say_nothing():
    told = row(evidence(), np.arange(4), population="right")
    assert told["n"] == 4
    assert "observed" not in told
    assert "observed" in row(evidence(), np.arange(5), population="right")
