import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from resomap.data.store import ingest, resumable_arrays
from resomap.data.store.prepare import prepare_store
from resomap.data.store.resize import make_square, resize_store
from resomap.data.store.store import open_store
from resomap.errors import DataError
from tests import tiny_datasets
from tests.pictures import data_section, noise, save, write_classes, write_digits


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def prepared(folder: Path, **keys) -> Path:
    keys = {"dataset": "folder", "path": str(folder / "pictures"), **keys}
    prepare_store(data_section(folder, **keys), folder / "store")
    return folder / "store"


def manifest(store: Path):
    return json.loads((store / "manifest.json").read_text())


@pytest.fixture
def pictures(tmp_path):
    write_classes(tmp_path / "pictures", {"cat": 20, "dog": 20})
    return tmp_path


def test_a_folder_becomes_a_store_that_holds_its_pictures_once(pictures):
    store = open_store(prepared(pictures) / "manifest.json")
    assert store.classes == ("cat", "dog")
    assert store.counts == {"train": 26, "val": 6, "test": 8}
    assert (store.groups, store.pairs, store.frequencies, store.masks("test")) == (
        None,
        None,
        None,
        None,
    )
    native, seen = np.load(pictures / "store" / "native.npy"), set()
    for row in rows(pictures / "store" / "pictures.csv"):
        name, index = row["source"].split("/")
        image = Image.fromarray(noise(("cat", "dog").index(name), int(index[:4])))
        assert (
            native[int(row["row"])]
            == np.asarray(make_square(image, 16, "squash", Image.Resampling.BILINEAR))
        ).all()
        assert store.rows(row["split"])[int(row["index"])] == int(row["row"])
        assert store.labels(row["split"])[int(row["index"])] == ("cat", "dog").index(name)
        seen.add(row["source"])
    assert len(seen) == 40


def test_mean_and_deviation_are_those_of_the_training_pictures(pictures):
    store = prepared(pictures)
    images = np.load(store / "native.npy")[np.load(store / "rows_train.npy")] / 255
    assert manifest(store)["mean"] == pytest.approx(
        images.mean(axis=(0, 1, 2)).tolist(), rel=1e-9
    )
    assert manifest(store)["std"] == pytest.approx(
        images.std(axis=(0, 1, 2)).tolist(), rel=1e-9
    )


def test_the_native_resolution_is_the_median_short_side_and_stays_when_pictures_come(tmp_path):
    for label in range(2):
        for index, side in enumerate((20, 24, 28, 28, 40)):
            save(
                tmp_path / "pictures" / f"c{label}" / f"{index}.png",
                noise(label, index, width=side, height=50),
            )
    assert manifest(prepared(tmp_path))["native_resolution"] == 28
    for label in range(2):
        for index in range(9):
            save(
                tmp_path / "pictures" / f"c{label}" / f"large{index}.png",
                noise(label, index, width=90, height=90),
            )
    assert manifest(prepared(tmp_path))["native_resolution"] == 28
    assert manifest(prepared(tmp_path, native_resolution=64))["native_resolution"] == 64


def test_pictures_larger_than_512_are_stored_at_512(tmp_path):
    for label in range(2):
        for index in range(3):
            save(
                tmp_path / "pictures" / f"c{label}" / f"{index}.jpg",
                noise(label, index, width=700, height=900),
            )
    assert manifest(prepared(tmp_path))["native_resolution"] == 512


def test_copies_are_found_told_and_kept_on_one_side(pictures):
    folder = pictures / "pictures"
    for index in range(10):
        save(folder / "cat" / f"copy{index}.bmp", noise(0, index))
    save(folder / "dog" / "liar.png", noise(0, 3))
    store = prepared(pictures)
    told = rows(store / "duplicates.csv")
    assert len(told) == 11
    assert {(row["source"], row["copy_of"]) for row in told if "liar" in row["source"]} == {
        ("dog/liar.png", "cat/0003.png")
    }
    assert manifest(store)["duplicates"] == {"copies": 11, "across_splits": 0, "conflicting": 1}


def test_copies_across_splits_that_are_given_are_told(tmp_path):
    for split, keys in (("train", range(8)), ("val", range(8, 12)), ("test", range(6, 10))):
        for label in range(2):
            for key in keys:
                save(
                    tmp_path / "pictures" / split / f"c{label}" / f"{key}.png",
                    noise(label, key),
                )
    store = prepared(tmp_path)
    assert manifest(store)["duplicates"] == {"copies": 8, "across_splits": 8, "conflicting": 0}
    assert manifest(store)["drawn"] == []
    assert {(row["split"], row["copy_split"]) for row in rows(store / "duplicates.csv")} == {
        ("test", "train"),
        ("test", "val"),
    }


