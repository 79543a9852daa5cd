from pathlib import Path

import pytest

from resomap.data.sources.listing import Listing
from resomap.data.sources.user_files import list_images
from resomap.errors import ConfigError
from tests.image_files import data_section


def list_csv(folder: Path, text: str) -> Listing:
    (folder / "table.csv").write_text(text, encoding="utf-8")
    return list_images(data_section(folder, dataset="csv", path=str(folder / "table.csv")))


def test_csv_lists_images_with_all_columns(tmp_path):
    listing = list_csv(
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
    boxes = ((1, 2, 3.5, 4, 2), (5, 6, 7, 8, 4))
    assert first.location == (str(tmp_path / "a.png"), None, boxes, "table.csv")
    assert second[:4] == ("b.png", 1, "train", "p2")
    assert second.location.mask == str(tmp_path / "masks/b.png")


def test_csv_of_a_spreadsheet_is_read(tmp_path):
    listing = list_csv(tmp_path, "\ufeffpath,label\r\nü.png,1\r\nb.png,2\r\n")
    assert [entry.name for entry in listing.entries] == ["ü.png", "b.png"]
    assert not listing.has_masks


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column label and path"),
        ("file,label\na,b\n", "lacks the column path; it has file, label"),
        ("path,label\n", "lists no image"),
        ("path,label\na.png,\n", "table.csv, line 2: path or label is blank"),
        ("path,label,split\na.png,x,train\nb.png,y,fold1\n", "line 3: split 'fold1' is none"),
        ("path,label,split\na.png,x,train\nb.png,y,\n", "some lines have a split"),
        ("path,label\na.png,x\nb.png,y\na.png,x\n", "line 4: a.png is listed before"),
        ("path,label,xmin,ymin,xmax,ymax\na.png,x,1,2,3,four\n", "line 2: .* must be four"),
        ("path,label,xmin,ymin,xmax,ymax\na.png,x,5,2,3,4\n", "line 2: the box .* is empty"),
        ("path,label\na.png,x\n", r"holds one class \(x\)"),
    ],
)
def test_invalid_csv_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        list_csv(tmp_path, text)


def test_missing_csv_is_named_with_its_key(tmp_path):
    data = data_section(tmp_path, dataset="csv", path=str(tmp_path / "nowhere.csv"))
    with pytest.raises(ConfigError, match=r"data\.csv\.path: .*nowhere\.csv"):
        list_images(data)


def test_backslash_path_is_refused_with_the_right_one(tmp_path):
    with pytest.raises(ConfigError, match=r"line 2: .* has backslashes: write ants/a\.png"):
        list_csv(tmp_path, "path,label\nants\\a.png,ant\nbees\\b.png,bee\n")


def test_address_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"line 2: .* is an address"):
        list_csv(tmp_path, "path,label\nhttps://x.org/a.png,ant\nb.png,bee\n")


def test_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    listing = list_csv(tmp_path, "path,label\n~/a.png,ant\nb.png,bee\n")
    paths = [entry.location.path for entry in listing.entries]
    assert paths == [str(tmp_path / "home" / "a.png"), str(tmp_path / "b.png")]


@pytest.mark.parametrize("names", [("Train", "DEV", "Testing"), ("train_set", "valid", "test")])
def test_splits_are_known_by_their_common_names(tmp_path, names):
    rows = [f"{split}{label}.png,{label},{split}" for split in names for label in "xy"]
    listing = list_csv(tmp_path, "\n".join(["path,label,Split", *rows]))
    splits = [entry.split for entry in listing.entries]
    assert splits == ["train", "train", "val", "val", "test", "test"]
