import numpy as np
import pytest

from resomap.explain.localisation import area_average, localise


def measure(
    attribution: np.ndarray, mask: np.ndarray, tolerance: float = 0
) -> dict[str, float]:
    """Return the measures of one map (h, h) and one mask (H, W)."""
    measures = localise(attribution[None], mask[None], tolerance)
    return {name: values.item() for name, values in measures.items()}


@pytest.fixture
def mask() -> np.ndarray:
    """A mask of 4 x 4 of 12 x 12 pixels."""
    return rectangle(12, np.s_[2:6, 4:8])


def rectangle(side: int, area: tuple[slice, slice]) -> np.ndarray:
    mask = np.zeros((side, side), np.uint8)
    mask[area] = 255
    return mask


def blob(area: tuple[slice, slice]) -> np.ndarray:
    """Return a map without ties: positive inside the area, slightly negative elsewhere."""
    attribution = np.full((12, 12), -0.1, np.float32)
    patch = attribution[area]
    patch[:] = 1 + np.arange(patch.size).reshape(patch.shape) / 100
    return attribution


def peak(row: int, column: int, side: int = 12) -> np.ndarray:
    attribution = np.zeros((side, side), np.float32)
    attribution[row, column] = 1
    return attribution


def ones(side: int) -> np.ndarray:
    return np.ones((side, side), np.float32)


# Relevance mass and rank accuracy


def test_relevance_on_object_scores_one(mask):
    assert measure(blob(np.s_[2:6, 4:8]), mask) == {
        "relevance_mass": 1,
        "relevance_mass_best": 1,
        "relevance_rank": 1,
        "relevance_rank_best": 1,
        "pointing_game": 1,
        "pointing_chance": 16 / 144,
        "mask_area": 16 / 144,
        "zero_map": 0,
    }


def test_relevance_beside_object_scores_zero(mask):
    result = measure(blob(np.s_[6:12, 0:4]), mask)
    assert result["relevance_mass"] == result["relevance_rank"] == result["pointing_game"] == 0


def test_half_of_relevance_on_object_scores_half(mask):
    attribution = np.zeros((12, 12), np.float32)
    attribution[2:6, 6:10] = 1
    result = measure(attribution, mask)
    assert result["relevance_mass"] == result["relevance_rank"] == 0.5


def test_negative_relevance_does_not_reduce_mass(mask):
    attribution = blob(np.s_[2:6, 4:8])
    attribution[0, 0] = -100
    assert measure(attribution, mask)["relevance_mass"] == 1


def test_uniform_map_scores_mask_area(mask):
    result = measure(ones(12), mask)
    assert result["relevance_mass"] == pytest.approx(16 / 144)
    assert result["relevance_rank"] == pytest.approx(16 / 144)


def test_mask_smaller_than_cell_has_rank():
    result = measure(peak(0, 0, 3), rectangle(12, np.s_[:1, :1]))
    assert result["relevance_rank"] == pytest.approx(1 / 16)


@pytest.mark.parametrize("level", [0, -1])
def test_map_without_positive_relevance_is_counted_miss(mask, level):
    result = measure(level * ones(12), mask)
    assert result["zero_map"] == 1
    assert result["relevance_mass"] == result["relevance_rank"] == result["pointing_game"] == 0


# What the grid allows


def test_best_on_coarse_grid_is_map_of_object_size(mask):
    """Cells of 4 x 4 pixels: the object fills halves of two cells and has the area of one."""
    result = measure(ones(3), mask)
    assert result["relevance_mass_best"] == result["relevance_rank_best"] == 0.5


def test_best_mass_of_object_above_one_cell_uses_two():
    result = measure(ones(3), rectangle(12, np.s_[:4, :5]))
    assert result["relevance_mass_best"] == (1 + 1 / 4) / 2
    assert result["relevance_rank_best"] == 1


def test_peaked_map_exceeds_best_mass():
    result = measure(peak(0, 0, 3), rectangle(12, np.s_[:4, :5]))
    assert result["relevance_mass"] == 1 > result["relevance_mass_best"]


@pytest.mark.parametrize(("side", "best"), [(6, 0.77), (12, 0.88), (24, 0.94)])
def test_best_mass_grows_with_grid(side, best):
    """Discs of the area of reef objects, .13; the reef's own shapes reach .73, .86 and .93."""
    y, x = np.mgrid[:128, :128] + 0.5
    centres = np.random.default_rng(0).uniform(40, 88, (50, 2, 1, 1))
    masks = (np.hypot(x - centres[:, 0], y - centres[:, 1]) < 26).astype(np.uint8) * 255
    result = localise(np.ones((50, side, side), np.float32), masks, 0)
    assert result["relevance_mass_best"].mean() == pytest.approx(best, abs=0.02)


# Pointing game


