import os
from pathlib import Path

import pytest

from resomap.data.sources.user_files import list_images, listing_digest
from resomap.errors import ConfigError
from tests.pictures import data_section, noise, save, write_classes


def listed(folder: Path, **keys):
    return list_images(
        data_section(folder, **{"dataset": "folder", "path": str(folder / "pictures"), **keys})
    )


def table(folder: Path, text: str, **keys):
    (folder / "table.csv").write_text(text, encoding="utf-8")
    return list_images(
        data_section(folder, dataset="csv", path=str(folder / "table.csv"), **keys)
    )


def told(entries):
    return [(entry.name, entry.label, entry.split) for entry in entries]


def test_a_folder_a_class_is_listed_in_the_order_of_names_at_any_depth(tmp_path):
    write_classes(tmp_path / "pictures", {"dog": 2, "cat/young": 1, "cat": 1})
    (tmp_path / "pictures" / "cat" / ".hidden.png").write_bytes(b"x")
    (tmp_path / "pictures" / ".git").mkdir()
    (tmp_path / "pictures" / "dog" / "Thumbs.db").write_bytes(b"x")
    listing = listed(tmp_path)
    assert listing.classes == ("cat", "dog")
    assert told(listing.entries) == [
        ("cat/0000.png", 0, None),
        ("cat/young/0000.png", 0, None),
        ("dog/0000.png", 1, None),
        ("dog/0001.png", 1, None),
    ]


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train", "val", "test"), ("train", "val", "test")),
        (("training", "valid"), ("train", "val")),
    ],
)
def test_splits_that_the_folder_gives_are_kept_by_any_of_their_names(tmp_path, names, splits):
    for name in names:
        write_classes(tmp_path / "pictures" / name, {"cat": 1, "dog": 1})
    listing = listed(tmp_path)
    assert [entry.split for entry in listing.entries] == [
        split for split in splits for _ in range(2)
    ]


def test_a_class_called_train_is_a_class_where_it_holds_pictures(tmp_path):
    write_classes(tmp_path / "pictures", {"train": 2, "tram": 2})
    assert listed(tmp_path).classes == ("train", "tram")


def test_a_class_called_test_is_a_class_where_nothing_is_called_train(tmp_path):
    write_classes(tmp_path / "pictures", {"test": 1, "control": 1})
    assert listed(tmp_path).classes == ("control", "test")


def test_pictures_that_lie_beside_the_classes_are_not_forgotten(tmp_path):
    write_classes(tmp_path / "pictures", {"cat": 1, "dog": 1})
    save(tmp_path / "pictures" / "lost.PNG", noise(1), format="PNG")
    (tmp_path / "pictures" / "README.txt").write_text("mine")
    assert listed(tmp_path).unusable == [("lost.PNG", "lies in no class folder")]


def test_a_group_is_what_the_bracket_of_its_pattern_finds(tmp_path):
    for name in ("p1_a", "p1_b", "p2_a"):
        save(tmp_path / "pictures" / "cat" / f"{name}.png", noise(1))
        save(tmp_path / "pictures" / "dog" / f"{name}.png", noise(1))
    assert [entry.group for entry in listed(tmp_path, group=r"/(p\d)_").entries][:3] == [
        "p1",
        "p1",
        "p2",
    ]
    assert listed(tmp_path, group=r"p\d_").entries[0].group == "p1_"
    with pytest.raises(
        ConfigError, match=r"data\.folder\.group: .* does not match cat/p1_a\.png"
    ):
        listed(tmp_path, group=r"q\d")


def test_masks_are_found_under_the_same_names(tmp_path):
    write_classes(tmp_path / "pictures", {"cat": 2, "dog": 1})
    save(tmp_path / "masks" / "cat" / "0001.png", noise(1))
    listing = listed(tmp_path, masks=str(tmp_path / "masks"))
    assert listing.has_masks
    assert [entry.location.mask for entry in listing.entries] == [
        None,
        str(tmp_path / "masks" / "cat" / "0001.png"),
        None,
    ]


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({}, "holds no folders: one a class is needed"),
        ({"cat": 2}, r"holds one class \(cat\): a classifier needs two or more"),
        (
            {"cat": 2, "dog": 0},
            "no training picture of class dog: add some, or take the class away",
        ),
        (
            {f"c{index:02d}": 0 for index in range(9)},
            r"class c00, c01, c02, c03, c04 and 4 more",
        ),
        ({"train/cat": 1, "train/dog": 1, "test/cow": 1}, "no training picture of class cow"),
    ],
)
def test_a_folder_that_no_classifier_can_learn_from_is_refused_at_once(tmp_path, counts, said):
    (tmp_path / "pictures").mkdir()
    write_classes(tmp_path / "pictures", counts)
    for name in counts:
        (tmp_path / "pictures" / name).mkdir(exist_ok=True, parents=True)
    with pytest.raises(ConfigError, match=said):
        listed(tmp_path)


