import time

import pytest

from resomap.data.sources import timed_search
from resomap.data.sources.groups import match_groups
from resomap.data.sources.user_files import list_images
from resomap.errors import ConfigError
from tests.image_files import data_section, noise, save, write_classes


@pytest.mark.parametrize("pattern", ["(x*)", "x*", r"(p\d)?", "a|(b)"])
def test_empty_match_is_refused(pattern):
    with pytest.raises(
        ConfigError, match=r"data\.folder\.group: .* matches nothing in a/1\.png"
    ):
        match_groups(pattern, ["a/1.png"])


def test_images_without_group_are_counted():
    with pytest.raises(ConfigError, match=r"does not match in b\.png \(2 of 3 images"):
        match_groups(r"p\d", ["p1.png", "b.png", "c.png"])


def test_catastrophic_pattern_ends_in_a_message(monkeypatch):
    monkeypatch.setattr(timed_search, "TOTAL_SECONDS", 0.3)
    start = time.monotonic()
    with pytest.raises(ConfigError, match="takes too long on aaa"):
        match_groups(r"(a+)+$", ["a" * 60 + "!"])
    assert time.monotonic() - start < 5


def write_patients(folder, shared):
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            for index in range(4):
                patient = f"{split}{index}"
                if index < shared and label == "cat":
                    patient = f"shared{index}"
                save(folder / "images" / split / label / f"{patient}_{index}.png", noise(index))


def list_patients(folder, **keys):
    keys = {"path": str(folder / "images"), "group": r"([^/]+)_\d", **keys}
    return list_images(data_section(folder, dataset="folder", **keys))


def test_group_in_two_given_splits_is_refused(tmp_path):
    write_patients(tmp_path, shared=2)
    with pytest.raises(
        ConfigError, match=r"shared0 \(test, train\), shared1 .*\n.*group_leaks: allow"
    ):
        list_patients(tmp_path)
    accepted = list_patients(tmp_path, group_leaks="allow")
    assert accepted.notes.shared_groups == ["shared0 (test, train)", "shared1 (test, train)"]


def test_groups_inside_given_splits_are_accepted(tmp_path):
    write_patients(tmp_path, shared=0)
    assert list_patients(tmp_path).notes.shared_groups == []


def test_group_in_splits_of_a_table_is_refused(tmp_path):
    table = tmp_path / "list.csv"
    rows = ["a.png,x,train,p1", "b.png,y,train,p2", "c.png,x,test,p1", "d.png,y,test,"]
    table.write_text("\n".join(["path,label,split,group", *rows]))
    with pytest.raises(ConfigError, match=r"p1 \(test, train\)"):
        list_images(data_section(tmp_path, dataset="csv", path=str(table)))


def test_images_without_splits_cannot_leak(tmp_path):
    write_classes(tmp_path / "images", {"cat": 3, "dog": 3})
    listing = list_patients(tmp_path, group=r"/(\d+)")
    assert listing.notes.shared_groups == []
