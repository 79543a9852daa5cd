from pathlib import Path

import numpy as np
import pytest

from tests.dataset_facts import copy_row, facts_of, with_sizes
from tests.synthetic import CLASSES


def test_counts_are_by_class_and_ordered_split(tmp_path: Path) -> None:
    counts = facts_of(tmp_path).counts
    assert list(counts) == ["train", "val", "test"]
    assert counts.loc["torpedo"].tolist() == [200, 3, 5]


def test_energy_kept_ends_at_half_a_cycle(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    assert facts.energy_kept(24).tolist() == facts.spectrum[:, 12].tolist()
    assert (facts.energy_kept(48) == 1).all()
    assert (facts.energy_kept(224) == 1).all()


@pytest.mark.parametrize(
    ("aspect", "smaller"), [("squash", 0.9), ("center_crop", 0.9), ("letterbox", 0.4)]
)
def test_share_below_reads_the_resized_side(
    aspect: str, smaller: float, tmp_path: Path
) -> None:
    facts = with_sizes(facts_of(tmp_path, aspect=aspect), (30, 20, 4), (80, 40, 5), (60, 60, 1))
    assert facts.share_below(48) == pytest.approx(smaller)


def test_image_of_exact_resolution_is_not_smaller(tmp_path: Path) -> None:
    assert with_sizes(facts_of(tmp_path), (48, 64, 1)).share_below(48) == 0


def test_files_of_equal_size_are_one_row(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, grouped=True)
    assert facts.sizes.to_numpy().tolist() == [[48, 48, 1600 + 24 + 40]]


def test_test_copy_is_found_through_a_third_split(tmp_path: Path) -> None:
    copies = (
        copy_row("train/1", "train", "val/0", "val"),
        copy_row("test/1", "test", "val/0", "val"),
        copy_row("test/2", "test", "val/9", "val"),
    )
    assert facts_of(tmp_path, copies=copies).count_test_copies_of_train() == 1


def test_each_test_copy_of_train_counts_once(tmp_path: Path) -> None:
    copies = (
        copy_row("train/1", "train", "train/0", "train"),
        copy_row("test/1", "test", "train/0", "train"),
        copy_row("test/2", "test", "train/0", "train"),
        copy_row("train/7", "train", "test/5", "test"),
    )
    assert facts_of(tmp_path, copies=copies).count_test_copies_of_train() == 3


def test_leaks_and_contradictions_are_separate(tmp_path: Path) -> None:
    copies = (
        copy_row("a", "train", "b", "test"),
        copy_row("c", "val", "d", "val", 1, 7),
        copy_row("e", "val", "f", "val"),
    )
    facts = facts_of(tmp_path, copies=copies)
    assert facts.leaks["source"].tolist() == ["a"]
    labels = facts.contradictions[["label", "copy_label"]]
    assert labels.to_numpy().tolist() == [[CLASSES[1], CLASSES[7]]]


def test_names_like_numbers_or_blanks_stay_names(tmp_path: Path) -> None:
    copies = (copy_row("007", "train", "NA", "train"),)
    facts = facts_of(tmp_path, copies=copies, bad=(("0010", "null"),))
    assert facts.copies[["source", "copy_of"]].to_numpy().tolist() == [["007", "NA"]]
    assert facts.bad.to_numpy().tolist() == [["0010", "null"]]


def test_energy_of_unanalysed_class_is_nan(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    facts.spectrum[3] = np.nan
    assert np.isnan(facts.energy_kept(24)[3])
