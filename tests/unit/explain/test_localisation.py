import numpy as np
import pytest

from resomap.explain import localisation
from resomap.explain.localisation import area_average


def localise(
    attributions: np.ndarray, masks: np.ndarray, tolerance: float = 0
) -> dict[str, np.ndarray]:
    return localisation.localise(attributions, masks, tolerance)


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
    result = {
        name: values[0]
        for name, values in localise(blob(slice(2, 6), slice(4, 8)), mask).items()
    }
    assert result == {
        "relevance_mass": 1,
        "relevance_mass_best": 1,
        "relevance_rank": 1,
        "relevance_rank_best": 1,
        "pointing_game": 1,
        "pointing_chance": 16 / 144,
        "mask_area": 16 / 144,
        "zero_map": 0,
    }


def test_evidence_beside_the_object_scores_nothing(mask):
    result = localise(blob(slice(6, 12), slice(0, 4)), mask)
    assert (
        result["relevance_mass"][0],
        result["relevance_rank"][0],
        result["pointing_game"][0],
    ) == (0, 0, 0)


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
    assert (
        result["relevance_mass"][0],
        result["relevance_rank"][0],
        result["pointing_game"][0],
    ) == (0, 0, 0)


def test_two_equal_maxima_point_nowhere(mask):
    attribution = np.zeros((1, 12, 12), np.float32)
    attribution[0, 3, 5] = attribution[0, 4, 6] = 1
    assert localise(attribution, mask)["pointing_game"][0] == 0


@pytest.mark.parametrize(("coverage", "hit"), [(127, 0), (128, 1)])
def test_pointing_hits_a_cell_that_is_at_least_half_covered(coverage, hit):
    mask = np.full((1, 4, 4), coverage, np.uint8)
    assert (
        localise(np.eye(4, dtype=np.float32)[None] * [1, 2, 3, 4], mask)["pointing_game"][0]
        == hit
    )


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


def test_on_a_coarse_grid_the_best_mass_is_that_of_a_map_as_large_as_the_object(mask):
    """Cells of 4 x 4: the object's 4 x 4 pixels fill halves of two, so one cell holds its area, and half of that."""
    best = {
        name: values[0]
        for name, values in localise(np.ones((1, 3, 3), np.float32), mask).items()
        if name.endswith("best")
    }
    assert best == {"relevance_mass_best": 0.5, "relevance_rank_best": 0.5}


def test_an_object_of_a_cell_and_a_bit_takes_two_cells():
    mask = np.zeros((1, 1, 12), np.uint8).repeat(12, axis=1)
    mask[0, :4, :5] = 255
    result = localise(np.ones((1, 3, 3), np.float32), mask)
    assert result["relevance_mass_best"][0] == (1 + 1 / 4) / 2
    assert result["relevance_rank_best"][0] == 1


def test_a_map_that_is_peaked_within_the_object_exceeds_the_best_of_one_that_covers_it():
    mask = np.zeros((1, 12, 12), np.uint8)
    mask[0, :4, :5] = 255
    attribution = np.zeros((1, 3, 3), np.float32)
    attribution[0, 0, 0] = 1
    result = localise(attribution, mask)
    assert result["relevance_mass"][0] == 1 > result["relevance_mass_best"][0]


@pytest.mark.parametrize("side", [6, 12, 24])
def test_the_best_grows_with_the_grid_as_the_reef_says(side):
    """The masks are discs of the reef's area, .13; the reef's own silhouettes reach .73, .86 and .93."""
    y, x = np.mgrid[:128, :128] + 0.5
    centres = np.random.default_rng(0).uniform(40, 88, (50, 2, 1, 1))
    masks = (np.hypot(x - centres[:, 0], y - centres[:, 1]) < 26).astype(np.uint8) * 255
    result = localise(np.ones((50, side, side), np.float32), masks)
    assert result["relevance_mass_best"].mean() == pytest.approx(
        {6: 0.77, 12: 0.88, 24: 0.94}[side], abs=0.02
    )


def pointing_at(row: int, column: int, side: int = 12) -> np.ndarray:
    attribution = np.zeros((1, side, side), np.float32)
    attribution[0, row, column] = 1
    return attribution


