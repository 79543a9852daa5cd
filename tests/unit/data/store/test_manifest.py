import numpy as np
import pytest

from resomap.data.reef import render, scenes
from resomap.data.store.prepare import prepare_store
from resomap.system.files import read_json
from resomap.workflow.layout import table_columns
from tests.image_files import prepare_images, read_table, write_classes
from tests.recipes import reef_data

COUNTS = {"train": 24, "val": 8, "test": 12}


def test_arrays_are_the_rendered_images(manifest, reef):
    folder = manifest.parent
    for split, count in COUNTS.items():
        images = render.render_split(reef, split, count, 32)
        rows = np.load(folder / f"rows_{split}.npy")
        assert (np.load(folder / "native.npy")[rows] == images.images).all()
        assert (np.load(folder / f"labels_{split}.npy") == images.labels).all()
    assert (np.load(folder / "masks_test.npy") == images.masks).all()


def test_manifest_describes_the_store(manifest):
    values = read_json(manifest)
    expected = {"dataset": "reef", "native_resolution": 32, "filter": "bilinear", "mask": True}
    assert {key: values[key] for key in expected} == expected
    assert values["classes"] == list(scenes.CLASSES)
    assert values["groups"] == scenes.GROUPS
    assert values["pairs"] == [list(pair) for pair in scenes.PAIRS]
    assert values["frequencies"] == {"broad": 10.0, "medium": 20.0, "fine": 40.0}
    assert {split: each["count"] for split, each in values["splits"].items()} == COUNTS
    for split, each in values["splits"].items():
        labels = np.load(manifest.parent / f"labels_{split}.npy")
        assert each["per_class"] == np.bincount(labels, minlength=8).tolist()


@pytest.mark.parametrize("source", ["reef", "folder"])
def test_mean_and_std_are_of_training_images(manifest, tmp_path, source):
    store = manifest.parent
    if source == "folder":
        write_classes(tmp_path / "images", {"cat": 20, "dog": 20})
        store = prepare_images(tmp_path)
    values = read_json(store / "manifest.json")
    images = np.load(store / "native.npy")[np.load(store / "rows_train.npy")] / 255
    axes = (0, 1, 2)
    assert values["mean"] == pytest.approx(images.mean(axis=axes).tolist(), rel=1e-9)
    assert values["std"] == pytest.approx(images.std(axis=axes).tolist(), rel=1e-9)


def test_pictures_csv_has_a_row_per_image(manifest, reef):
    rows = read_table(manifest.parent / "pictures.csv")
    facts = ("frequency", "orientation_degrees", "x", "y")
    assert tuple(rows[0]) == (*table_columns("images"), *facts)
    assert [(row["split"], int(row["index"])) for row in rows] == [
        (split, index) for split, count in COUNTS.items() for index in range(count)
    ]
    test = render.render_split(reef, "test", 12, 8)
    for index, row in enumerate(rows[-12:]):
        assert (int(row["label"]), row["group"]) == (test.labels[index], test.groups[index])
        assert float(row["frequency"]) == pytest.approx(test.frequency[index], abs=1e-3)
        orientation = pytest.approx(test.orientation[index], abs=1e-2)
        assert float(row["orientation_degrees"]) == orientation


def test_preparing_twice_writes_equal_bytes(manifest, reef, tmp_path_factory):
    again = tmp_path_factory.mktemp("again")
    prepare_store(reef_data(reef, 32, "bilinear"), again)
    for path in manifest.parent.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()


def test_failed_preparation_removes_old_manifest(manifest, reef, monkeypatch):
    render_scene, remaining = render.render_scene, [None] * 20

    def fail_after_20(*arguments):
        remaining.pop()
        return render_scene(*arguments)

    monkeypatch.setattr(render, "render_scene", fail_after_20)
    with pytest.raises(IndexError):
        prepare_store(reef_data(reef, 32, "bilinear"), manifest.parent)
    assert not manifest.exists()
