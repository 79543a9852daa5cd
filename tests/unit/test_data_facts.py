from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from resomap.report.facts import Facts, read_facts
from tests.synthetic import CLASSES, Sweep, write_results


def copy(
    source: str, split: str, copy_of: str, copy_split: str, label: int = 0, copy_label: int = 0
) -> dict[str, Any]:
    return {
        "source": source,
        "split": split,
        "label": label,
        "copy_of": copy_of,
        "copy_split": copy_split,
        "copy_label": copy_label,
    }


def facts_of(folder: Path, **about: Any) -> Facts:
    write_results(
        folder,
        Sweep(
            **{
                "models": (),
                "resolutions": (24, 48),
                "test": 40,
                "val": 24,
                "native": 48,
                "grouped": False,
            }
            | about
        ),
    )
    return read_facts(folder / "data")


def with_sizes(facts: Facts, *sizes: tuple[int, int, int]) -> Facts:
    return Facts(
        **{**vars(facts), "sizes": pd.DataFrame(sizes, columns=["width", "height", "pictures"])}
    )


def test_pictures_are_counted_by_class_and_split_in_the_order_of_the_splits(
    tmp_path: Path,
) -> None:
    counts = facts_of(tmp_path).counts
    assert list(counts) == ["train", "val", "test"]
    assert counts.loc["torpedo"].tolist() == [200, 3, 5]


def test_a_resolution_keeps_what_lies_up_to_half_a_cycle_a_pixel(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    assert facts.energy_kept(24).tolist() == facts.spectrum[:, 12].tolist()
    assert (facts.energy_kept(48) == 1).all()
    assert (facts.energy_kept(224) == 1).all()


@pytest.mark.parametrize(
    ("aspect", "smaller"), [("squash", 0.9), ("center_crop", 0.9), ("letterbox", 0.4)]
)
def test_the_side_that_is_brought_to_the_resolution_decides_what_is_smaller(
    aspect: str, smaller: float, tmp_path: Path
) -> None:
    facts = with_sizes(facts_of(tmp_path, aspect=aspect), (30, 20, 4), (80, 40, 5), (60, 60, 1))
    assert facts.share_below(48) == pytest.approx(smaller)


def test_a_picture_of_exactly_the_resolution_is_not_smaller(tmp_path: Path) -> None:
    assert with_sizes(facts_of(tmp_path), (48, 64, 1)).share_below(48) == 0


def test_files_of_one_size_are_put_together(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, grouped=True)
    assert facts.sizes.to_numpy().tolist() == [[48, 48, 1600 + 24 + 40]]


def test_a_test_picture_that_stands_in_train_is_found_through_the_one_that_both_equal(
    tmp_path: Path,
) -> None:
    copies = (
        copy("train/1", "train", "val/0", "val"),
        copy("test/1", "test", "val/0", "val"),
        copy("test/2", "test", "val/9", "val"),
    )
    assert facts_of(tmp_path, copies=copies).count_test_copies_of_train() == 1


def test_each_test_picture_that_was_learnt_counts_once(tmp_path: Path) -> None:
    copies = (
        copy("train/1", "train", "train/0", "train"),
        copy("test/1", "test", "train/0", "train"),
        copy("test/2", "test", "train/0", "train"),
        copy("train/7", "train", "test/5", "test"),
    )
    assert facts_of(tmp_path, copies=copies).count_test_copies_of_train() == 3


def test_leaks_and_contradictions_are_told_apart(tmp_path: Path) -> None:
    facts = facts_of(
        tmp_path,
        copies=(
            copy("a", "train", "b", "test"),
            copy("c", "val", "d", "val", 1, 7),
            copy("e", "val", "f", "val"),
        ),
    )
    assert facts.leaks["source"].tolist() == ["a"]
    assert facts.contradictions[["label", "copy_label"]].to_numpy().tolist() == [
        [CLASSES[1], CLASSES[7]]
    ]


def test_names_that_look_like_numbers_or_blanks_stay_names(tmp_path: Path) -> None:
    facts = facts_of(
        tmp_path, copies=(copy("007", "train", "NA", "train"),), bad=(("0010", "null"),)
    )
    assert facts.copies[["source", "copy_of"]].to_numpy().tolist() == [["007", "NA"]]
    assert facts.bad.to_numpy().tolist() == [["0010", "null"]]


def test_a_class_that_nobody_looked_at_keeps_nothing_that_is_known(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    facts.spectrum[3] = np.nan
    assert np.isnan(facts.energy_kept(24)[3])
