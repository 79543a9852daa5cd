import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from resomap.explain.localisation import area_average, localise

masks = arrays(np.uint8, st.tuples(st.integers(1, 2), st.integers(1, 17), st.integers(1, 17)))


@st.composite
def maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    side = draw(st.integers(2, 6))
    mask = draw(
        arrays(np.uint8, (1, side, side)).filter(np.any)
    )  # without an object there is no measure
    return draw(
        arrays(np.float32, (1, side, side), elements=st.integers(-3, 3).map(float))
    ), mask


@given(masks, st.integers(1, 25))
def test_area_averaging_keeps_the_area_and_stays_between_0_and_1(mask, side):
    average = area_average(mask, side)
    np.testing.assert_allclose(
        average.mean(axis=(1, 2)), mask.mean(axis=(1, 2)) / 255, atol=1e-12
    )
    assert average.min() >= 0
    assert average.max() <= 1 + 1e-12


@given(masks, st.integers(1, 5), st.integers(1, 5))
def test_averaging_in_two_nested_steps_is_averaging_once(mask, coarse, factor):
    fine = area_average(mask, coarse * factor)
    blocks = fine.reshape(len(mask), coarse, factor, coarse, factor).mean(axis=(2, 4))
    np.testing.assert_allclose(blocks, area_average(mask, coarse), atol=1e-12)


@given(maps())
def test_measures_lie_between_0_and_1(pair):
    assert all(0 <= values[0] <= 1 + 1e-12 for values in localise(*pair, 0.1).values())


@given(maps(), st.sampled_from([0.25, 2.0, 1024.0]))
def test_the_scale_of_a_map_does_not_matter(pair, scale):
    attribution, mask = pair
    assert_same(
        localise(attribution * np.float32(scale), mask, 0.1), localise(attribution, mask, 0.1)
    )


@given(maps(), st.randoms(use_true_random=False))
def test_moving_cells_of_map_and_mask_alike_does_not_matter(pair, shuffler):
    order = list(range(pair[0].size))
    shuffler.shuffle(order)
    moved = (array.reshape(-1)[order].reshape(array.shape) for array in pair)
    assert_same(localise(*moved, 0), localise(*pair, 0))


@given(maps())
def test_inside_and_outside_share_the_relevance(pair):
    attribution, mask = pair
    assume((mask < 255).any())
    inside, outside = localise(attribution, mask, 0), localise(attribution, 255 - mask, 0)
    np.testing.assert_allclose(
        inside["relevance_mass"] + outside["relevance_mass"], 1 - inside["zero_map"]
    )


@given(st.permutations(range(16)), arrays(np.bool_, (4, 4)).filter(np.any))
def test_on_a_binary_mask_the_rank_is_the_share_of_its_cells_among_as_many_of_the_most_relevant(
    relevance, mask
):
    attribution = np.array([relevance], np.float32)
    inside = set(np.flatnonzero(mask))
    most_relevant = set(np.argsort(relevance)[-len(inside) :])
    rank = localise(attribution.reshape(1, 4, 4), mask[None] * np.uint8(255), 0)[
        "relevance_rank"
    ][0]
    np.testing.assert_allclose(rank, len(inside & most_relevant) / len(inside))


@given(maps())
def test_no_map_ranks_better_than_the_best(pair):
    found = localise(*pair, 0)
    assert found["relevance_rank"][0] <= found["relevance_rank_best"][0] + 1e-12


@given(maps())
def test_the_mask_reduced_to_the_grid_ranks_best(pair):
    mask = pair[1]
    side = max(1, mask.shape[1] // 2)
    found = localise(area_average(mask, side).astype(np.float32), mask, 0)
    np.testing.assert_allclose(found["relevance_rank"], found["relevance_rank_best"], atol=1e-6)


@given(maps())
def test_no_map_that_holds_as_much_of_the_relevance_as_of_the_object_has_more_mass_than_the_best(
    pair,
):
    """Even over any K cells, K whole and no less than the object's area."""
    attribution, mask = pair
    coverage = area_average(mask, mask.shape[1])[0].ravel()
    size = int(np.ceil(coverage.sum() - 1e-6))
    even = np.zeros(mask.size, np.float32)
    even[np.argsort(attribution.ravel())[:size]] = 1
    found = localise(even.reshape(mask.shape), mask, 0)
    assert found["relevance_mass"][0] <= found["relevance_mass_best"][0] + 1e-6


@given(masks.filter(np.any), st.integers(1, 8))
def test_the_best_is_no_worse_than_knowing_nothing_and_no_better_than_all(mask, side):
    found = localise(np.ones((len(mask), side, side), np.float32), mask, 0)
    for measure in ("relevance_mass", "relevance_rank"):
        there = ~np.isnan(found["mask_area"])
        assert (found["mask_area"][there] <= found[f"{measure}_best"][there] + 1e-9).all()
        assert (found[f"{measure}_best"][there] <= 1 + 1e-12).all()


@given(maps(), st.floats(0, 0.5), st.floats(0, 0.5))
def test_more_tolerance_never_makes_a_hit_a_miss(pair, some, more):
    less, more = sorted((some, more))
    strict, lenient = localise(*pair, less), localise(*pair, more)
    assert strict["pointing_game"][0] <= lenient["pointing_game"][0]
    assert strict["pointing_chance"][0] <= lenient["pointing_chance"][0]


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    for name, values in one.items():
        np.testing.assert_allclose(values, other[name], atol=1e-12, err_msg=name)