def test_a_patient_never_stands_on_two_sides(tmp_path):
    lines = ["path,label,group"]
    for index in range(90):
        save(tmp_path / f"{index}.png", noise(index))
        lines.append(f"{index}.png,{'ab'[index % 2]},patient {index // 5}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    store = prepared(tmp_path, dataset="csv", path=str(tmp_path / "table.csv"))
    sides: dict[str, set[str]] = {}
    for row in rows(store / "pictures.csv"):
        sides.setdefault(row["group"], set()).add(row["split"])
    assert len(sides) == 18
    assert {len(splits) for splits in sides.values()} == {1}
    assert {split for splits in sides.values() for split in splits} == {"train", "val", "test"}


def test_masks_and_boxes_follow_their_pictures_into_the_square(tmp_path):
    lines = ["path,label,split,mask,xmin,ymin,xmax,ymax"]
    for index in range(12):
        mask = np.zeros((40, 20), np.uint8)
        mask[10:30, 5:15] = 1  # as segmentation tools write it
        save(tmp_path / f"{index}.png", noise(index, width=20, height=40))
        save(tmp_path / f"m{index}.png", mask)
        where = (f"m{index}.png,,,,", ",5,10,15,30", ",,,,")[index % 3]
        lines.append(
            f"{index}.png,{'ab'[index % 2]},{('train', 'val', 'test')[index // 4]},{where}"
        )
    (tmp_path / "table.csv").write_text("\n".join(lines))
    for aspect, box in (
        ("squash", (5, 5, 15, 15)),
        ("center_crop", (5, 0, 15, 20)),
        ("letterbox", (8, 5, 12, 15)),
    ):
        store = open_store(
            prepared(tmp_path, dataset="csv", path=str(tmp_path / "table.csv"), aspect=aspect)
            / "manifest.json"
        )
        masks = store.masks("test")
        left, top, right, bottom = box
        expected = np.zeros((20, 20))
        expected[top:bottom, left:right] = 255
        by_kind = {
            int(row["source"].split(".")[0]) % 3: masks[int(row["index"])]
            for row in rows(tmp_path / "store" / "pictures.csv")
            if row["split"] == "test"
        }
        inner = np.s_[top + 1 : bottom - 1, left + 1 : right - 1]
        for kind in (0, 1):
            assert (by_kind[kind][inner] == 255).all()
            assert abs(by_kind[kind].mean() - expected.mean()) < 0.1 * 255
        assert (by_kind[2] == 0).all()


def test_a_mask_of_another_size_makes_a_bad_picture(pictures):
    save(pictures / "masks" / "cat" / "0003.png", noise(1, width=7, height=7))
    with pytest.raises(
        DataError, match=r"cat/0003.png: its mask is 7 x 7, the picture 20 x 16"
    ):
        prepared(pictures, masks=str(pictures / "masks"))


def test_a_class_that_has_no_readable_picture_is_named(tmp_path):
    write_classes(tmp_path / "pictures", {"cat": 6})
    (tmp_path / "pictures" / "dog").mkdir()
    (tmp_path / "pictures" / "dog" / "1.png").write_bytes(b"")
    with pytest.raises(
        DataError,
        match=r"no training picture of class dog can be read.\n1 of the files .*\n  dog/1.png: 0 bytes",
    ):
        prepared(tmp_path, on_bad_image="skip")


def test_a_folder_without_any_picture_is_refused(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        (tmp_path / "pictures" / name / "notes.txt").write_text("later")
    with pytest.raises(
        DataError, match=r"none of the 2 files is a picture, the first is cat/notes\.txt"
    ):
        prepared(tmp_path)


def test_a_store_that_does_not_fit_is_refused_with_its_sizes_before_a_byte_is_written(
    pictures, monkeypatch
):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**20))
    data = data_section(
        pictures, dataset="folder", path=str(pictures / "pictures"), native_resolution=512
    )
    with pytest.raises(
        DataError,
        match=r"store needs 1\.9 GiB \(native 0\.0, 64 px 0\.0, 4096 px 1\.9\) and its disk has 0\.0 GiB free: make room",
    ):
        prepare_store(data, pictures / "store", resolutions=(64, 4096))
    assert not (pictures / "store" / ".partial").exists()


