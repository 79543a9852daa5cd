"""How folders are understood, and which layouts are refused."""

import pytest

from resomap.data.sources.user_files import list_images
from resomap.errors import ConfigError
from tests.image_files import data_section, noise, save, write_classes


def list_folder(folder, **keys):
    data = data_section(folder, dataset="folder", path=str(folder / "images"), **keys)
    return list_images(data)


def count_by_split(listing):
    counts = {}
    for entry in listing.entries:
        key = (entry.split, listing.classes[entry.label])
        counts[key] = counts.get(key, 0) + 1
    return counts


@pytest.mark.parametrize(
    "names",
    [
        {"train": "Train", "val": "Valid", "test": "Test"},
        {"train": "TRAINING", "val": "Validation", "test": "TESTING"},
        {"train": "training_set", "val": "dev_set", "test": "test_set"},
        {"train": "train-images", "val": "val-images", "test": "test-images"},
        {"train": "train2017", "val": "val2017", "test": "test2017"},
        {"train": "TrainData", "test": "TestData"},
    ],
)
def test_split_folders_are_known_by_their_common_names(tmp_path, names):
    counts = {"train": 4, "val": 2, "test": 3}
    for split, name in names.items():
        write_classes(tmp_path / "images" / name, {"cat": counts[split], "dog": 1})
    expected = {}
    for split in names:
        expected |= {(split, "cat"): counts[split], (split, "dog"): 1}
    listing = list_folder(tmp_path)
    assert count_by_split(listing) == expected
    assert [name for name in names.values() if name not in listing.notes.layout] == []


def test_split_folders_inside_classes_are_read(tmp_path):
    for name in ("cat", "dog"):
        write_classes(tmp_path / "images" / name, {"Train": 4, "Test": 2})
    listing = list_folder(tmp_path)
    assert listing.classes == ("cat", "dog")
    assert count_by_split(listing) == {
        ("train", "cat"): 4,
        ("train", "dog"): 4,
        ("test", "cat"): 2,
        ("test", "dog"): 2,
    }


def test_folders_inside_classes_are_named(tmp_path):
    write_classes(tmp_path / "images", {"car/day": 2, "car/night": 1, "bus/day": 2})
    listing = list_folder(tmp_path)
    assert listing.classes == ("bus", "car")
    assert listing.notes.layout.endswith("do not count: day and night")


@pytest.mark.parametrize(
    ("folders", "named"),
    [
        (
            ["train/cat", "train/dog", "val/cat", "validation/cat"],
            "val and validation all mean",
        ),
        (["Train/cat", "train_set/dog", "test/cat"], "Train and train_set all mean"),
        (["val/cat", "val/dog", "test/cat", "test/dog"], "val and test look .* for training"),
        (["test/cat", "test/dog"], "test looks like splits, and there is none for training"),
        (["train", "test"], "train and test look like splits and hold images but no class"),
        (["Training", "Validation", "more"], "Training and Validation look like splits"),
        (["train/cat", "train/dog", "test"], "test looks like a split and holds images but no"),
        (["train/cat", "train/dog", "bird"], "train looks like splits, and bird beside them"),
        (["trainA", "trainB", "testA", "testB"], "look like splits and like classes"),
        (
            ["fold0/cat", "fold0/dog", "fold1/cat", "fold1/dog"],
            "fold0 and fold1 look like folds",
        ),
        (["fold_1", "fold_2"], "fold_1 and fold_2 look like folds"),
        (["1st fold/cat", "2nd fold/cat"], "1st fold and 2nd fold look like folds"),
        (["part1/cat", "part1/dog", "part2/cat", "part2/dog"], "part1 and part2 look like"),
        (
            ["cat/train", "cat/test", "dog"],
            "only cat of the classes contains train and test, not dog",
        ),
        (["cat/train", "cat/test", "cat/more", "dog/train"], "cat holds the splits .* beside"),
        (["seg_train/seg_train", "seg_test/seg_test"], "seg_train holds seg_train"),
        (
            ["fold0/train", "fold0/test", "fold1/train", "fold1/test"],
            "fold0 and fold1 look like",
        ),
        (["new/train/cat", "new/train/dog", "new/test/cat"], "set the path to new"),
        (["images"], "holds one class .images.* If its classes are the folders inside images"),
        (["cat/train", "cat/training", "cat/test", "dog/train", "dog/test"], "all mean"),
    ],
)
def test_ambiguous_layout_is_refused_with_what_was_understood(tmp_path, folders, named):
    write_classes(tmp_path / "images", dict.fromkeys(folders, 2))
    with pytest.raises(ConfigError, match=named.replace(" ", r"\s")) as caught:
        list_folder(tmp_path)
    assert str(tmp_path / "images") in str(caught.value)
    assert str(caught.value).count("\n") < 3


def test_folders_without_images_are_ignored_and_named(tmp_path):
    images = write_classes(tmp_path / "images", {"cat": 2, "dog": 2})
    for name in ("labels", ".cache", "__MACOSX"):
        (images / name).mkdir()
        (images / name / "note.txt").write_text("x")
    listing = list_folder(tmp_path)
    assert listing.classes == ("cat", "dog")
    assert listing.notes.ignored_folders == [".cache", "__MACOSX", "labels"]


@pytest.mark.parametrize(
    "folders",
    [
        ["cat", "dog", "masks"],
        ["cat", "dog", "Ground_Truth"],
        ["cat", "dog", "mask/cat", "mask/dog"],
        ["train/cat", "train/dog", "train/masks"],
        ["train/cat", "train/dog", "masks/cat"],
    ],
)
def test_masks_among_classes_are_refused(tmp_path, folders):
    write_classes(tmp_path / "images", dict.fromkeys(folders, 2))
    with pytest.raises(ConfigError, match=r"(?i)mask|ground_truth"):
        list_folder(tmp_path)


def test_class_called_mask_is_a_class(tmp_path):
    write_classes(tmp_path / "images", {"mask": 2, "no_mask": 2})
    assert list_folder(tmp_path).classes == ("mask", "no_mask")


@pytest.mark.parametrize("name", ["0000_mask", "0000-seg", "0000_mask_1", "0000_groundtruth"])
def test_masks_beside_their_images_are_refused(tmp_path, name):
    write_classes(tmp_path / "images", {"cat": 2, "dog": 2})
    save(tmp_path / "images" / "cat" / f"{name}.png", noise(1))
    with pytest.raises(
        ConfigError, match=rf"cat/{name}.png looks like the mask of cat/0000.png"
    ):
        list_folder(tmp_path)


def test_relative_path_keeps_names_whole(tmp_path, monkeypatch):
    write_classes(tmp_path / "images", {"cat": 1, "dog": 1})
    monkeypatch.chdir(tmp_path / "images")
    for path in (".", "./", "../images", "../images/"):
        data = data_section(tmp_path, dataset="folder", path=path)
        names = [entry.name for entry in list_images(data).entries]
        assert names == ["cat/0000.png", "dog/0000.png"], path


def test_class_in_other_letter_case_is_named(tmp_path):
    folders = ["train/Cat", "train/Dog", "test/cat", "test/Dog"]
    write_classes(tmp_path / "images", dict.fromkeys(folders, 2))
    with pytest.raises(ConfigError, match=r"of class cat .*upper and lower case"):
        list_folder(tmp_path)
