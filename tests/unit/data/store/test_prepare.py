"""A user's images prepared into a store."""

import csv
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
from resomap.errors import ConfigError, DataError
from resomap.system.files import read_json
from tests import tiny_datasets
from tests.image_files import (
    data_section,
    noise,
    prepare_images,
    read_table,
    save,
    write_classes,
    write_digits,
)

SPLITS = ("train", "val", "test")


def squash(pixels: np.ndarray, side: int) -> np.ndarray:
    image = Image.fromarray(pixels)
    return np.asarray(make_square(image, side, "squash", Image.Resampling.BILINEAR))


def stored_images(store: Path) -> dict[str, np.ndarray]:
    native = np.load(store / "native.npy")
    return {
        row["source"]: native[int(row["row"])] for row in read_table(store / "pictures.csv")
    }


@pytest.fixture
def folder(tmp_path):
    """A folder with 20 images of cats and 20 of dogs, 20 x 16 pixels."""
    write_classes(tmp_path / "images", {"cat": 20, "dog": 20})
    return tmp_path


def test_folder_becomes_store_with_each_image_once(folder):
    store = open_store(prepare_images(folder) / "manifest.json")
    assert store.classes == ("cat", "dog")
    assert store.counts == {"train": 26, "val": 6, "test": 8}
    assert (store.groups, store.pairs, store.frequencies) == (None, None, None)
    assert store.masks("test") is None
    rows = read_table(folder / "store" / "pictures.csv")
    assert len({row["source"] for row in rows}) == 40
    images = stored_images(folder / "store")
    for row in rows:
        split, index = row["split"], int(row["index"])
        class_name, file = row["source"].split("/")
        label = store.classes.index(class_name)
        assert (images[row["source"]] == squash(noise(label, int(file[:4])), 16)).all()
        assert store.rows(split)[index] == int(row["row"])
        assert store.labels(split)[index] == label


def test_image_of_native_size_is_stored_exactly(tmp_path):
    write_classes(tmp_path / "images", {"c0": 6, "c1": 6}, width=16, height=16)
    images = stored_images(prepare_images(tmp_path))
    for label in range(2):
        for index in range(6):
            expected = noise(label, index, width=16, height=16)
            assert (images[f"c{label}/{index:04d}.png"] == expected).all()


def test_group_stays_in_one_split(tmp_path):
    rows = []
    for index in range(90):
        save(tmp_path / f"{index}.png", noise(index))
        rows.append([f"{index}.png", "ab"[index % 2], f"patient {index // 5}"])
    table = write_csv(tmp_path, ["path", "label", "group"], rows)
    store = prepare_images(tmp_path, dataset="csv", path=str(table))
    splits: dict[str, set[str]] = {}
    for row in read_table(store / "pictures.csv"):
        splits.setdefault(row["group"], set()).add(row["split"])
    assert len(splits) == 18
    assert all(len(each) == 1 for each in splits.values())
    assert set.union(*splits.values()) == set(SPLITS)