def test_what_bad_pictures_ended_is_gone_on_with_once_they_are_let_be(pictures, monkeypatch):
    (pictures / "pictures" / "dog" / "9999.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"dog/9999\.png: 0 bytes"):
        prepared(pictures)
    looked: list = []

    inner = ingest.IngestTask.__call__
    monkeypatch.setattr(
        ingest.IngestTask,
        "__call__",
        lambda self, arrays, start, items: (
            looked.append(start) or inner(self, arrays, start, items)
        ),
    )
    store = prepared(pictures, on_bad_image="skip")
    assert looked == [32]  # the chunk of the bad one alone
    assert manifest(store)["bad"] == 1
    assert (
        sum(manifest(store)["splits"][split]["count"] for split in ("train", "val", "test"))
        == 40
    )


def test_a_picture_that_is_replaced_is_read_again_after_a_cut(pictures, monkeypatch):
    (pictures / "pictures" / "dog" / "9999.png").write_bytes(b"")
    with pytest.raises(DataError):
        prepared(pictures)
    save(pictures / "pictures" / "dog" / "9999.png", noise(77))
    save(pictures / "pictures" / "cat" / "0000.png", noise(78))
    store = prepared(pictures)
    native = np.load(store / "native.npy")
    found = {row["source"]: native[int(row["row"])] for row in rows(store / "pictures.csv")}
    assert (
        found["cat/0000.png"]
        == np.asarray(
            make_square(Image.fromarray(noise(78)), 16, "squash", Image.Resampling.BILINEAR)
        )
    ).all()


def test_a_killed_preparation_leaves_nothing_that_is_taken_for_complete_and_is_gone_on_with(
    tmp_path,
):
    write_classes(tmp_path / "pictures", {"cat": 600, "dog": 600})
    data = data_section(tmp_path, dataset="folder", path=str(tmp_path / "pictures"))
    whole = tmp_path / "whole"
    prepare_store(data, whole)
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom resomap.data.store import ingest, resumable_arrays\nfrom resomap.data.store.prepare import prepare\n"
        "from resomap.config.schema import Data\nresumable_arrays.SYNC_SECONDS = 0.0\ninner = ingest.IngestTask.__call__\n"
        "def slow(*arguments):\n    time.sleep(0.02)\n    return inner(*arguments)\n"
        "ingest.IngestTask.__call__ = slow\n"
        "prepare_store(Data.model_validate_json(sys.argv[1], strict=True), Path(sys.argv[2]))\n"
    )
    store = tmp_path / "store"
    process = subprocess.Popen(
        [sys.executable, "-c", program, data.model_dump_json(), store],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.DEVNULL,
    )
    facts = store / ".partial" / "records.npy"
    while not (
        facts.exists()
        and (store / ".partial" / "fingerprint.txt").exists()
        and np.load(facts)["done"].sum() > 200
    ):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert sorted(path.name for path in store.iterdir()) == [
        ".partial",
        "native_resolution.json",
    ]
    done = np.load(facts)["done"].sum()
    assert 200 < done < 1200
    prepare_store(data, store)
    assert sorted(path.name for path in store.iterdir()) == sorted(
        path.name for path in whole.iterdir()
    )
    assert [
        path.name
        for path in whole.iterdir()
        if path.read_bytes() != (store / path.name).read_bytes()
    ] == []


def test_several_processes_make_the_same_bytes_as_one(tmp_path, monkeypatch):
    monkeypatch.setattr(resumable_arrays, "ROWS_PER_WORKER", 100)
    write_digits(tmp_path / "pictures")
    data = data_section(tmp_path, dataset="folder", path=str(tmp_path / "pictures"))
    for workers in (1, 2):
        prepare_store(data, tmp_path / f"store{workers}", workers=workers)
        resize_store(tmp_path / f"store{workers}" / "manifest.json", 12, "bilinear", workers)
    one, two = tmp_path / "store1", tmp_path / "store2"
    names = sorted(str(path.relative_to(one)) for path in one.rglob("*") if path.is_file())
    assert names == sorted(
        str(path.relative_to(two)) for path in two.rglob("*") if path.is_file()
    )
    assert [
        name for name in names if (one / name).read_bytes() != (two / name).read_bytes()
    ] == []


@pytest.mark.parametrize("name", ["CIFAR10", "EuroSAT", "OxfordIIITPet", "GTSRB"])
def test_a_set_of_torchvision_becomes_a_store(name, tmp_path, monkeypatch):
    tiny = tiny_datasets.write(name, tmp_path / "sets", monkeypatch, each=6)
    prepare_store(
        data_section(tmp_path, dataset=name, root=str(tmp_path / "sets")), tmp_path / "store"
    )
    store = open_store(tmp_path / "store" / "manifest.json")
    assert store.classes == tuple(tiny.classes)
    given = [split for split in tiny.pictures if split != "all"]
    assert sorted(set(manifest(tmp_path / "store")["drawn"])) == sorted(
        {"train", "val", "test"} - set(given)
    )
    assert (store.masks("test") is not None) == (name == "OxfordIIITPet")
    assert sum(store.counts.values()) == sum(len(labels) for labels in tiny.labels.values())
    if name == "CIFAR10":
        native = np.load(tmp_path / "store" / "native.npy")
        assert (native[store.rows("test")] == np.stack(tiny.pictures["test"])).all()


def test_a_set_that_is_not_there_says_how_to_get_it(tmp_path):
    with pytest.raises(DataError, match="download: true"):
        prepare_store(
            data_section(tmp_path, dataset="CIFAR10", root=str(tmp_path)), tmp_path / "store"
        )
