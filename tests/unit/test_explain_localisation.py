import numpy as np
import pytest

from resomap.explain.localisation import area_average, localise


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros((1, 12, 12), np.uint8)
    mask[0, 2:6, 4:8] = 255
    return mask


def blob(rows: slice, columns: slice) -> np.ndarray:
    """A hill without ties, positive inside, slightly negative elsewhere."""
    attribution = np.full((1, 12, 12), -0.1, np.float32)
    patch = attribution[0, rows, columns]
    patch[:] = 1 + np.arange(patch.size).reshape(patch.shape) / 100
    return attribution


def test_evidence_on_the_object_scores_one(mask):
    result = {name: values[0] for name, values in localise(blob(slice(2, 6), slice(4, 8)), mask).items()}
    assert result == {"relevance_mass": 1, "relevance_rank": 1, "pointing_game": 1, "mask_area": 16 / 144, "zero_map": 0}


def test_evidence_beside_the_object_scores_nothing(mask):
    result = localise(blob(slice(6, 12), slice(0, 4)), mask)
    assert (result["relevance_mass"][0], result["relevance_rank"][0], result["pointing_game"][0]) == (0, 0, 0)


def test_half_of_the_evidence_on_the_object_scores_a_half(mask):
    attribution = np.zeros((1, 12, 12), np.float32)
    attribution[0, 2:6, 6:10] = 1
    result = localise(attribution, mask)
    assert result["relevance_mass"][0] == 0.5
    assert result["relevance_rank"][0] == 0.5


def test_negative_relevance_takes_nothing_away(mask):
    attribution = blob(slice(2, 6), slice(4, 8))
    attribution[0, 0, 0] = -100
    assert localise(attribution, mask)["relevance_mass"][0] == 1


@pytest.mark.parametrize("level", [0, -1])
def test_a_map_without_positive_relevance_is_a_counted_miss(mask, level):
    result = localise(np.full((1, 12, 12), level, np.float32), mask)
    assert result["zero_map"][0] == 1
    assert (result["relevance_mass"][0], result["relevance_rank"][0], result["pointing_game"][0]) == (0, 0, 0)


def test_two_equal_maxima_point_nowhere(mask):
    attribution = np.zeros((1, 12, 12), np.float32)
    attribution[0, 3, 5] = attribution[0, 4, 6] = 1
    assert localise(attribution, mask)["pointing_game"][0] == 0


@pytest.mark.parametrize(("coverage", "hit"), [(127, 0), (128, 1)])
def test_pointing_hits_a_cell_that_is_at_least_half_covered(coverage, hit):
    mask = np.full((1, 4, 4), coverage, np.uint8)
    assert localise(np.eye(4, dtype=np.float32)[None] * [1, 2, 3, 4], mask)["pointing_game"][0] == hit


def test_a_uniform_map_knows_nothing(mask):
    result = localise(np.ones((1, 12, 12), np.float32), mask)
    assert result["relevance_mass"][0] == pytest.approx(16 / 144)
    assert result["relevance_rank"][0] == pytest.approx(16 / 144)


def test_a_mask_smaller_than_a_cell_still_has_a_rank():
    mask = np.zeros((1, 12, 12), np.uint8)
    mask[0, 0, 0] = 255
    attribution = np.zeros((1, 3, 3), np.float32)
    attribution[0, 0, 0] = 1
    assert localise(attribution, mask)["relevance_rank"][0] == pytest.approx(1 / 16)


def test_pixels_that_straddle_cells_are_shared():
    mask = np.array([[[255, 0, 0]]], np.uint8)
    np.testing.assert_allclose(area_average(mask, 2)[0, 0], [2 / 3, 0])


def test_a_grid_that_divides_the_mask_takes_block_means():
    mask = np.random.default_rng(0).integers(256, size=(2, 128, 128), dtype=np.uint8)
    blocks = mask.reshape(2, 32, 4, 32, 4).mean(axis=(2, 4)) / 255
    np.testing.assert_allclose(area_average(mask, 32), blocks)


def test_no_pictures_have_no_localisation():
    result = localise(np.zeros((0, 6, 6), np.float32), np.zeros((0, 128, 128), np.uint8))
    assert all(values.shape == (0,) for values in result.values())


def test_a_picture_without_an_object_has_no_measure():
    maps = np.ones((2, 4, 4), np.float32)
    masks = np.zeros((2, 8, 8), np.uint8)
    masks[0, :4] = 255
    found = localise(maps, masks)
    for name in ("relevance_mass", "relevance_rank", "pointing_game", "mask_area"):
        assert not np.isnan(found[name][0])
        assert np.isnan(found[name][1])
    assert found["zero_map"].tolist() == [0, 0]
