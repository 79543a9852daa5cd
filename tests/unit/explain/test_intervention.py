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


def boxes(count: int, side: int, *places: tuple[slice, slice]) -> np.ndarray:
    masks = np.zeros((count, side, side), np.uint8)
    for mask, place in zip(masks, places, strict=True):
        mask[place] = 255
    return masks


@pytest.fixture
def masks() -> np.ndarray:
    return boxes(2, 32, (slice(4, 12), slice(4, 12)), (slice(18, 28), slice(16, 26)))


@pytest.fixture
def images(masks: np.ndarray) -> np.ndarray:
    """A red box on noise and a blue box on grey."""
    pictures = np.empty((2, 32, 32, 3), np.uint8)
    pictures[0] = np.random.default_rng(0).integers(60, 120, (32, 32, 3))
    pictures[1] = GREY
    pictures[0][masks[0] > 0], pictures[1][masks[1] > 0] = RED, BLUE
    return pictures


SWAP = np.array([1, 0])


def test_the_object_comes_with_its_pixels_and_the_rest_with_its_own(images, masks):
    hybrids = exchange(images, masks, SWAP)
    assert (hybrids.shape, hybrids.dtype) == (images.shape, np.uint8)
    for own, other in ((0, 1), (1, 0)):
        inside, untouched = masks[own] > 0, ~(grown(masks[own], 0) | grown(masks[other], 1))
        assert (hybrids[own][inside] == images[own][inside]).all()
        assert (hybrids[own][untouched] == images[other][untouched]).all()


def grown(mask: np.ndarray, by: int) -> np.ndarray:
    steps = range(-by, by + 1)
    return np.any(
        [np.roll(mask > 0, (row, column), (0, 1)) for row in steps for column in steps], axis=0
    )


def test_nothing_of_the_other_object_remains(images, masks):
    first, second = exchange(images, masks, SWAP)
    assert (first[masks[0] == 0] == GREY).all()
    filled = second[(masks[0] > 0) & (masks[1] == 0)]
    assert filled.min() >= 60
    assert filled.max() < 120


def test_the_soft_rim_of_an_object_goes_with_it():
    masks = boxes(2, 32, (slice(8, 20), slice(8, 20)), (slice(0, 2), slice(0, 2)))
    masks[0, 7, 8:20] = 1  # 0.4 % of a pixel: an edge that is hardly covered, and still all red
    images = np.full((2, 32, 32, 3), GREY, np.uint8)
    images[0][masks[0] > 0] = RED
    hybrid = exchange(images, masks, SWAP)[1]
    assert np.abs(hybrid.astype(int) - GREY).max() <= 2


def test_where_nothing_is_near_the_mean_colour_of_the_rest_fills():
    masks = boxes(2, 64, (slice(0, 64), slice(0, 64)), (slice(60, 64), slice(60, 64)))
    masks[0, 0, 0] = 0
    images = np.stack(
        [np.full((64, 64, 3), RED, np.uint8), np.full((64, 64, 3), BLUE, np.uint8)]
    )
    images[0, 0, 0] = GREY
    hybrid = exchange(images, masks, SWAP)[1]
    assert (hybrid[:60, :60] == GREY).all()
    assert (hybrid[60:, 60:] == BLUE).all()


@pytest.mark.parametrize("factor", [2, 0.5])
def test_a_mask_of_another_size_means_the_same_place(images, masks, factor):
    scaled = masks.repeat(2, axis=1).repeat(2, axis=2) if factor == 2 else masks[:, ::2, ::2]
    np.testing.assert_array_equal(exchange(images, scaled, SWAP), exchange(images, masks, SWAP))


def test_a_half_covered_pixel_is_half_of_each():
    masks = np.zeros((2, 8, 8), np.uint8)
    masks[:, 4, 4] = 255
    masks[0, 4, 4] = 51
    images = np.stack([np.full((8, 8, 3), 200, np.uint8), np.full((8, 8, 3), 100, np.uint8)])
    assert exchange(images, masks, SWAP)[0, 4, 4].tolist() == [120, 120, 120]


def test_the_kth_of_a_class_meets_the_kth_of_its_pairs_other_class():
    labels = np.array([0, 1, 1, 0, 2, 3, 3, 2])
    assert partners(labels, [(0, 1), (2, 3)]).tolist() == [1, 0, 3, 2, 5, 4, 7, 6]


def test_without_pairs_the_next_class_is_met():
    assert partners(np.array([0, 0, 2, 2, 5, 5]), None).tolist() == [2, 3, 4, 5, 0, 1]


def test_a_class_that_runs_short_starts_again():
    assert partners(np.array([0, 0, 0, 1, 1]), [(0, 1)]).tolist() == [3, 4, 3, 0, 1]


def test_a_class_without_pair_or_whose_partner_has_no_picture_meets_the_next():
    assert partners(np.array([0, 2, 4]), [(0, 1)]).tolist() == [1, 2, 0]


@pytest.mark.parametrize("pairs", [None, [(0, 1), (2, 3)], [(0, 3)]])
def test_a_partner_is_always_of_another_class(pairs):
    for seed in range(20):
        labels = np.random.default_rng(seed).integers(0, 4, 11)
        assert (labels[partners(labels, pairs)] != labels).all()


def test_a_picture_needs_an_object_and_a_rest():
    masks = boxes(
        4,
        8,
        (slice(0, 8), slice(0, 8)),
        (slice(0, 0), slice(0, 0)),
        (slice(0, 4), slice(0, 8)),
        (slice(3, 4), slice(3, 4)),
    )
    assert usable(masks, np.array([0, 1, 0, 1])).tolist() == [False, False, True, True]
    assert usable(masks, np.array([0, 1, 2, 2])).tolist() == [False] * 4, (
        "there is no other class to exchange with"
    )


def test_answers_are_compared_between_the_two_classes_alone():
    logits = np.array([[1.0, 2.0, 9.0], [3.0, 2.0, 9.0]])
    labels, others = np.array([0, 0]), np.array([1, 1])
    assert preferred_class(logits, labels, others).tolist() == [1, 0]
    assert follow(logits, labels, others).tolist() == ["rest", "object"]


def test_a_reader_of_objects_follows_the_object_and_a_reader_of_rests_the_rest(images, masks):
    labels, others = np.array([0, 1]), np.array([1, 0])
    hybrids = exchange(images, masks, SWAP).astype(float)
    redness = hybrids[..., 0].max(axis=(1, 2)) - hybrids[..., 2].max(axis=(1, 2))
    smoothness = 5 - hybrids[:, :, 28:].std(axis=(1, 2, 3))
    by_object, by_rest = (
        np.stack([values, -values], axis=1) for values in (redness, -smoothness)
    )
    assert follow(by_object, labels, others).tolist() == ["object"] * 2
    assert follow(by_rest, labels, others).tolist() == ["rest"] * 2


def test_a_row_tells_all_of_a_picture():
    logits = (np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([[1.0, 2.0], [1.0, 2.0]]))
    places = (np.array([7, 9]), np.array([9, 7]), np.array([0, 1]), np.array([1, 0]))
    rows = intervention_rows("exchange", *places, ["broad", "fine"], logits)
    assert [tuple(row) for row in rows] == [INTERVENTION_COLUMNS] * 2
    assert list(rows[0].values()) == ["exchange", 7, 9, 0, 1, "broad", 0, 1, "rest"]
    assert list(rows[1].values()) == ["exchange", 9, 7, 1, 0, "fine", 1, 1, "object"]
    assert [row["group"] for row in intervention_rows("exchange", *places, None, logits)] == [
        None,
        None,
    ]
