from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resomap.config.data import Splits
from resomap.data.sources.listing import ImageEntry
from resomap.data.store.splits import assign_splits
from resomap.errors import DataError

SPLITS = Splits(val=0.15, test=0.2, seed=0)


def entries(labels, groups=None, splits=None):
    groups, splits = groups or [None] * len(labels), splits or [None] * len(labels)
    return [
        ImageEntry(f"{index:04d}.png", label, split, group, None)
        for index, (label, group, split) in enumerate(zip(labels, groups, splits, strict=True))
    ]


def different(count):
    return np.arange(count, dtype=np.uint64)


@given(st.lists(st.integers(3, 60), min_size=2, max_size=5), st.integers(0, 99))
def test_each_class_has_its_share_in_every_split(counts, seed):
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    dealt, drawn = assign_splits(
        entries(labels), different(len(labels)), SPLITS.model_copy(update={"seed": seed})
    )
    assert drawn == ["test", "val", "train"]
    for label, count in enumerate(counts):
        found = Counter(split for split, own in zip(dealt, labels, strict=True) if own == label)
        assert 0 <= found["test"] - 0.2 * count < 1
        assert 0 <= found["val"] - 0.15 * count < 1 or found["train"] == 1
        assert found["train"] >= 1


@given(st.data(), st.integers(9, 60))
def test_a_group_and_copies_never_stand_on_two_sides(data, count):
    labels = [index % 3 for index in range(count)]
    groups = data.draw(
        st.lists(
            st.sampled_from(["a", "b", "c", "d", "e", None]), min_size=count, max_size=count
        )
    )
    pixels = np.array(
        data.draw(st.lists(st.integers(0, 3 * count), min_size=count, max_size=count)),
        np.uint64,
    )
    try:
        dealt, _ = assign_splits(entries(labels, groups), pixels, SPLITS)
    except DataError:
        return
    for ties in (groups, pixels.tolist()):
        sides: dict = {}
        for tie, split in zip(ties, dealt, strict=True):
            if tie is not None:
                assert sides.setdefault(tie, split) == split


@given(st.integers(12, 80), st.integers(0, 9))
def test_one_more_picture_moves_none_but_a_few_at_the_borders(count, seed):
    splits = SPLITS.model_copy(update={"seed": seed})
    before, _ = assign_splits(entries([0] * count), different(count), splits)
    after, _ = assign_splits(entries([0] * (count + 1)), different(count + 1), splits)
    assert sum(old != new for old, new in zip(before, after, strict=False)) <= 3


def test_the_order_of_the_listing_says_nothing():
    whole = entries([index % 2 for index in range(40)])
    forwards, _ = assign_splits(whole, different(40), SPLITS)
    backwards, _ = assign_splits(whole[::-1], different(40), SPLITS)
    assert forwards == backwards[::-1]


def test_another_seed_deals_other_pictures():
    whole = entries([index % 2 for index in range(40)])
    assert (
        assign_splits(whole, different(40), SPLITS)[0]
        != assign_splits(whole, different(40), SPLITS.model_copy(update={"seed": 1}))[0]
    )


def test_splits_that_are_given_stay():
    given_splits = ["train"] * 10 + ["val"] * 5 + ["test"] * 5
    dealt, drawn = assign_splits(
        entries([0, 1] * 10, splits=given_splits), different(20), SPLITS
    )
    assert (dealt, drawn) == (given_splits, [])


@pytest.mark.parametrize(("held", "missing"), [("test", "val"), ("val", "test")])
def test_what_is_missing_is_taken_from_the_training_pictures_alone(held, missing):
    given_splits = ["train"] * 40 + [held] * 10
    dealt, drawn = assign_splits(
        entries([0, 1] * 25, splits=given_splits), different(50), SPLITS
    )
    assert drawn == [missing]
    assert dealt[40:] == [held] * 10
    assert set(dealt[:40]) == {"train", missing}


def test_a_class_in_one_group_is_for_training():
    labels, groups = [0] * 6 + [1] * 30, ["only"] * 6 + [None] * 30
    dealt, _ = assign_splits(entries(labels, groups), different(36), SPLITS)
    assert set(dealt[:6]) == {"train"}


def test_too_few_groups_are_refused():
    with pytest.raises(
        DataError, match="too few pictures, or too few groups, to keep some for val"
    ):
        assign_splits(entries([0, 0, 1, 1]), different(4), SPLITS)
