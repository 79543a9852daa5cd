import numpy as np

from resomap.data.loading.random_draws import draw_epoch
from tests.recipes import augmentation

HALF = augmentation(horizontal_flip=0.5)
CLASSES = np.array([0] * 4 + [1] * 40 + [2] * 20)  # shares of 22, 21 and 21


def test_an_epoch_is_drawn_from_its_seed_and_number_alone():
    draws = draw_epoch(3, 7, 50, HALF)
    draw_epoch(3, 8, 50, HALF)
    np.random.seed(0)
    again = draw_epoch(3, 7, 50, HALF)
    np.testing.assert_array_equal(draws.order, again.order)
    np.testing.assert_array_equal(draws.flipped, again.flipped)


def test_other_seeds_and_epochs_draw_otherwise():
    draws = [
        draw_epoch(seed, epoch, 64, HALF) for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    assert len({tuple(each.order) for each in draws}) == 4
    assert len({tuple(each.flipped) for each in draws}) == 4


def test_an_augmentation_does_not_change_the_order():
    flips = [
        draw_epoch(0, 0, 64, augmentation(horizontal_flip=share)) for share in (0.0, 0.5, 1.0)
    ]
    assert len({tuple(each.order) for each in flips}) == 1


def test_a_larger_share_flips_more_of_the_same_pictures():
    few, many = (
        draw_epoch(0, 0, 500, augmentation(horizontal_flip=share)).flipped
        for share in (0.2, 0.6)
    )
    assert few.sum() < many.sum()
    assert not (few & ~many).any()


def test_the_share_of_flips_is_the_one_asked_for():
    none, half, all_ = (
        draw_epoch(0, 0, 4000, augmentation(horizontal_flip=share)).flipped.mean()
        for share in (0.0, 0.5, 1.0)
    )
    assert (none, all_) == (0, 1)
    assert abs(half - 0.5) < 0.03


def test_draws_are_the_same_on_every_machine():
    draws = draw_epoch(0, 0, 8, HALF)
    assert draws.order.tolist() == [2, 4, 3, 6, 5, 0, 1, 7]
    assert draws.flipped.astype(int).tolist() == [1, 1, 0, 1, 1, 1, 1, 1]


def test_a_shuffled_epoch_is_one_permutation_and_every_picture_has_its_own_changes():
    draws = draw_epoch(3, 7, 50, HALF)
    np.testing.assert_array_equal(draws.order, np.random.default_rng([3, 7, 0]).permutation(50))
    np.testing.assert_array_equal(
        draws.flipped, np.random.default_rng([3, 7, 1]).random(50) < 0.5
    )
    np.testing.assert_array_equal(draws.slot, draws.order)


def test_a_balanced_epoch_is_drawn_from_its_seed_and_number_alone():
    draws = draw_epoch(3, 7, 64, HALF, CLASSES)
    draw_epoch(3, 8, 64, HALF, CLASSES)
    np.random.seed(0)
    again = draw_epoch(3, 7, 64, HALF, CLASSES)
    np.testing.assert_array_equal(draws.order, again.order)
    np.testing.assert_array_equal(draws.slot, again.slot)
    others = [
        draw_epoch(seed, epoch, 64, HALF, CLASSES)
        for seed, epoch in ((3, 7), (3, 8), (4, 7), (4, 8))
    ]
    assert len({tuple(each.order) for each in others}) == 4


def test_balanced_sampling_leaves_the_rows_of_changes_as_they_are():
    np.testing.assert_array_equal(
        draw_epoch(3, 7, 64, HALF, CLASSES).flipped, draw_epoch(3, 7, 64, HALF).flipped
    )


def test_every_class_gets_the_picture_left_over_in_some_epoch():
    shares = [
        np.bincount(CLASSES[draw_epoch(0, epoch, 64, HALF, CLASSES).order])
        for epoch in range(60)
    ]
    assert {tuple(each) for each in shares} == {(22, 21, 21), (21, 22, 21), (21, 21, 22)}


def test_another_part_of_a_large_class_comes_each_epoch():
    parts = [
        frozenset(draw_epoch(0, epoch, 64, HALF, CLASSES).order)
        & frozenset(np.flatnonzero(CLASSES == 1))
        for epoch in range(10)
    ]
    assert len(set(parts)) == 10
    assert all(len(part) in (21, 22) for part in parts)
    assert frozenset.union(*parts) == frozenset(np.flatnonzero(CLASSES == 1))


def test_classes_are_mixed_over_a_balanced_epoch():
    comes = np.mean(
        [CLASSES[draw_epoch(0, epoch, 64, HALF, CLASSES).order] == 0 for epoch in range(400)],
        axis=0,
    )
    np.testing.assert_allclose(comes, 1 / 3, atol=0.12)


def test_a_balanced_epoch_is_the_same_on_every_machine():
    draws = draw_epoch(0, 0, 8, HALF, np.array([0, 0, 0, 0, 0, 0, 1, 1]))
    assert draws.order.tolist() == [7, 5, 6, 7, 6, 2, 3, 4]
    assert draws.slot.tolist() == [7, 5, 6, 0, 1, 2, 3, 4]
