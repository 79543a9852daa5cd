import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from resomap.data.loading.random_draws import draw_epoch
from tests.recipes import augmentation

LABELS = st.lists(st.sampled_from([0, 1, 2, 5, 9]), min_size=1, max_size=80).map(np.array)
NUMBERS = {"seed": st.integers(0, 2**63), "epoch": st.integers(0, 1000)}


def draw_balanced_epoch(seed, epoch, labels):
    return draw_epoch(seed, epoch, len(labels), augmentation(), labels)


@settings(deadline=None)
@given(**NUMBERS, count=st.integers(0, 200), share=st.floats(0, 1))
def test_shuffled_epoch_shows_every_image_once(seed, epoch, count, share):
    draws = draw_epoch(seed, epoch, count, augmentation(horizontal_flip=share))
    np.testing.assert_array_equal(np.sort(draws.order), np.arange(count))
    assert draws.flipped.shape == (count,)


@settings(deadline=None)
@given(**NUMBERS, labels=LABELS)
def test_balanced_class_counts_differ_by_at_most_one(seed, epoch, labels):
    order = draw_balanced_epoch(seed, epoch, labels).order
    assert len(order) == len(labels)
    counts = np.bincount(labels[order], minlength=10)[np.unique(labels)]
    assert np.ptp(counts) <= 1


@settings(deadline=None)
@given(**NUMBERS, labels=LABELS)
def test_balanced_image_repeats_after_all_of_its_class(seed, epoch, labels):
    order = draw_balanced_epoch(seed, epoch, labels).order
    counts = np.bincount(order, minlength=len(labels))
    for label in np.unique(labels):
        assert np.ptp(counts[labels == label]) <= 1


@settings(deadline=None)
@given(**NUMBERS, labels=LABELS)
def test_balanced_slots_are_unique_and_own_slot_comes_first(seed, epoch, labels):
    draws = draw_balanced_epoch(seed, epoch, labels)
    np.testing.assert_array_equal(np.sort(draws.slot), np.arange(len(labels)))
    images, first = np.unique(draws.order, return_index=True)
    np.testing.assert_array_equal(draws.slot[first], images)


@settings(deadline=None)
@given(**NUMBERS, size=st.integers(1, 20), classes=st.integers(1, 4))
def test_balanced_equal_classes_show_every_image_once(seed, epoch, size, classes):
    draws = draw_balanced_epoch(seed, epoch, np.arange(size * classes) % classes)
    np.testing.assert_array_equal(np.sort(draws.order), np.arange(size * classes))
    np.testing.assert_array_equal(draws.slot, draws.order)
