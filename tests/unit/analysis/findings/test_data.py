"""Findings about the dataset: their states and numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from resomap.analysis.findings import data as findings
from tests.dataset_facts import copy_row, facts_of, with_sizes

TEST_LEAKS = tuple(
    copy_row(f"test/{number}.jpg", "test", f"train/{number}.jpg", "train")
    for number in range(3)
)
VAL_LEAK = copy_row("val/0.jpg", "val", "train/9.jpg", "train")


def test_leak_counts_images_by_pair_of_splits(tmp_path: Path) -> None:
    finding = findings.leak(facts_of(tmp_path, copies=(*TEST_LEAKS, VAL_LEAK)))
    assert (finding.state, finding.numbers["images"].value) == ("fires", 4)
    pairs = [(part.subject["splits"], part.numbers["images"].value) for part in finding.parts]
    assert pairs == [(("train", "test"), 3), (("train", "val"), 1)]
    assert finding.subject["first"] == "train/0.jpg"


def test_contradiction_names_both_labels(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, copies=(copy_row("a", "train", "b", "train", 1, 0),))
    finding = findings.contradiction(facts)
    assert (finding.state, finding.numbers["images"].value) == ("fires", 1)
    assert (finding.subject["first_value"], finding.subject["second_value"]) == (
        "torpedo",
        "starfish",
    )


def test_copy_inside_split_raises_no_alarm(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, copies=(copy_row("a", "train", "b", "train"),))
    assert findings.leak(facts).state == findings.contradiction(facts).state == "silent"
    assert findings.copies_of_train_in_test(facts).state == "not shown"
    numbers = findings.copies(facts).numbers
    assert [estimate.value for estimate in numbers.values()] == [1, 0, 0]


@pytest.mark.parametrize(
    ("copies", "state", "count"),
    [((*TEST_LEAKS, VAL_LEAK), "shown", 3), ((VAL_LEAK,), "not shown", 0)],
)
def test_copies_of_train_in_test_are_counted(
    copies: Any, state: str, count: int, tmp_path: Path
) -> None:
    finding = findings.copies_of_train_in_test(facts_of(tmp_path, copies=copies))
    assert (finding.state, finding.numbers["images"]) == (state, (count, None, None, 40))


def test_unusable_files_and_empty_classes_are_found(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, test=6, bad=(("a.jpg", "no image"), ("b.jpg", "no image")))
    assert findings.unusable_files(facts).numbers["files"] == (2, None, None, 1632)
    (finding,) = findings.empty_classes(facts)
    assert finding.subject == {"split": "test", "classes": ["ray-bars", "ray-stripes"]}


def test_detail_is_that_of_both_ends_and_worst_class(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, grouped=True)
    facts.spectrum[0, [12, 18]] = 0.61, 0.974
    facts.spectrum[8, 12] = 0.5
    finding = findings.detail_kept(facts, [24, 36, 48])
    shares = {part.subject["resolution"]: part.numbers["share"].value for part in finding.parts}
    assert shares == {24: 0.61, 36: 0.974}
    assert finding.subject["worst_class"] == "ray-stripes"
    assert finding.numbers["worst_share"].value == 0.5


def test_resolutions_above_stored_keep_all_detail(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, grouped=True)
    assert findings.detail_kept(facts, [48, 96]).state == "all kept"


def test_unknown_spectra_of_classes_name_none(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, grouped=True)
    facts.spectrum[1:] = np.nan
    assert "worst_class" not in findings.detail_kept(facts, [24]).subject


@pytest.mark.parametrize(
    ("sizes", "resolutions", "state", "side"),
    [
        ([(30, 40, 12), (300, 400, 88)], [24, 40], "some upscaled", 40),
        ([(30, 40, 12), (300, 400, 88)], [24, 224], "some upscaled", 48),
        ([(60, 60, 1), (90, 60, 1)], [24, 224], "none upscaled", 48),
        ([(32, 24, 7)], [24], "one size", None),
    ],
    ids=["up to the largest resolution", "never more than is stored", "none", "one size"],
)
def test_sizes_are_compared_with_largest_needed_side(
    sizes: Any, resolutions: list[int], state: str, side: int | None, tmp_path: Path
) -> None:
    finding = findings.image_sizes(with_sizes(facts_of(tmp_path), *sizes), resolutions)
    assert (finding.state, finding.subject.get("side")) == (state, side)
    if state == "some upscaled":
        assert finding.numbers["smaller"].value == pytest.approx(0.12)


@pytest.mark.parametrize(
    ("aspect", "mean"), [("squash", 1.5), ("center_crop", 0.25), ("letterbox", 0.25)]
)
def test_squaring_averages_over_images(aspect: str, mean: float, tmp_path: Path) -> None:
    facts = with_sizes(facts_of(tmp_path, aspect=aspect), (60, 60, 1), (40, 80, 1))
    assert findings.squaring(facts).numbers["mean"].value == pytest.approx(mean)


@pytest.mark.parametrize(
    ("counts", "state", "smallest", "largest"),
    [
        ([[4, 1, 0], [20, 3, 3]], "unbalanced", 5, 26),
        ([[4, 1, 0], [3, 1, 1]], "balanced", 5, 5),
        ([[0, 0, 0], [3, 1, 1]], "empty classes", 0, 5),
    ],
)
def test_balance_compares_largest_and_smallest_class(
    counts: list[list[int]], state: str, smallest: int, largest: int
) -> None:
    finding = findings.class_balance(pd.DataFrame(counts))
    assert finding.state == state
    assert finding.numbers["smallest"].value == smallest
    assert finding.numbers["largest"].value == largest


@pytest.mark.parametrize(
    ("assigned", "given"), [((), ["train", "val", "test"]), (("val",), ["train", "test"])]
)
def test_splits_are_given_or_assigned(
    assigned: tuple[str, ...], given: list[str], tmp_path: Path
) -> None:
    finding = findings.dataset_splits(facts_of(tmp_path, drawn=assigned))
    assert finding.subject["given"] == given
    assert finding.subject["assigned"] == list(assigned)
    assert [finding.numbers[name].value for name in ("images", "train", "classes")] == [
        1664,
        1600,
        8,
    ]


def test_notes_are_counted_by_kind(tmp_path: Path) -> None:
    notes = {"animated": 2, "palette": 1200, "alpha": 0}
    finding = findings.image_notes(facts_of(tmp_path, notes=notes))
    assert {note: count.value for note, count in finding.numbers.items()} == {
        "animated": 2,
        "palette": 1200,
    }


def test_side_lengths_have_weighted_median(tmp_path: Path) -> None:
    facts = with_sizes(facts_of(tmp_path), (30, 40, 1), (600, 400, 3))
    assert findings.side_lengths(facts).numbers["median"] == (400, 30, 400, 4)
