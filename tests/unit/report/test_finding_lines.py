"""The findings on the page: few lines, alarms first, each with its reason, numbers and figure."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from resomap.analysis.facts import Facts, read_facts
from resomap.analysis.tables import Tables, read_tables
from resomap.report.catalogue import figure_names
from resomap.report.finding_lines import FindingLine, finding_lines
from resomap.workflow.layout import ARTIFACTS
from tests.dataset_facts import copy_row
from tests.sentences import count_numbers, overloaded, split_sentences
from tests.synthetic import Sweep, aggregate

FIGURES = figure_names("reef", explain=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    aggregate(folder, Sweep(test=160, val=80, modes=("raw", "bn"), energy=True))
    return folder


@pytest.fixture(scope="module")
def tables(folder: Path) -> Tables:
    return read_tables(folder / "tables")


@pytest.fixture(scope="module")
def facts(folder: Path) -> Facts:
    return read_facts(folder / "data")


@pytest.fixture(scope="module")
def lines(tables: Tables, facts: Facts) -> list[FindingLine]:
    return finding_lines(tables, facts, FIGURES)


def with_inversion(tables: Tables) -> Tables:
    row = tables.neighbours.iloc[0].to_dict() | {"verdict": "inverted"}
    row |= {"ratio": 0.9, "ratio_low": 0.88, "ratio_high": 0.92}
    return replace(tables, neighbours=pd.DataFrame([row]))


def test_sweep_has_one_line_per_subject(lines: list[FindingLine]) -> None:
    subjects = [line.subject for line in lines]
    assert subjects == ["Accuracy", "Resolution", "Cost", "Evidence", "Images"]


def test_line_is_one_sentence_with_at_most_three_numbers(lines: list[FindingLine]) -> None:
    assert [line.claim for line in lines if len(split_sentences(line.claim)) > 1] == []
    assert overloaded(line.claim for line in lines) == []


def test_reasons_have_at_most_three_numbers_a_sentence(lines: list[FindingLine]) -> None:
    assert overloaded(text for line in lines for text in line.reasons) == []


def test_alarm_comes_first_and_replaces_the_claim(tables: Tables, facts: Facts) -> None:
    first = finding_lines(with_inversion(tables), facts, FIGURES)[0]
    assert (first.subject, first.is_alarm) == ("Cost", True)
    assert "is faster at" in first.claim
    assert any("grows" in reason for reason in first.reasons)
    assert first.numbers[0].interval == "0.88\N{EN DASH}0.92"


def test_leak_is_an_alarm_of_the_images(tables: Tables, facts: Facts) -> None:
    copies = pd.DataFrame([copy_row("test/1", "test", "train/1", "train")])
    first = finding_lines(tables, replace(facts, copies=copies), FIGURES)[0]
    assert (first.subject, first.is_alarm) == ("Images", True)
    assert first.claim.startswith("Leak: 1 image")
    assert len(split_sentences(first.claim)) == 1
    assert "train/1 (train) and test/1 (test)" in first.reasons[0]


def test_every_line_has_its_tables_and_figure(lines: list[FindingLine]) -> None:
    known = {artifact.path for artifact in ARTIFACTS}
    for line in lines:
        assert line.figure in FIGURES
        assert line.evidence
        assert set(line.evidence) <= known


def test_figure_that_the_page_lacks_is_not_linked(tables: Tables, facts: Facts) -> None:
    lines = finding_lines(tables, facts, figure_names("folder", explain=False))
    assert {line.subject: line.figure for line in lines}["Evidence"] == ""


def test_accuracies_stand_with_interval_and_images(lines: list[FindingLine]) -> None:
    (accuracy,) = [line for line in lines if line.subject == "Accuracy"]
    rows = [row for row in accuracy.numbers if row.name.startswith("tiny_cnn")]
    assert rows
    assert all(row.interval and row.n == "160 test images" for row in rows)


def test_sweep_without_a_run_has_the_line_of_the_images(tmp_path: Path) -> None:
    waiting = tuple(("tiny_cnn", 24, seed) for seed in (0, 1))
    sweep = Sweep(models=("tiny_cnn",), resolutions=(24,), test=40, val=24, waiting=waiting)
    aggregate(tmp_path, sweep)
    tables, facts = read_tables(tmp_path / "tables"), read_facts(tmp_path / "data")
    assert [line.subject for line in finding_lines(tables, facts, FIGURES)] == ["Images"]


@pytest.mark.parametrize(
    ("sentence", "numbers"),
    [
        ("From 24 to 96 px, resnet18 gains 25 points.", 3),
        ("An example: train/1.jpg (train), tiny_cnn@96 and 4.5 %.", 1),
        ("Test accuracy 0.950 (95 % interval 0.943\N{EN DASH}0.956), 1 ms.", 4),
    ],
)
def test_numbers_of_a_sentence_are_counted(sentence: str, numbers: int) -> None:
    assert count_numbers(sentence) == numbers
