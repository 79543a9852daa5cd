"""The classes on the page: what changes with resolution, pairs, and images that need pixels."""

import base64
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from resomap.analysis.facts import Facts, read_facts
from resomap.analysis.tables import Tables, read_tables
from resomap.report.classes import class_rows, classes_section
from resomap.report.text.page.classes import class_sentence
from tests.sentences import overloaded
from tests.synthetic import CLASSES, Sweep, aggregate


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    aggregate(folder, Sweep(test=160, val=80, explained=0))
    return folder


@pytest.fixture(scope="module")
def tables(folder: Path) -> Tables:
    return read_tables(folder / "tables")


@pytest.fixture(scope="module")
def facts(folder: Path) -> Facts:
    return read_facts(folder / "data")


@pytest.fixture(scope="module")
def section(tables: Tables, facts: Facts) -> dict[str, Any]:
    return classes_section(tables, facts, 0.95)


def test_classes_that_change_most_come_first(section: dict[str, Any]) -> None:
    changes = [abs(row["change"]) for row in section["rows"]]
    assert changes == sorted(changes, reverse=True)
    assert {row["name"] for row in section["rows"]} == set(CLASSES)
    assert section["intro"].startswith("From 24 to 96 px, ")


def test_accuracy_of_a_class_stands_with_its_interval(
    section: dict[str, Any], tables: Tables
) -> None:
    table = tables.class_accuracy.set_index(["model", "class", "resolution"])
    for row in section["rows"]:
        for px, cell in zip(section["resolutions"], row["cells"], strict=True):
            expected = table.loc[(section["model"], row["name"], px)]
            names = ["accuracy", "accuracy_low", "accuracy_high"]
            assert [cell[name] for name in names] == expected[names].tolist()


def test_fine_stripes_are_separated_by_pixels(section: dict[str, Any]) -> None:
    pairs = [(pair["first"], pair["second"]) for pair in section["pairs"]]
    assert ("ray-bars", "ray-stripes") in pairs
    first, *_, last = section["pairs"][0]["cells"]
    assert first["count"] > last["count"]
    assert overloaded([section["intro"], section["images_intro"]]) == []


def test_images_have_their_file_class_and_a_picture(section: dict[str, Any]) -> None:
    first = section["images"][0]
    assert first["source"] == f"test/{first['index']}.jpg"
    assert first["class"] == CLASSES[first["index"] % len(CLASSES)]
    content = base64.b64decode(first["picture"].partition(",")[2])
    assert Image.open(BytesIO(content)).size == (72, 72)


def test_images_that_are_not_at_hand_have_no_picture(tables: Tables, facts: Facts) -> None:
    elsewhere = replace(facts, folder=facts.folder.parent / "data")
    (facts.folder / "rows_test.npy").rename(facts.folder / "moved.npy")
    try:
        images = classes_section(tables, elsewhere, 0.95)["images"]
    finally:
        (facts.folder / "moved.npy").rename(facts.folder / "rows_test.npy")
    assert {image["picture"] for image in images} == {""}


def test_class_that_one_cell_lacks_has_a_blank() -> None:
    row = {"class": "cat", "n": 5, "accuracy_low": 0.1, "accuracy_high": 0.9}
    own = pd.DataFrame([row | {"resolution": 48, "accuracy": 0.5}])
    (made,) = class_rows(own, [24, 48])
    assert made["cells"][0] is None
    assert made["change"] == 0


@pytest.mark.parametrize(
    ("rows", "resolutions", "expected"),
    [
        ([], [], "No run has finished."),
        ([{"name": "cat", "change": 0.0}], [24], "The accuracy of each class by net at 24 px."),
        ([{"name": "cat", "change": -0.1}], [24, 48], "it loses 10 points."),
        ([{"name": "cat", "change": 0.0}], [24, 48], "No class changes"),
    ],
)
def test_sentence_names_the_class_that_changes_most(
    rows: list[dict[str, Any]], resolutions: list[int], expected: str
) -> None:
    assert expected in class_sentence("net", rows, resolutions)


def test_sweep_without_a_run_has_an_empty_section(tmp_path: Path) -> None:
    waiting = tuple(("tiny_cnn", 24, seed) for seed in (0, 1))
    sweep = Sweep(models=("tiny_cnn",), resolutions=(24,), test=40, val=24, waiting=waiting)
    aggregate(tmp_path, sweep)
    section = classes_section(
        read_tables(tmp_path / "tables"), read_facts(tmp_path / "data"), 0.95
    )
    assert (section["rows"], section["pairs"], section["images"]) == ([], [], [])
