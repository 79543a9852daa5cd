import csv
import json

import numpy as np
import pytest

from resomap.config import data
from resomap.data.reef import render, scenes
from resomap.data.store.prepare import prepare_store
from resomap.data.store.resize import resize_store
from resomap.data.store.store import open_store
from resomap.errors import DataError
from tests.recipes import reef_data

REEF = data.Reef(
    train=24, val=8, test=12, seed=1, frequencies=(10.0, 20.0, 40.0), shortcut=None
)
DATA = reef_data(REEF, 32, "bilinear")


@pytest.fixture
def manifest(tmp_path):
    prepare_store(DATA, tmp_path)
    return tmp_path / "manifest.json"


def test_the_arrays_are_the_rendered_pictures(manifest):
    for split, count in {"train": 24, "val": 8, "test": 12}.items():
        pictures = render.render_split(REEF, split, count, 32)
        rows = np.load(manifest.parent / f"rows_{split}.npy")
        assert (np.load(manifest.parent / "native.npy")[rows] == pictures.images).all()
        assert (np.load(manifest.parent / f"labels_{split}.npy") == pictures.labels).all()
    assert (np.load(manifest.parent / "masks_test.npy") == pictures.masks).all()


def test_the_manifest_says_what_the_store_holds(manifest):
    told = json.loads(manifest.read_text())
    assert (told["dataset"], told["native_resolution"], told["filter"], told["mask"]) == (
        "reef",
        32,
        "bilinear",
        True,
    )
    assert told["classes"] == list(scenes.CLASSES)
    assert told["groups"] == scenes.GROUPS
    assert told["pairs"] == [list(pair) for pair in scenes.PAIRS]
    assert told["frequencies"] == {"broad": 10.0, "medium": 20.0, "fine": 40.0}
    assert {split: facts["count"] for split, facts in told["splits"].items()} == {
        "train": 24,
        "val": 8,
        "test": 12,
    }
    for split, facts in told["splits"].items():
        assert (
            facts["per_class"]
            == np.bincount(
                np.load(manifest.parent / f"labels_{split}.npy"), minlength=8
            ).tolist()
        )


def test_mean_and_deviation_are_those_of_the_training_pictures(manifest):
    told, rows = json.loads(manifest.read_text()), np.load(manifest.parent / "rows_train.npy")
    images = np.load(manifest.parent / "native.npy")[rows] / 255
    assert told["mean"] == pytest.approx(images.mean(axis=(0, 1, 2)).tolist(), rel=1e-9)
    assert told["std"] == pytest.approx(images.std(axis=(0, 1, 2)).tolist(), rel=1e-9)


def test_every_picture_has_its_line(manifest):
    with (manifest.parent / "pictures.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert list(lines[0]) == [
        *(
            "split",
            "index",
            "label",
            "group",
            "source",
            "row",
            "width",
            "height",
            "note",
            "pixels",
        ),
        *("frequency", "orientation_degrees", "x", "y"),
    ]
    assert [(line["split"], int(line["index"])) for line in lines] == [
        (split, index)
        for split, count in {"train": 24, "val": 8, "test": 12}.items()
        for index in range(count)
    ]
    test = render.render_split(REEF, "test", 12, 8)
    for line, label, group, frequency, orientation in zip(
        lines[-12:], test.labels, test.groups, test.frequency, test.orientation, strict=True
    ):
        assert (int(line["label"]), line["group"]) == (label, group)
        assert float(line["frequency"]) == pytest.approx(frequency, abs=1e-3)
        assert float(line["orientation_degrees"]) == pytest.approx(orientation, abs=1e-2)


def test_preparing_twice_gives_the_same_bytes(manifest, tmp_path_factory):
    again = tmp_path_factory.mktemp("again")
    prepare_store(DATA, again)
    for path in manifest.parent.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()


def test_a_preparation_that_fails_leaves_no_manifest_not_even_an_old_one(manifest, monkeypatch):
    drawn = render.render_scene
    left = [None] * 20

    def break_off(*scene):
        left.pop()
        return drawn(*scene)

    monkeypatch.setattr(render, "render_scene", break_off)
    with pytest.raises(IndexError):
        prepare_store(DATA, manifest.parent)
    assert not manifest.exists()


def test_a_store_opens_from_its_manifest(manifest):
    resize_store(manifest, 16, "bilinear")
    store = open_store(manifest)
    assert (store.num_classes, store.classes, store.groups, store.pairs) == (
        8,
        scenes.CLASSES,
        scenes.GROUPS,
        scenes.PAIRS,
    )
    assert store.images("train", 16).shape == (24, 16, 16, 3)
    assert store.labels("val").shape == (8,)
    assert store.masks("test").shape == (12, 32, 32)
    assert len(store.mean) == len(store.std) == 3


def test_arrays_are_mapped_not_read(manifest):
    resize_store(manifest, 16, "bilinear")
    images = open_store(manifest).images("train", 16)
    assert isinstance(images, np.memmap)
    assert not images.flags.writeable


def test_a_missing_resolution_is_named(manifest):
    with pytest.raises(
        DataError, match=r"r48/train\.npy is missing; .* uint8 \(24, 48, 48, 3\)"
    ):
        open_store(manifest).images("train", 48)


def test_an_array_that_does_not_fit_is_refused_with_what_would_fit(manifest):
    np.save(manifest.parent / "labels_val.npy", np.zeros(7, np.int64))
    with pytest.raises(
        DataError,
        match=r"labels_val\.npy holds int64 \(7,\), but the manifest promises int64 \(8,\)",
    ):
        open_store(manifest).labels("val")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"not an array"])
def test_a_broken_array_is_refused(manifest, content):
    (manifest.parent / "labels_val.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"labels_val\.npy is not a whole \.npy file"):
        open_store(manifest).labels("val")


def test_a_truncated_array_is_refused(manifest):
    path = manifest.parent / "labels_val.npy"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match=r"labels_val\.npy is not a whole \.npy file"):
        open_store(manifest).labels("val")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "is missing"), ("{", "is not JSON"), ("{}", "lacks aspect, classes")],
)
def test_what_is_not_a_manifest_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(DataError, match=message):
        open_store(tmp_path / "manifest.json")
