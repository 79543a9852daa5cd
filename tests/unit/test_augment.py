import numpy as np

from resomap.data.augment import draw_epoch
from tests.recipes import augmentation

HALF = augmentation(horizontal_flip=0.5)


def test_an_epoch_is_drawn_from_its_seed_and_number_alone():
    draws = draw_epoch(3, 7, 50, HALF)
    draw_epoch(3, 8, 50, HALF)
    np.random.seed(0)
    again = draw_epoch(3, 7, 50, HALF)
    np.testing.assert_array_equal(draws.order, again.order)
    np.testing.assert_array_equal(draws.flipped, again.flipped)


def test_other_seeds_and_epochs_draw_otherwise():
    draws = [draw_epoch(seed, epoch, 64, HALF) for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert len({tuple(each.order) for each in draws}) == 4
    assert len({tuple(each.flipped) for each in draws}) == 4


def test_an_augmentation_does_not_change_the_order():
    flips = [draw_epoch(0, 0, 64, augmentation(horizontal_flip=share)) for share in (0.0, 0.5, 1.0)]
    assert len({tuple(each.order) for each in flips}) == 1


def test_a_larger_share_flips_more_of_the_same_pictures():
    few, many = (draw_epoch(0, 0, 500, augmentation(horizontal_flip=share)).flipped for share in (0.2, 0.6))
    assert few.sum() < many.sum()
    assert not (few & ~many).any()


def test_the_share_of_flips_is_the_one_asked_for():
    none, half, all_ = (draw_epoch(0, 0, 4000, augmentation(horizontal_flip=share)).flipped.mean() for share in (0.0, 0.5, 1.0))
    assert (none, all_) == (0, 1)
    assert abs(half - 0.5) < 0.03


def test_draws_are_the_same_on_every_machine():
    draws = draw_epoch(0, 0, 8, HALF)
    assert draws.order.tolist() == [2, 4, 3, 6, 5, 0, 1, 7]
    assert draws.flipped.astype(int).tolist() == [1, 1, 0, 1, 1, 1, 1, 1]
