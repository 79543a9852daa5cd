from pathlib import Path

import pytest

from resomap.data.sources.listing import Listing
from resomap.data.sources.user_files import list_images
from resomap.errors import ConfigError
from tests.image_files import data_section, noise, save, write_classes


def list_folder(folder: Path, **keys) -> Listing:
    data = data_section(folder, dataset="folder", path=str(folder / "images"), **keys)
    return list_images(data)


def test_files_are_listed_by_name_at_any_depth(tmp_path):
    write_classes(tmp_path / "images", {"dog": 2, "cat/young": 1, "cat": 1})
    (tmp_path / "images" / "cat" / ".hidden.png").write_bytes(b"x")
    (tmp_path / "images" / ".git").mkdir()
    (tmp_path / "images" / "dog" / "Thumbs.db").write_bytes(b"x")
    listing = list_folder(tmp_path)
    assert listing.classes == ("cat", "dog")
    assert [(entry.name, entry.label, entry.split) for entry in listing.entries] == [
        ("cat/0000.png", 0, None),
        ("cat/young/0000.png", 0, None),
        ("dog/0000.png", 1, None),
        ("dog/0001.png", 1, None),
    ]


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train", "val", "test"), ["train", "val", "test"]),
        (("training", "valid"), ["train", "val"]),
    ],
)
def test_split_folders_are_known_by_several_names(tmp_path, names, splits):
    for name in names:
        write_classes(tmp_path / "images" / name, {"cat": 1, "dog": 1})
    entries = list_folder(tmp_path).entries
    assert [entry.split for entry in entries[::2]] == splits
    assert [entry.split for entry in entries[1::2]] == splits


@pytest.mark.parametrize("names", [("train", "tram"), ("control", "test")])
def test_class_may_be_named_like_a_split(tmp_path, names):
    write_classes(tmp_path / "images", dict.fromkeys(names, 2))
    assert list_folder(tmp_path).classes == names


def test_images_beside_class_folders_are_unusable(tmp_path):
    write_classes(tmp_path / "images", {"cat": 1, "dog": 1})
    save(tmp_path / "images" / "lost.PNG", noise(1), format="PNG")
    (tmp_path / "images" / "README.txt").write_text("mine")
    assert list_folder(tmp_path).unusable == [("lost.PNG", "is in no class folder")]


def test_link_to_folder_above_is_not_followed(tmp_path):
    write_classes(tmp_path / "images", {"a": 6, "b": 6})
    (tmp_path / "images" / "a" / "up").symlink_to(tmp_path / "images")
    (tmp_path / "images" / "b" / "again").symlink_to(tmp_path / "images" / "b")
    names = [entry.name for entry in list_folder(tmp_path).entries]
    assert len(names) == len(set(names))
    assert {name.split("/")[0] for name in names} == {"a", "b"}


@pytest.mark.parametrize(
    ("pattern", "groups"), [(r"/(p\d)_", ["p1", "p1", "p2"]), (r"p\d_", ["p1_", "p1_", "p2_"])]
)
def test_group_is_the_bracket_or_the_match(tmp_path, pattern, groups):
    for name in ("p1_a", "p1_b", "p2_a"):
        save(tmp_path / "images" / "cat" / f"{name}.png", noise(1))
        save(tmp_path / "images" / "dog" / f"{name}.png", noise(1))
    entries = list_folder(tmp_path, group=pattern).entries
    assert [entry.group for entry in entries] == groups * 2


def test_group_pattern_without_match_is_refused(tmp_path):
    write_classes(tmp_path / "images", {"cat": 1, "dog": 1})
    with pytest.raises(
        ConfigError, match=r"data\.folder\.group: .* match in cat/0000\.png \(2 of 2"
    ):
        list_folder(tmp_path, group=r"q\d")


def test_masks_have_the_names_of_images(tmp_path):
    write_classes(tmp_path / "images", {"cat": 2, "dog": 1})
    mask = save(tmp_path / "masks" / "cat" / "0001.png", noise(1))
    listing = list_folder(tmp_path, masks=str(tmp_path / "masks"))
    assert listing.has_masks
    assert [entry.location.mask for entry in listing.entries] == [None, str(mask), None]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "holds no folders"),
        ({"cat": 2}, r"holds one class \(cat\)"),
        ({"cat": 2, "dog": 0}, "no training image of class dog"),
        ({f"c{index:02d}": 0 for index in range(9)}, r"c00, c01, c02, c03, c04 and 4 more"),
        ({"train/cat": 1, "train/dog": 1, "test/cow": 1}, "no training image of class cow"),
    ],
)
def test_folder_without_trainable_classes_is_refused(tmp_path, counts, message):
    write_classes(tmp_path / "images", counts)
    for name in ("", *counts):
        (tmp_path / "images" / name).mkdir(exist_ok=True, parents=True)
    with pytest.raises(ConfigError, match=message):
        list_folder(tmp_path)


@pytest.mark.parametrize("key", ["path", "masks"])
def test_missing_folder_is_named_with_its_key(tmp_path, key):
    write_classes(tmp_path / "images", {"cat": 1, "dog": 1})
    keys = {"path": str(tmp_path / "images"), key: str(tmp_path / "nowhere")}
    with pytest.raises(ConfigError, match=rf"data\.folder\.{key}: .*nowhere"):
        list_images(data_section(tmp_path, dataset="folder", **keys))
