from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resomap.config.data import Splits
from resomap.data.sources.listing import ImageEntry
from resomap.data.store.splits import assign_splits
from resomap.errors import DataError

SHARES = Splits(val=0.15, test=0.2, seed=0)


def assign(labels, groups=None, splits=None, pixels=None, seed=0, reverse=False):
    """Assign splits to images of these labels, all with different pixels by default."""
    count = len(labels)
    groups, splits = groups or [None] * count, splits or [None] * count
    entries = [
        ImageEntry(f"{index:04d}.png", *values, None)
        for index, values in enumerate(zip(labels, splits, groups, strict=True))
    ]
    if pixels is None:
        pixels = np.arange(count, dtype=np.uint64)
    settings = SHARES.model_copy(update={"seed": seed})
    return assign_splits(entries[::-1] if reverse else entries, pixels, settings)


@given(st.lists(st.integers(3, 60), min_size=2, max_size=5), st.integers(0, 99))
def test_each_class_has_its_share_in_every_split(counts, seed):
    labels = np.repeat(range(len(counts)), counts).tolist()
    splits, assigned = assign(labels, seed=seed)
    assert assigned == ["test", "val", "train"]
    for label, count in enumerate(counts):
        found = Counter(
            split for split, other in zip(splits, labels, strict=True) if other == label
        )
        assert 0 <= found["test"] - 0.2 * count < 1
        assert 0 <= found["val"] - 0.15 * count < 1 or found["train"] == 1
        assert found["train"] >= 1


@given(st.data(), st.integers(9, 60))
def test_groups_and_copies_stay_in_one_split(data, count):
    def draw(element):
        return data.draw(st.lists(element, min_size=count, max_size=count))

    groups = draw(st.sampled_from(["a", "b", "c", "d", "e", None]))
    pixels = draw(st.integers(0, 3 * count))
    try:
        splits, _ = assign([n % 3 for n in range(count)], groups, pixels=np.array(pixels))
    except DataError:
        return
    for keys in (groups, pixels):
        split_of: dict = {}
        for key, split in zip(keys, splits, strict=True):
            if key is not None:
                assert split_of.setdefault(key, split) == split


@given(st.integers(12, 80), st.integers(0, 9))
def test_added_image_moves_at_most_three_others(count, seed):
    before, _ = assign([0] * count, seed=seed)
    after, _ = assign([0] * (count + 1), seed=seed)
    assert sum(old != new for old, new in zip(before, after, strict=False)) <= 3


def test_order_of_listing_does_not_matter():
    labels = [index % 2 for index in range(40)]
    forwards, _ = assign(labels)
    backwards, _ = assign(labels, reverse=True)
    assert forwards == backwards[::-1]


def test_other_seed_assigns_other_splits():
    labels = [index % 2 for index in range(40)]
    assert assign(labels)[0] != assign(labels, seed=1)[0]


def test_given_splits_are_kept():
    given_splits = ["train"] * 10 + ["val"] * 5 + ["test"] * 5
    assert assign([0, 1] * 10, splits=given_splits) == (given_splits, [])


@pytest.mark.parametrize(("held_out", "missing"), [("test", "val"), ("val", "test")])
def test_missing_split_is_taken_from_training_images(held_out, missing):
    given_splits = ["train"] * 40 + [held_out] * 10
    splits, assigned = assign([0, 1] * 25, splits=given_splits)
    assert assigned == [missing]
    assert splits[40:] == [held_out] * 10
    assert set(splits[:40]) == {"train", missing}


def test_class_of_one_group_is_for_training():
    splits, _ = assign([0] * 6 + [1] * 30, ["only"] * 6 + [None] * 30)
    assert set(splits[:6]) == {"train"}


def test_too_few_groups_are_refused():
    with pytest.raises(DataError, match="too few images, or too few groups, for a val split"):
        assign([0, 0, 1, 1])