@pytest.mark.parametrize("key", ["path", "masks"])
def test_a_folder_that_is_not_there_is_named(tmp_path, key):
    write_classes(tmp_path / "pictures", {"cat": 1, "dog": 1})
    with pytest.raises(ConfigError, match=rf"data.folder.{key}: there is no folder .*nowhere"):
        listed(tmp_path, **{key: str(tmp_path / "nowhere")})


def test_a_table_lists_pictures_beside_it_with_all_that_it_knows(tmp_path):
    listing = table(
        tmp_path,
        "path,label,split,group,mask,xmin,ymin,xmax,ymax,doctor\n"
        "a.png,mole,train,p1,,1,2,3.5,4,Who\n"
        " b.png , nevus ,Training,p2,masks/b.png,,,,,\n"
        "a.png,mole,train,p1,,5,6,7,8,Who\n",
    )
    assert listing.classes == ("mole", "nevus")
    assert listing.has_masks
    first, second = listing.entries
    assert first[:4] == ("a.png", 0, "train", "p1")
    assert first.location == (str(tmp_path / "a.png"), None, ((1, 2, 3.5, 4), (5, 6, 7, 8)))
    assert second[:4] == ("b.png", 1, "train", "p2")
    assert second.location.mask == str(tmp_path / "masks/b.png")


def test_a_table_that_a_spreadsheet_wrote_is_read(tmp_path):
    listing = table(tmp_path, "\ufeffpath,label\r\nü.png,1\r\nb.png,2\r\n")
    assert [entry.name for entry in listing.entries] == ["ü.png", "b.png"]
    assert not listing.has_masks


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "lacks the column label and path"),
        ("file,label\na,b\n", "lacks the column path; it has file, label"),
        ("path,label\n", "lists no picture"),
        ("path,label\na.png,\n", "table.csv, line 2: path or label is blank"),
        (
            "path,label,split\na.png,x,train\nb.png,y,dev\n",
            "line 3: split 'dev' is none of train, val, test",
        ),
        (
            "path,label,split\na.png,x,train\nb.png,y,\n",
            "some lines have a split and some have none",
        ),
        ("path,label\na.png,x\nb.png,y\na.png,x\n", "line 4: a.png is listed before"),
        (
            "path,label,xmin,ymin,xmax,ymax\na.png,x,1,2,3,four\nb.png,y,,,,\n",
            "line 2: xmin, ymin, xmax, ymax must be four numbers",
        ),
        (
            "path,label,xmin,ymin,xmax,ymax\na.png,x,5,2,3,4\nb.png,y,,,,\n",
            "line 2: the box 5, 2, 3, 4 is empty",
        ),
        ("path,label\na.png,x\n", r"holds one class \(x\)"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_its_line(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        table(tmp_path, text)


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"data.csv.path: .*nowhere.csv cannot be read"):
        list_images(data_section(tmp_path, dataset="csv", path=str(tmp_path / "nowhere.csv")))


def test_the_digest_is_the_same_until_a_picture_is_added_removed_replaced_or_moved(tmp_path):
    def digest() -> str:
        return listing_digest(listed(tmp_path))

    pictures = write_classes(tmp_path / "pictures", {"cat": 3, "dog": 3})
    seen = [digest()]
    assert digest() == seen[0]
    save(pictures / "cat" / "0009.png", noise(9))
    seen.append(digest())
    (pictures / "dog" / "0000.png").unlink()
    seen.append(digest())
    os.utime(pictures / "dog" / "0001.png", (1, 1))
    seen.append(digest())
    (pictures / "dog" / "0001.png").rename(pictures / "cat" / "0001b.png")
    seen.append(digest())
    (pictures / "cat").rename(pictures / "lynx")
    seen.append(digest())
    assert len(set(seen)) == len(seen)


def test_the_digest_of_a_table_follows_what_it_says_of_a_picture(tmp_path):
    for name in "ab":
        save(tmp_path / f"{name}.png", noise(1))
    texts = [
        "path,label,group\na.png,x,1\nb.png,y,2\n",
        "path,label,group\na.png,y,1\nb.png,x,2\n",
        "path,label,group\na.png,x,1\nb.png,y,1\n",
    ]
    assert len({listing_digest(table(tmp_path, text)) for text in texts}) == 3
