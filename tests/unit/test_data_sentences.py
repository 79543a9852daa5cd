from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resomap.report.facts import Facts
from resomap.report.text import data_titles
from resomap.report.text.data import (
    alarm_sentences,
    fact_sentences,
    information_sentences,
    limit_sentences,
)
from tests.dataset_facts import copy_row, facts_of, with_sizes

LEAKS = (
    *(
        copy_row(f"test/{number}.jpg", "test", f"train/{number}.jpg", "train")
        for number in range(3)
    ),
    copy_row("val/0.jpg", "val", "train/9.jpg", "train"),
)


def test_pictures_in_two_splits_raise_an_alarm_with_the_first_of_them(tmp_path: Path) -> None:
    assert list(alarm_sentences(facts_of(tmp_path, copies=LEAKS))) == [
        "Leak: 4 pictures with the same pixels in two splits (3 in train and test; 1 in train and val), such as train/0.jpg (train) and "
        "test/0.jpg (test): what was learnt by heart counts as known."
    ]


def test_equal_pictures_with_different_labels_raise_an_alarm(tmp_path: Path) -> None:
    assert list(
        alarm_sentences(
            facts_of(tmp_path, copies=(copy_row("a", "train", "b", "train", 1, 0),))
        )
    ) == [
        "Contradiction: 1 picture with the same pixels as one of another label, such as b (torpedo) and a (starfish): no network is right on both."
    ]


def test_copies_inside_a_split_with_one_label_are_told_and_raise_no_alarm(
    tmp_path: Path,
) -> None:
    facts = facts_of(tmp_path, copies=(copy_row("a", "train", "b", "train"),))
    assert list(alarm_sentences(facts)) == list(limit_sentences(facts)) == []
    assert fact_sentences(facts)["Copies"] == [
        "Equal to an earlier one, pixel by pixel: 1 picture, 0 of another split, 0 with another label."
    ]


def test_limits_say_by_how_much_a_leak_may_lift_test_accuracies(tmp_path: Path) -> None:
    assert list(limit_sentences(facts_of(tmp_path, copies=LEAKS))) == [
        "Test accuracies may be too high by as much as the share of test pictures that stand in train, too: 3 of 40 (8 %)."
    ]


def test_limits_name_a_leak_that_spares_the_test(tmp_path: Path) -> None:
    assert list(limit_sentences(facts_of(tmp_path, copies=LEAKS[3:]))) == [
        "Accuracies count what was learnt by heart: 1 picture with the same pixels in two splits."
    ]


def test_limits_count_what_was_left_out_and_name_classes_without_pictures(
    tmp_path: Path,
) -> None:
    facts = facts_of(tmp_path, test=6, bad=(("a.jpg", "no picture"), ("b.jpg", "no picture")))
    assert list(limit_sentences(facts)) == [
        "Left out as unusable: 2 of 1,632 files; each is listed with its reason.",
        "Without a test picture: 2 classes (ray-bars and ray-stripes).",
    ]


def test_information_is_told_at_the_ends_of_the_sweep_and_for_the_class_that_loses_most(
    tmp_path: Path,
) -> None:
    facts = facts_of(tmp_path, grouped=True)
    facts.spectrum[0, [12, 18]] = 0.61, 0.974
    facts.spectrum[8, 12] = 0.5
    assert list(information_sentences(facts, [24, 36, 48])) == [
        "24 px keep 61 % of the pictures' detail (spectral energy), 36 px 97 %; least in class ray-stripes (50 % at 24 px)."
    ]


def test_a_sweep_above_the_stored_size_keeps_everything(tmp_path: Path) -> None:
    told = list(information_sentences(facts_of(tmp_path, grouped=True), [48, 96]))
    assert told == ["Every resolution of the sweep holds all that is stored at 48 px."]


def test_classes_that_nobody_looked_at_are_not_named(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, grouped=True)
    facts.spectrum[1:] = np.nan
    assert "class" not in next(information_sentences(facts, [24]))


