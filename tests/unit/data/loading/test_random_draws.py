import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import RandomResizedCrop as TorchvisionCrop

from resomap.config.augmentation import (
    ColorJitter,
    GaussianBlur,
    RandAugment,
    RandomErasing,
    RandomResizedCrop,
)
from resomap.data.loading.random_draws import draw_boxes, draw_epoch
from tests.recipes import augmentation

FLIPS = augmentation(horizontal_flip=0.5)
LABELS = np.array([0] * 4 + [1] * 40 + [2] * 20)  # balanced shares: 22, 21 and 21
SECTIONS = {
    "random_resized_crop": RandomResizedCrop(scale=(0.2, 1.0), ratio=(0.75, 1.3333)),
    "rotation_degrees": 20.0,
    "color_jitter": ColorJitter(brightness=0.2, contrast=0.2, saturation=0.3, hue=0.1),
    "blur": GaussianBlur(probability=0.5, sigma=(0.01, 0.03)),
    "erasing": RandomErasing(probability=0.5, scale=(0.02, 0.3), ratio=(0.3, 3.3)),
    "rand_augment": RandAugment(num_ops=2, magnitude=9),
}
each_sampling = pytest.mark.parametrize("labels", [None, LABELS], ids=["shuffled", "balanced"])


@each_sampling
def test_draws_depend_only_on_seed_and_epoch(labels):
    draws = draw_epoch(3, 7, 64, FLIPS, labels)
    draw_epoch(3, 8, 64, FLIPS, labels)
    np.random.seed(0)
    again = draw_epoch(3, 7, 64, FLIPS, labels)
    np.testing.assert_array_equal(draws.order, again.order)
    np.testing.assert_array_equal(draws.slot, again.slot)
    np.testing.assert_array_equal(draws.flipped, again.flipped)


@each_sampling
def test_draws_differ_between_seeds_and_epochs(labels):
    draws = [
        draw_epoch(seed, epoch, 64, FLIPS, labels)
        for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    assert len({tuple(each.order) for each in draws}) == 4
    assert len({tuple(each.flipped) for each in draws}) == 4


def test_larger_flip_probability_flips_a_superset():
    none, few, many, all_ = (
        draw_epoch(0, 0, 4000, augmentation(horizontal_flip=share))
        for share in (0, 0.2, 0.5, 1)
    )
    assert (none.flipped.mean(), all_.flipped.mean()) == (0, 1)
    assert abs(many.flipped.mean() - 0.5) < 0.03
    assert not (few.flipped & ~many.flipped).any()
    assert (none.order == all_.order).all()


def test_draws_are_equal_on_every_machine():
    draws = draw_epoch(0, 0, 8, FLIPS)
    assert draws.order.tolist() == [2, 4, 3, 6, 5, 0, 1, 7]
    assert draws.flipped.astype(int).tolist() == [1, 1, 0, 1, 1, 1, 1, 1]
    balanced = draw_epoch(0, 0, 8, FLIPS, np.array([0, 0, 0, 0, 0, 0, 1, 1]))
    assert balanced.order.tolist() == [7, 5, 6, 7, 6, 2, 3, 4]
    assert balanced.slot.tolist() == [7, 5, 6, 0, 1, 2, 3, 4]


def test_shuffled_epoch_is_one_permutation_with_own_slots():
    draws = draw_epoch(3, 7, 50, FLIPS)
    np.testing.assert_array_equal(draws.order, np.random.default_rng([3, 7, 0]).permutation(50))
    flipped = np.random.default_rng([3, 7, 1]).random(50) < 0.5
    np.testing.assert_array_equal(draws.flipped, flipped)
    np.testing.assert_array_equal(draws.slot, draws.order)


def test_balanced_sampling_keeps_the_flips():
    balanced, shuffled = draw_epoch(3, 7, 64, FLIPS, LABELS), draw_epoch(3, 7, 64, FLIPS)
    np.testing.assert_array_equal(balanced.flipped, shuffled.flipped)


def test_balanced_remainder_goes_to_every_class():
    shares = [
        np.bincount(LABELS[draw_epoch(0, epoch, 64, FLIPS, LABELS).order])
        for epoch in range(60)
    ]
    assert {tuple(each) for each in shares} == {(22, 21, 21), (21, 22, 21), (21, 21, 22)}


def test_balanced_epochs_show_different_parts_of_large_class():
    members = frozenset(np.flatnonzero(LABELS == 1))
    parts = [
        frozenset(draw_epoch(0, epoch, 64, FLIPS, LABELS).order) & members
        for epoch in range(10)
    ]
    assert len(set(parts)) == 10
    assert all(len(part) in (21, 22) for part in parts)
    assert frozenset.union(*parts) == members


def test_balanced_epoch_mixes_classes_uniformly():
    is_rare = [
        LABELS[draw_epoch(0, epoch, 64, FLIPS, LABELS).order] == 0 for epoch in range(400)
    ]
    np.testing.assert_allclose(np.mean(is_rare, axis=0), 1 / 3, atol=0.12)


@pytest.mark.parametrize("section", SECTIONS)
def test_added_augmentation_keeps_other_draws(section):
    without = draw_epoch(1, 2, 50, FLIPS)
    alone = draw_epoch(
        1, 2, 50, augmentation(horizontal_flip=0.5, **{section: SECTIONS[section]})
    )
    every = draw_epoch(1, 2, 50, augmentation(horizontal_flip=0.5, **SECTIONS))
    np.testing.assert_array_equal(without.order, every.order)
    np.testing.assert_array_equal(without.flipped, every.flipped)
    fields = ("box", "angle", "color", "sigma", "erased", "strength")
    drawn = [field for field in fields if getattr(alone, field) is not None]
    assert len(drawn) == 1
    np.testing.assert_array_equal(getattr(alone, drawn[0]), getattr(every, drawn[0]))


def test_boxes_are_distributed_as_in_torchvision():
    box = draw_boxes(np.random.default_rng(0), 20_000, (0.08, 1.0), (0.75, 4 / 3))
    assert (box[:, :2] >= 0).all()
    assert (box[:, :2] + box[:, 2:] <= 1 + 1e-12).all()
    torch.manual_seed(0)
    crop, blank = TorchvisionCrop(1, scale=(0.08, 1.0)), torch.zeros(3, 1000, 1000)
    names, expected = ("left", "top", "width", "height"), []
    for _ in range(4000):
        parameters = crop.make_params([blank])
        expected.append([parameters[name] / 1000 for name in names])
    quantiles = [0.1, 0.5, 0.9]
    np.testing.assert_allclose(
        np.quantile(box, quantiles, axis=0), np.quantile(expected, quantiles, axis=0), atol=0.03
    )


def test_box_that_never_fits_is_largest_and_centred():
    box = draw_boxes(np.random.default_rng(0), 3, (1.0, 1.0), (2.0, 2.0))
    np.testing.assert_allclose(box, [[0.0, 0.25, 1.0, 0.5]] * 3)