@pytest.mark.parametrize(("column", "distance"), [(8, 1), (9, 2), (11, 4)])
def test_pointing_hits_as_far_beside_the_object_as_its_tolerance(mask, column, distance):
    for tolerance, hit in [(distance / 12 - 0.01, 0), (distance / 12 + 0.01, 1)]:
        assert localise(pointing_at(4, column), mask, tolerance)["pointing_game"][0] == hit


def test_the_distance_is_in_picture_widths_and_not_in_cells():
    mask = np.zeros((1, 120, 120), np.uint8)
    mask[0, 50:70, :20] = 255
    for side in (6, 30, 60):
        away = (
            side // 2,
            side // 2,
        )  # centres between pixels 60 and 70, and the object ends at 20
        assert localise(pointing_at(*away, side), mask, 0.32)["pointing_game"][0] == 0
        assert localise(pointing_at(*away, side), mask, 0.43)["pointing_game"][0] == 1


def test_chance_is_the_share_of_cells_that_would_be_hits(mask):
    hits = [
        localise(pointing_at(*divmod(cell, 12)), mask, 0.1)["pointing_game"][0]
        for cell in range(144)
    ]
    assert localise(np.ones((1, 12, 12)), mask, 0.1)["pointing_chance"][0] == np.mean(hits)
    assert (
        np.mean(hits) == (16 + 4 * 4) / 144
    )  # 0.1 widths are 1.2 cells: the neighbours of the 16, without the corners


def test_tolerance_grows_out_of_none_without_a_jump():
    masks = np.random.default_rng(0).integers(256, size=(20, 30, 30), dtype=np.uint8)
    maps = np.random.default_rng(1).normal(size=(20, 7, 7)).astype(np.float32)
    none, little = localise(maps, masks, 0), localise(maps, masks, 1e-9)
    for name, values in none.items():
        np.testing.assert_array_equal(little[name], values)


def test_a_point_on_a_thin_object_is_a_hit_though_its_cell_is_mostly_bare():
    mask = np.zeros((1, 9, 9), np.uint8)
    mask[0, 4] = 255
    assert localise(pointing_at(1, 0, 3), mask)["pointing_game"][0] == 1
    assert localise(pointing_at(0, 0, 3), mask)["pointing_game"][0] == 0


@pytest.mark.parametrize(("pixels", "hit"), [(8, 1), (7, 0)])
def test_a_cell_that_is_half_covered_is_a_hit_though_its_centre_is_bare(pixels, hit):
    mask = np.zeros((1, 4, 4), np.uint8)
    mask.reshape(-1)[:pixels] = 255  # the centre is that of the pixel in row 2 and column 2
    assert localise(pointing_at(0, 0, 1), mask)["pointing_game"][0] == hit


def test_a_mask_that_no_pixel_half_covers_has_no_place_to_point_at():
    result = localise(pointing_at(2, 2), np.full((1, 12, 12), 100, np.uint8), 0.4)
    assert (result["pointing_game"][0], result["pointing_chance"][0]) == (0, 0)
    assert result["relevance_mass"][0] == pytest.approx(100 / 255)


def test_masks_may_be_boxes_of_any_shape_and_coarser_than_the_map():
    mask = np.zeros((1, 4, 8), np.uint8)
    mask[0, 1:3, 2:6] = 255
    result = {
        name: values[0] for name, values in localise(pointing_at(7, 7, 16), mask, 0.05).items()
    }
    assert (result["relevance_mass"], result["pointing_game"], result["mask_area"]) == (
        1,
        1,
        1 / 4,
    )
    assert result["relevance_mass_best"] == 1


def test_no_pictures_have_no_localisation():
    result = localise(np.zeros((0, 6, 6), np.float32), np.zeros((0, 128, 128), np.uint8))
    assert all(values.shape == (0,) for values in result.values())


def test_a_picture_without_an_object_has_no_measure():
    maps = np.ones((2, 4, 4), np.float32)
    masks = np.zeros((2, 8, 8), np.uint8)
    masks[0, :4] = 255
    found = localise(maps, masks)
    for name in set(found) - {"zero_map"}:
        assert not np.isnan(found[name][0])
        assert np.isnan(found[name][1])
    assert found["zero_map"].tolist() == [0, 0]