@pytest.mark.parametrize(
    ("sizes", "resolutions", "told"),
    [
        (
            [(30, 40, 12), (300, 400, 88)],
            [24, 40],
            "12 % of the pictures are smaller than 40 px: there they are enlarged",
        ),
        (
            [(30, 40, 12), (300, 400, 88)],
            [24, 224],
            "12 % of the pictures are smaller than 48 px: there they are enlarged",
        ),
        (
            [(60, 60, 1), (90, 60, 1)],
            [24, 224],
            "No picture is smaller than 48 px, the most that is asked of them",
        ),
        ([(32, 24, 7)], [24], "Every picture is 32 × 24 px"),
    ],
    ids=["up to the largest resolution", "never more than is stored", "none", "one size"],
)
def test_sizes_are_judged_by_the_most_that_is_asked_of_a_picture(
    sizes: list[tuple[int, int, int]], resolutions: list[int], told: str, tmp_path: Path
) -> None:
    assert data_titles.sizes_title(with_sizes(facts_of(tmp_path), *sizes), resolutions) == told


@pytest.mark.parametrize(
    ("aspect", "told"),
    [
        ("squash", "Squashed by a factor of 1.50 in the mean"),
        ("center_crop", "25 % of the area is cut away in the mean"),
        ("letterbox", "25 % of the square stays grey in the mean"),
    ],
)
def test_what_becoming_square_does_is_told(aspect: str, told: str, tmp_path: Path) -> None:
    facts = with_sizes(facts_of(tmp_path, aspect=aspect), (60, 60, 1), (40, 80, 1))
    assert data_titles.shape_title(facts) == told


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        (
            [[4, 1, 0], [20, 3, 3]],
            "The largest class has 5.2 times the pictures of the smallest",
        ),
        ([[4, 1, 0], [3, 1, 1]], "Every class has 5 pictures"),
        ([[0, 0, 0], [3, 1, 1]], "1 of 2 classes have no picture"),
        (
            [[1, 0, 0], [1200, 3, 1]],
            "The largest class has 1,204 times the pictures of the smallest",
        ),
    ],
)
def test_balance_is_the_largest_over_the_smallest(
    counts: list[list[int]], told: str, tmp_path: Path
) -> None:
    assert data_titles.balance_title(pd.DataFrame(counts)) == told


def facts_about(folder: Path, **about: Any) -> dict[str, list[str]]:
    return fact_sentences(facts_of(folder, **about))


@pytest.mark.parametrize(
    ("drawn", "told"),
    [
        ((), "Splits given: train, val and test."),
        (("val",), "Splits given: train and test; dealt by ResoMap: val."),
        (("test", "train", "val"), "Splits dealt by ResoMap: train, val and test."),
    ],
)
def test_splits_are_given_or_dealt(drawn: tuple[str, ...], told: str, tmp_path: Path) -> None:
    assert facts_about(tmp_path, drawn=drawn)["Pictures"] == [
        "1,664 pictures of 8 classes (folder): 1,600 train, 24 val, 40 test.",
        told,
    ]


def test_the_reef_has_neither_files_nor_splits_of_a_source(tmp_path: Path) -> None:
    told = facts_about(tmp_path, grouped=True)
    assert told["Pictures"] == [
        "1,664 pictures of 8 classes (reef): 1,600 train, 24 val, 40 test."
    ]
    assert "Sizes" not in told


def test_notes_say_what_was_done(tmp_path: Path) -> None:
    assert facts_about(tmp_path, notes={"animated": 2, "palette": 1_200})["Noted"] == [
        "animated: 2 (the first frame counts); palette: 1,200."
    ]


def test_sizes_have_their_median(tmp_path: Path) -> None:
    facts: Facts = with_sizes(facts_of(tmp_path), (30, 40, 1), (600, 400, 3))
    assert fact_sentences(facts)["Sizes"][0].startswith(
        "The short side of the files has 30 to 400 px, 400 in the median. They are squashed to a square and stored at 48 px. Squashed by"
    )


@given(st.floats(0, 1))
def test_a_part_is_never_told_as_nothing_or_all(share: float) -> None:
    told = data_titles.percent(share)
    assert (told in ("0 %", "100 %")) == (share in (0, 1))


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (0.1234, "12 %"),
        (0.997, "99.7 %"),
        (0.004, "0.4 %"),
        (1e-6, "less than 0.01 %"),
        (1 - 1e-6, "more than 99.99 %"),
    ],
)
def test_percents_have_as_many_digits_as_they_need(share: float, told: str) -> None:
    assert data_titles.percent(share) == told
