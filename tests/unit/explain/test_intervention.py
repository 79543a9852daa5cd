import numpy as np
import pytest

from resomap.explain.intervention import (
    INTERVENTION_COLUMNS,
    exchange,
    follow,
    intervention_rows,
    partners,
    preferred_class,
    usable,
)

GREY, RED, BLUE = (90, 90, 90), (250, 0, 0), (0, 0, 250)
SWAP = np.array([1, 0])


def box_masks(side: int, *boxes: tuple[slice, slice]) -> np.ndarray:
    masks = np.zeros((len(boxes), side, side), np.uint8)
    for mask, box in zip(masks, boxes, strict=True):
        mask[box] = 255
    return masks


def plain(side: int, *colours: tuple[int, int, int]) -> np.ndarray:
    return np.stack([np.full((side, side, 3), colour, np.uint8) for colour in colours])


@pytest.fixture
def masks() -> np.ndarray:
    return box_masks(32, np.s_[4:12, 4:12], np.s_[18:28, 16:26])


@pytest.fixture
def images(masks: np.ndarray) -> np.ndarray:
    """A red box on noise and a blue box on grey."""
    images = plain(32, GREY, GREY)
    images[0] = np.random.default_rng(0).integers(60, 120, (32, 32, 3))
    images[0][masks[0] > 0], images[1][masks[1] > 0] = RED, BLUE
    return images


def dilate(mask: np.ndarray, by: int) -> np.ndarray:
    steps = range(-by, by + 1)
    return np.any(
        [np.roll(mask > 0, (row, column), (0, 1)) for row in steps for column in steps], axis=0
    )


def test_exchange_keeps_object_and_background_pixels(images, masks):
    exchanged = exchange(images, masks, SWAP)
    assert (exchanged.shape, exchanged.dtype) == (images.shape, np.uint8)
    for position, other in ((0, 1), (1, 0)):
        inside = masks[position] > 0
        untouched = ~(inside | dilate(masks[other], 1))
        assert (exchanged[position][inside] == images[position][inside]).all()
        assert (exchanged[position][untouched] == images[other][untouched]).all()


def test_exchange_fills_the_partner_object(images, masks):
    first, second = exchange(images, masks, SWAP)
    assert (first[masks[0] == 0] == GREY).all()
    filled = second[(masks[0] > 0) & (masks[1] == 0)]
    assert filled.min() >= 60
    assert filled.max() < 120


def test_exchange_removes_soft_object_edges():
    masks = box_masks(32, np.s_[8:20, 8:20], np.s_[0:2, 0:2])
    masks[0, 7, 8:20] = 1  # an edge that is covered by 0.4 % and still fully red
    images = plain(32, GREY, GREY)
    images[0][masks[0] > 0] = RED
    exchanged = exchange(images, masks, SWAP)[1]
    assert np.abs(exchanged.astype(int) - GREY).max() <= 2


def test_exchange_fills_distant_area_with_mean_colour():
    masks = box_masks(64, np.s_[0:64, 0:64], np.s_[60:64, 60:64])
    masks[0, 0, 0] = 0
    images = plain(64, RED, BLUE)
    images[0, 0, 0] = GREY
    exchanged = exchange(images, masks, SWAP)[1]
    assert (exchanged[:60, :60] == GREY).all()
    assert (exchanged[60:, 60:] == BLUE).all()


@pytest.mark.parametrize("factor", [2, 0.5])
def test_exchange_accepts_masks_of_other_sizes(images, masks, factor):
    scaled = masks.repeat(2, axis=1).repeat(2, axis=2) if factor == 2 else masks[:, ::2, ::2]
    np.testing.assert_array_equal(exchange(images, scaled, SWAP), exchange(images, masks, SWAP))


def test_exchange_blends_partly_covered_pixels():
    masks = np.zeros((2, 8, 8), np.uint8)
    masks[:, 4, 4] = (51, 255)  # a fifth and all of the pixel
    images = plain(8, (200, 200, 200), (100, 100, 100))
    assert exchange(images, masks, SWAP)[0, 4, 4].tolist() == [120, 120, 120]


@pytest.mark.parametrize(
    ("labels", "pairs", "expected"),
    [
        pytest.param(
            [0, 1, 1, 0, 2, 3, 3, 2],
            [(0, 1), (2, 3)],
            [1, 0, 3, 2, 5, 4, 7, 6],
            id="pair_partner",
        ),
        pytest.param([0, 0, 2, 2, 5, 5], None, [2, 3, 4, 5, 0, 1], id="next_class"),
        pytest.param([0, 0, 0, 1, 1], [(0, 1)], [3, 4, 3, 0, 1], id="short_class_repeats"),
        pytest.param([0, 2, 4], [(0, 1)], [1, 2, 0], id="partner_without_image"),
    ],
)
def test_partners_match_classes(labels, pairs, expected):
    assert partners(np.array(labels), pairs).tolist() == expected


@pytest.mark.parametrize("pairs", [None, [(0, 1), (2, 3)], [(0, 3)]])
def test_partner_is_always_of_another_class(pairs):
    for seed in range(20):
        labels = np.random.default_rng(seed).integers(0, 4, 11)
        assert (labels[partners(labels, pairs)] != labels).all()


def test_usable_image_has_object_and_background():
    masks = box_masks(8, np.s_[0:8, 0:8], np.s_[0:0, 0:0], np.s_[0:4, 0:8], np.s_[3:4, 3:4])
    assert usable(masks, np.array([0, 1, 0, 1])).tolist() == [False, False, True, True]


def test_usable_needs_two_classes():
    masks = box_masks(8, np.s_[0:4, 0:8], np.s_[3:4, 3:4])
    assert usable(masks, np.array([2, 2])).tolist() == [False, False]


def test_only_the_two_classes_compete():
    logits = np.array([[1.0, 2.0, 9.0], [3.0, 2.0, 9.0]])
    labels, others = np.array([0, 0]), np.array([1, 1])
    assert preferred_class(logits, labels, others).tolist() == [1, 0]
    assert follow(logits, labels, others).tolist() == ["rest", "object"]


def test_follow_separates_object_and_background_readers(images, masks):
    labels, others = np.array([0, 1]), np.array([1, 0])
    exchanged = exchange(images, masks, SWAP).astype(float)
    redness = exchanged[..., 0].max(axis=(1, 2)) - exchanged[..., 2].max(axis=(1, 2))
    roughness = exchanged[:, :, 28:].std(axis=(1, 2, 3)) - 5
    by_object, by_rest = (
        np.stack([values, -values], axis=1) for values in (redness, roughness)
    )
    assert follow(by_object, labels, others).tolist() == ["object"] * 2
    assert follow(by_rest, labels, others).tolist() == ["rest"] * 2


def test_intervention_rows_hold_every_column():
    logits = (np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([[1.0, 2.0], [1.0, 2.0]]))
    positions = (np.array([7, 9]), np.array([9, 7]), np.array([0, 1]), np.array([1, 0]))
    rows = intervention_rows("exchange", *positions, ["broad", "fine"], logits)
    assert [tuple(row) for row in rows] == [INTERVENTION_COLUMNS] * 2
    assert list(rows[0].values()) == ["exchange", 7, 9, 0, 1, "broad", 0, 1, "rest"]
    assert list(rows[1].values()) == ["exchange", 9, 7, 1, 0, "fine", 1, 1, "object"]
    ungrouped = intervention_rows("exchange", *positions, None, logits)
    assert [row["group"] for row in ungrouped] == [None, None]
