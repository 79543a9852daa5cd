from types import SimpleNamespace

import numpy as np
import pytest

from resomap.data.store import resize
from resomap.data.store.resize import resize_images, resize_store
from resomap.data.store.store import SPLITS
from resomap.errors import DataError
from tests.image_files import prepare_images, write_classes


@pytest.fixture
def native():
    return np.random.default_rng(0).integers(0, 256, (70, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def store(tmp_path):
    """A prepared folder of 70 images of 32 px."""
    write_classes(tmp_path / "images", {"c0": 35, "c1": 35}, width=32, height=32)
    return prepare_images(tmp_path)


def assert_resized(store, resolution, filter):
    native = np.load(store / "native.npy")
    for split in SPLITS:
        images = native[np.load(store / f"rows_{split}.npy")]
        resized = np.load(store / f"r{resolution}" / f"{split}.npy")
        assert (resized == resize_images(images, resolution, filter)).all()


def test_native_resolution_is_returned_unchanged(native):
    assert (resize_images(native, 32, "bilinear") == native).all()


@pytest.mark.parametrize("resolution", [8, 24, 48])
def test_resized_images_are_square(native, resolution):
    resized = resize_images(native, resolution, "bilinear")
    assert (resized.shape, resized.dtype) == ((70, resolution, resolution, 3), np.uint8)


@pytest.mark.parametrize("filter", ["box", "bilinear", "bicubic", "lanczos"])
def test_flat_image_stays_flat(filter):
    assert (resize_images(np.full((1, 32, 32, 3), 77, np.uint8), 13, filter) == 77).all()


@pytest.mark.parametrize(("resolution", "filter"), [(24, "bicubic"), (32, "bilinear")])
def test_resized_store_holds_each_split(store, resolution, filter):
    resize_store(store / "manifest.json", resolution, filter)
    assert_resized(store, resolution, filter)
    assert not (store / f"r{resolution}" / ".partial").exists()


def test_failed_resize_is_resumed(store, monkeypatch):
    outcomes = iter([True, False])

    def fail_second(images, *arguments):
        return resize_images(images, *arguments) if next(outcomes) else 1 / 0

    monkeypatch.setattr(resize, "resize_images", fail_second)
    with pytest.raises(ZeroDivisionError):
        resize_store(store / "manifest.json", 24, "bilinear")
    assert list((store / "r24").glob("*.npy")) == []
    monkeypatch.setattr(resize, "resize_images", resize_images)
    resize_store(store / "manifest.json", 24, "bilinear")
    assert_resized(store, 24, "bilinear")


def test_too_small_disk_is_refused_with_sizes(store, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10 * 2**30))
    sizes = (
        r"needs 13\.\d+ GiB .* \(train at 8192 px .*, val at .*, test at .*\).* 10\.00 GiB are"
    )
    with pytest.raises(DataError, match=sizes):
        resize_store(store / "manifest.json", 8192, "bilinear")
    assert not (store / "r8192").exists()
