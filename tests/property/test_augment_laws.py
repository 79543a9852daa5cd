import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from resomap.data.loading.random_draws import draw_epoch
from tests.recipes import augmentation

LABELS = st.lists(st.sampled_from([0, 1, 2, 5, 9]), min_size=1, max_size=80).map(np.array)
NUMBERS = {"seed": st.integers(0, 2**63), "epoch": st.integers(0, 1000)}


@settings(deadline=None)
@given(**NUMBERS, count=st.integers(0, 200), share=st.floats(0, 1))
def test_every_picture_comes_once_an_epoch(seed, epoch, count, share):
    draws = draw_epoch(seed, epoch, count, augmentation(horizontal_flip=share))
    np.testing.assert_array_equal(np.sort(draws.order), np.arange(count))
    assert draws.flipped.shape == (count,)


@settings(deadline=None)
@given(**NUMBERS, labels=LABELS)
def test_balanced_classes_come_equally_often(seed, epoch, labels):
    order = draw_epoch(seed, epoch, len(labels), augmentation(), labels).order
    assert len(order) == len(labels)
    times = np.bincount(labels[order], minlength=10)[np.unique(labels)]
    assert times.max() - times.min() <= 1


@settings(deadline=None)
@given(**NUMBERS, labels=LABELS)
def test_a_balanced_picture_repeats_only_after_all_of_its_class(seed, epoch, labels):
    order = draw_epoch(seed, epoch, len(labels), augmentation(), labels).order
    times = np.bincount(order, minlength=len(labels))
    for each in np.unique(labels):
        assert np.ptp(times[labels == each]) <= 1


@settings(deadline=None)
@given(**NUMBERS, labels=LABELS)
def test_every_row_of_changes_is_taken_once_and_a_picture_takes_its_own_first(
    seed, epoch, labels
):
    draws = draw_epoch(seed, epoch, len(labels), augmentation(), labels)
    np.testing.assert_array_equal(np.sort(draws.slot), np.arange(len(labels)))
    pictures, first = np.unique(draws.order, return_index=True)
    np.testing.assert_array_equal(draws.slot[first], pictures)


@settings(deadline=None)
@given(**NUMBERS, size=st.integers(1, 20), classes=st.integers(1, 4))
def test_equal_classes_balanced_are_every_picture_once(seed, epoch, size, classes):
    draws = draw_epoch(
        seed, epoch, size * classes, augmentation(), np.arange(size * classes) % classes
    )
    np.testing.assert_array_equal(np.sort(draws.order), np.arange(size * classes))
    np.testing.assert_array_equal(draws.slot, draws.order)
