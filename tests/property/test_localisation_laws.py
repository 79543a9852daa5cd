import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from resomap.explain.localisation import area_average, localise

masks = arrays(np.uint8, st.tuples(st.integers(1, 2), st.integers(1, 17), st.integers(1, 17)))
levels = st.integers(-3, 3).map(float)


@st.composite
def maps_with_masks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Draw a map and a mask (1, side, side) that is not empty."""
    side = draw(st.integers(2, 6))
    mask = draw(arrays(np.uint8, (1, side, side)).filter(np.any))
    return draw(arrays(np.float32, (1, side, side), elements=levels)), mask


def assert_equal(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    for name, values in first.items():
        np.testing.assert_allclose(values, second[name], atol=1e-12, err_msg=name)


@given(masks, st.integers(1, 25))
def test_area_average_keeps_the_mean(mask, side):
    average = area_average(mask, side)
    expected = mask.mean(axis=(1, 2)) / 255
    np.testing.assert_allclose(average.mean(axis=(1, 2)), expected, atol=1e-12)
    assert average.min() >= 0
    assert average.max() <= 1 + 1e-12


@given(masks, st.integers(1, 5), st.integers(1, 5))
def test_nested_area_averages_equal_one(mask, coarse, factor):
    fine = area_average(mask, coarse * factor)
    blocks = fine.reshape(len(mask), coarse, factor, coarse, factor).mean(axis=(2, 4))
    np.testing.assert_allclose(blocks, area_average(mask, coarse), atol=1e-12)


@given(maps_with_masks())
def test_measures_are_between_zero_and_one(pair):
    assert all(0 <= values[0] <= 1 + 1e-12 for values in localise(*pair, 0.1).values())


@given(maps_with_masks(), st.sampled_from([0.25, 2.0, 1024.0]))
def test_measures_ignore_scale_of_map(pair, scale):
    attribution, mask = pair
    scaled = localise(attribution * np.float32(scale), mask, 0.1)
    assert_equal(scaled, localise(attribution, mask, 0.1))


@given(maps_with_masks(), st.randoms(use_true_random=False))
def test_measures_ignore_order_of_cells(pair, shuffler):
    order = list(range(pair[0].size))
    shuffler.shuffle(order)
    shuffled = (array.reshape(-1)[order].reshape(array.shape) for array in pair)
    assert_equal(localise(*shuffled, 0), localise(*pair, 0))


@given(maps_with_masks())
def test_masses_inside_and_outside_add_up(pair):
    attribution, mask = pair
    assume((mask < 255).any())
    inside, outside = localise(attribution, mask, 0), localise(attribution, 255 - mask, 0)
    total = inside["relevance_mass"] + outside["relevance_mass"]
    np.testing.assert_allclose(total, 1 - inside["zero_map"])


@given(st.permutations(range(16)), arrays(np.bool_, (4, 4)).filter(np.any))
def test_rank_of_binary_mask_is_share_of_top_cells(relevance, mask):
    attribution = np.array([relevance], np.float32).reshape(1, 4, 4)
    inside = set(np.flatnonzero(mask))
    top = set(np.argsort(relevance)[-len(inside) :])
    result = localise(attribution, mask[None] * np.uint8(255), 0)
    expected = len(inside & top) / len(inside)
    np.testing.assert_allclose(result["relevance_rank"][0], expected)


@given(maps_with_masks())
def test_no_rank_exceeds_the_best(pair):
    result = localise(*pair, 0)
    assert result["relevance_rank"][0] <= result["relevance_rank_best"][0] + 1e-12


@given(maps_with_masks())
def test_reduced_mask_has_best_rank(pair):
    mask = pair[1]
    side = max(1, mask.shape[1] // 2)
    result = localise(area_average(mask, side).astype(np.float32), mask, 0)
    np.testing.assert_allclose(
        result["relevance_rank"], result["relevance_rank_best"], atol=1e-6
    )


@given(maps_with_masks())
def test_no_even_map_exceeds_best_mass(pair):
    """A map is spread evenly over as many whole cells as hold the object's area."""
    attribution, mask = pair
    coverage = area_average(mask, mask.shape[1])[0].ravel()
    size = int(np.ceil(coverage.sum() - 1e-6))
    even = np.zeros(mask.size, np.float32)
    even[np.argsort(attribution.ravel())[:size]] = 1
    result = localise(even.reshape(mask.shape), mask, 0)
    assert result["relevance_mass"][0] <= result["relevance_mass_best"][0] + 1e-6


@given(masks.filter(np.any), st.integers(1, 8))
def test_best_is_between_mask_area_and_one(mask, side):
    result = localise(np.ones((len(mask), side, side), np.float32), mask, 0)
    defined = ~np.isnan(result["mask_area"])
    for measure in ("relevance_mass_best", "relevance_rank_best"):
        best = result[measure][defined]
        assert (result["mask_area"][defined] <= best + 1e-9).all()
        assert (best <= 1 + 1e-12).all()


@given(maps_with_masks(), st.floats(0, 0.5), st.floats(0, 0.5))
def test_more_tolerance_keeps_hits(pair, first, second):
    less, more = sorted((first, second))
    strict, lenient = localise(*pair, less), localise(*pair, more)
    for measure in ("pointing_game", "pointing_chance"):
        assert strict[measure][0] <= lenient[measure][0]