def test_two_equal_maxima_are_a_miss(mask):
    attribution = peak(3, 5) + peak(4, 6)
    assert measure(attribution, mask)["pointing_game"] == 0


@pytest.mark.parametrize(("coverage", "hit"), [(127, 0), (128, 1)])
def test_hit_needs_half_coverage_of_pixel(coverage, hit):
    attribution = np.eye(4, dtype=np.float32) * [1, 2, 3, 4]
    result = measure(attribution, np.full((4, 4), coverage, np.uint8))
    assert result["pointing_game"] == hit


@pytest.mark.parametrize(("pixels", "hit"), [(8, 1), (7, 0)])
def test_half_covered_cell_with_bare_centre_is_hit(pixels, hit):
    mask = np.zeros(16, np.uint8)
    mask[:pixels] = 255  # the centre of the cell is the pixel in row 2 and column 2
    assert measure(peak(0, 0, 1), mask.reshape(4, 4))["pointing_game"] == hit


def test_mostly_bare_cell_centred_on_object_is_hit():
    thin = rectangle(9, np.s_[4:5, :])
    assert measure(peak(1, 0, 3), thin)["pointing_game"] == 1
    assert measure(peak(0, 0, 3), thin)["pointing_game"] == 0


@pytest.mark.parametrize(("column", "distance"), [(8, 1), (9, 2), (11, 4)])
def test_hit_within_tolerance(mask, column, distance):
    for tolerance, hit in [(distance / 12 - 0.01, 0), (distance / 12 + 0.01, 1)]:
        assert measure(peak(4, column), mask, tolerance)["pointing_game"] == hit


@pytest.mark.parametrize("side", [6, 30, 60])
def test_tolerance_is_in_image_widths(side):
    mask = rectangle(120, np.s_[50:70, :20])
    # The cell is centred between pixels 60 and 70, and the object ends at pixel 20.
    attribution = peak(side // 2, side // 2, side)
    assert measure(attribution, mask, 0.32)["pointing_game"] == 0
    assert measure(attribution, mask, 0.43)["pointing_game"] == 1


def test_pointing_chance_is_share_of_hits(mask):
    hits = [measure(peak(*divmod(cell, 12)), mask, 0.1)["pointing_game"] for cell in range(144)]
    assert measure(ones(12), mask, 0.1)["pointing_chance"] == np.mean(hits)
    # 0.1 widths are 1.2 cells: the direct neighbours of the 16 cells, without the corners.
    assert np.mean(hits) == (16 + 4 * 4) / 144


def test_tiny_tolerance_equals_none():
    masks = np.random.default_rng(0).integers(256, size=(20, 30, 30), dtype=np.uint8)
    maps = np.random.default_rng(1).normal(size=(20, 7, 7)).astype(np.float32)
    none, tiny = localise(maps, masks, 0), localise(maps, masks, 1e-9)
    for name, values in none.items():
        np.testing.assert_array_equal(tiny[name], values)


# Masks


def test_faint_mask_has_no_pointing_target():
    result = measure(peak(2, 2), np.full((12, 12), 100, np.uint8), 0.4)
    assert result["pointing_game"] == result["pointing_chance"] == 0
    assert result["relevance_mass"] == pytest.approx(100 / 255)


def test_mask_may_be_box_coarser_than_map():
    mask = np.zeros((4, 8), np.uint8)
    mask[1:3, 2:6] = 255
    result = measure(peak(7, 7, 16), mask, 0.05)
    assert result["relevance_mass"] == result["relevance_mass_best"] == 1
    assert result["pointing_game"] == 1
    assert result["mask_area"] == 1 / 4


def test_no_images_give_empty_measures():
    result = localise(np.zeros((0, 6, 6), np.float32), np.zeros((0, 128, 128), np.uint8), 0)
    assert all(values.shape == (0,) for values in result.values())


def test_image_with_empty_mask_has_nan_measures():
    masks = np.stack([rectangle(8, np.s_[:4, :]), np.zeros((8, 8), np.uint8)])
    result = localise(np.ones((2, 4, 4), np.float32), masks, 0)
    assert result.pop("zero_map").tolist() == [0, 0]
    for values in result.values():
        assert np.isnan(values).tolist() == [False, True]


def test_area_average_shares_straddling_pixels():
    mask = np.array([[[255, 0, 0]]], np.uint8)
    np.testing.assert_allclose(area_average(mask, 2)[0, 0], [2 / 3, 0])


def test_area_average_on_dividing_grid_is_block_mean():
    mask = np.random.default_rng(0).integers(256, size=(2, 128, 128), dtype=np.uint8)
    blocks = mask.reshape(2, 32, 4, 32, 4).mean(axis=(2, 4)) / 255
    np.testing.assert_allclose(area_average(mask, 32), blocks)