def write_csv(folder: Path, columns: list[str], rows: list[list]) -> Path:
    with (folder / "table.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])
    return folder / "table.csv"


@pytest.fixture
def masked(tmp_path):
    """A table of 20 x 40 images: every third with a mask, a box, and neither."""
    rows = []
    for index in range(12):
        mask = np.zeros((40, 20), np.uint8)
        mask[10:30, 5:15] = 1  # not 255: segmentation tools write class numbers
        save(tmp_path / f"{index}.png", noise(index, width=20, height=40))
        save(tmp_path / f"m{index}.png", mask)
        shape = ([f"m{index}.png", "", "", "", ""], ["", 5, 10, 15, 30], [""] * 5)[index % 3]
        rows.append([f"{index}.png", "ab"[index % 2], SPLITS[index // 4], *shape])
    columns = ["path", "label", "split", "mask", "xmin", "ymin", "xmax", "ymax"]
    return write_csv(tmp_path, columns, rows)


@pytest.mark.parametrize(
    ("aspect", "box"),
    [
        ("squash", (5, 5, 15, 15)),
        ("center_crop", (5, 0, 15, 20)),
        ("letterbox", (8, 5, 12, 15)),
    ],
)
def test_masks_and_boxes_are_resized_with_images(masked, tmp_path, aspect, box):
    keys = {"dataset": "csv", "path": str(masked), "native_resolution": 20}
    store = prepare_images(tmp_path, aspect=aspect, **keys)
    masks = open_store(store / "manifest.json").masks("test")
    left, top, right, bottom = box
    expected = np.zeros((20, 20))
    expected[top:bottom, left:right] = 255
    inner = np.s_[top + 1 : bottom - 1, left + 1 : right - 1]
    for row in read_table(store / "pictures.csv"):
        if row["split"] == "test":
            mask, kind = masks[int(row["index"])], int(row["source"].split(".")[0]) % 3
            if kind == 2:
                assert (mask == 0).all()
            else:
                assert (mask[inner] == 255).all()
                assert abs(mask.mean() - expected.mean()) < 0.1 * 255


def test_mask_of_other_size_is_bad_image(folder):
    save(folder / "masks" / "cat" / "0003.png", noise(1, width=7, height=7))
    with pytest.raises(DataError, match=r"cat/0003\.png: its mask is 7 x 7, .* 20 x 16"):
        prepare_images(folder, masks=str(folder / "masks"))


def test_class_without_readable_image_is_named(tmp_path):
    write_classes(tmp_path / "images", {"cat": 6})
    (tmp_path / "images" / "dog").mkdir()
    (tmp_path / "images" / "dog" / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"of class dog .*\n1 of .*\n  dog/1.png: 0 bytes"):
        prepare_images(tmp_path, on_bad_image="skip")


def test_folder_without_images_is_refused(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "notes.txt").write_text("later")
    with pytest.raises(ConfigError, match="holds no folders with images"):
        prepare_images(tmp_path)


def test_bad_files_are_listed_where_too_few_are_left_to_split(tmp_path):
    write_classes(tmp_path / "images", {"cat": 1, "dog": 1})
    bad = [f"{name}/{index}.jpg" for name in ("cat", "dog") for index in range(7)]
    for name in bad:
        (tmp_path / "images" / name).write_text("not an image")
    with pytest.raises(DataError) as caught:
        prepare_images(tmp_path)
    message = str(caught.value)
    assert message.startswith("too few images")
    assert [name for name in bad if f"{name}: not an image" not in message] == []


def test_too_small_disk_is_refused_before_writing(folder, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**20))
    data = data_section(
        folder, dataset="folder", path=str(folder / "images"), native_resolution=512
    )
    sizes = r"needs 1\.9\d GiB .*\(native 30\.0 MiB, 64 px .* KiB, 4096 px 1\.\d+ GiB\), and 1\.0 MiB"
    with pytest.raises(DataError, match=sizes):
        prepare_store(data, folder / "store", resolutions=(64, 4096))
    assert not (folder / "store" / ".partial").exists()


def test_skipping_bad_images_resumes_failed_preparation(folder, monkeypatch):
    (folder / "images" / "dog" / "9999.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"dog/9999\.png: 0 bytes"):
        prepare_images(folder)
    starts = []
    call = ingest.IngestTask.__call__

    def record_start(self, arrays, start, items):
        starts.append(start)
        return call(self, arrays, start, items)

    monkeypatch.setattr(ingest.IngestTask, "__call__", record_start)
    manifest = read_json(prepare_images(folder, on_bad_image="skip") / "manifest.json")
    assert starts == [32]  # only the chunk of the bad image
    assert manifest["bad"] == 1
    assert sum(manifest["splits"][split]["count"] for split in SPLITS) == 40


def test_replaced_image_is_decoded_again_after_failure(folder):
    (folder / "images" / "dog" / "9999.png").write_bytes(b"")
    with pytest.raises(DataError):
        prepare_images(folder)
    save(folder / "images" / "dog" / "9999.png", noise(77))
    save(folder / "images" / "cat" / "0000.png", noise(78))
    images = stored_images(prepare_images(folder))
    assert (images["cat/0000.png"] == squash(noise(78), 16)).all()


SLOW_PREPARATION = """
import sys, time
from pathlib import Path
from resomap.config.data import Data
from resomap.data.store import ingest, resumable_arrays
from resomap.data.store.prepare import prepare_store
resumable_arrays.SYNC_SECONDS = 0.0
call = ingest.IngestTask.__call__
def slow(*arguments):
    time.sleep(0.02)
    return call(*arguments)
ingest.IngestTask.__call__ = slow
prepare_store(Data.model_validate_json(sys.argv[1], strict=True), Path(sys.argv[2]))
"""


def assert_equal_folders(first: Path, second: Path) -> None:
    names, other = (
        sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        for folder in (first, second)
    )
    assert names == other
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_killed_preparation_is_resumed_to_equal_bytes(tmp_path):
    write_classes(tmp_path / "images", {"cat": 600, "dog": 600})
    data = data_section(tmp_path, dataset="folder", path=str(tmp_path / "images"))
    prepare_store(data, tmp_path / "whole")
    store = tmp_path / "store"
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_PREPARATION, data.model_dump_json(), store],
        cwd=Path(__file__).parents[4],
        stderr=subprocess.DEVNULL,
    )
    records, fingerprint = store / ".partial/records.npy", store / ".partial/fingerprint.txt"
    while not (fingerprint.exists() and np.load(records)["done"].sum() > 200):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    left = sorted(path.name for path in store.iterdir())
    assert left == [".partial", "native_resolution.json"]
    assert 200 < np.load(records)["done"].sum() < 1200
    prepare_store(data, store)
    assert_equal_folders(store, tmp_path / "whole")


def test_two_workers_write_same_bytes_as_one(tmp_path, monkeypatch):
    monkeypatch.setattr(resumable_arrays, "ROWS_PER_WORKER", 100)
    write_digits(tmp_path / "images")
    data = data_section(tmp_path, dataset="folder", path=str(tmp_path / "images"))
    for workers in (1, 2):
        store = tmp_path / f"store{workers}"
        prepare_store(data, store, workers=workers)
        resize_store(store / "manifest.json", 12, "bilinear", workers)
    assert_equal_folders(tmp_path / "store1", tmp_path / "store2")


@pytest.mark.parametrize("name", ["CIFAR10", "EuroSAT", "OxfordIIITPet", "GTSRB"])
def test_torchvision_dataset_becomes_store(name, tmp_path, monkeypatch):
    tiny = tiny_datasets.write(name, tmp_path / "sets", monkeypatch, each=6)
    data = data_section(tmp_path, dataset=name, root=str(tmp_path / "sets"))
    prepare_store(data, tmp_path / "store")
    store = open_store(tmp_path / "store" / "manifest.json")
    assert store.classes == tuple(tiny.classes)
    assigned = read_json(tmp_path / "store" / "manifest.json")["drawn"]
    assert set(assigned) == set(SPLITS) - set(tiny.images)
    assert (store.masks("test") is not None) == (name == "OxfordIIITPet")
    assert sum(store.counts.values()) == sum(len(labels) for labels in tiny.labels.values())
    if name == "CIFAR10":
        native = np.load(tmp_path / "store" / "native.npy")
        assert (native[store.rows("test")] == np.stack(tiny.images["test"])).all()


def test_missing_torchvision_dataset_suggests_download(tmp_path):
    data = data_section(tmp_path, dataset="CIFAR10", root=str(tmp_path))
    with pytest.raises(DataError, match="download: true"):
        prepare_store(data, tmp_path / "store")
