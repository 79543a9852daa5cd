from types import SimpleNamespace

import numpy as np
import pytest

from resomap.data.store.prepare import prepare_store
from resomap.data.store.resize import resize_images, resize_store
from resomap.data.store.store import SPLITS
from resomap.errors import DataError
from tests.pictures import data_section, noise, save


@pytest.fixture
def native():
    return np.random.default_rng(0).integers(0, 256, (70, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def store(tmp_path):
    """A prepared folder of 70 pictures of 32 px."""
    for label in range(2):
        for index in range(35):
            save(
                tmp_path / "pictures" / f"c{label}" / f"{index:02d}.png",
                noise(label, index, width=32, height=32),
            )
    prepare_store(
        data_section(tmp_path, dataset="folder", path=str(tmp_path / "pictures")),
        tmp_path / "store",
    )
    return tmp_path / "store"


def originals(store):
    images = np.load(store / "native.npy")
    return {split: images[np.load(store / f"rows_{split}.npy")] for split in SPLITS}


def test_the_native_resolution_comes_back_unchanged(native):
    assert (resize_images(native, 32, "bilinear") == native).all()


@pytest.mark.parametrize("resolution", [8, 24, 48])
def test_every_picture_is_square_at_the_resolution(native, resolution):
    resized = resize_images(native, resolution, "bilinear")
    assert (resized.shape, resized.dtype) == ((70, resolution, resolution, 3), np.uint8)


def test_a_flat_picture_stays_flat():
    flat = np.full((1, 32, 32, 3), 77, np.uint8)
    for filter in ("box", "bilinear", "bicubic", "lanczos"):
        assert (resize_images(flat, 13, filter) == 77).all()


def test_the_store_of_a_resolution_holds_each_split_resized(store):
    resize_store(store / "manifest.json", 24, "bicubic")
    for split, array in originals(store).items():
        assert (
            np.load(store / "r24" / f"{split}.npy") == resize_images(array, 24, "bicubic")
        ).all()
    assert not (store / "r24" / ".partial").exists()


def test_the_store_of_the_native_resolution_is_a_copy(store):
    resize_store(store / "manifest.json", 32, "bilinear")
    assert (np.load(store / "r32" / "train.npy") == originals(store)["train"]).all()


def test_a_resize_that_fails_leaves_no_array_and_goes_on_from_there(store, monkeypatch):
    sizes = iter([True, False])

    def once(images, *arguments):
        return resize_images(images, *arguments) if next(sizes) else 1 / 0

    monkeypatch.setattr("resomap.data.store.resize.resize_images", once)
    with pytest.raises(ZeroDivisionError):
        resize_store(store / "manifest.json", 24, "bilinear")
    assert list((store / "r24").glob("*.npy")) == []
    monkeypatch.setattr("resomap.data.store.resize.resize_images", resize_images)
    resize_store(store / "manifest.json", 24, "bilinear")
    for split, array in originals(store).items():
        assert (
            np.load(store / "r24" / f"{split}.npy") == resize_images(array, 24, "bilinear")
        ).all()


def test_arrays_that_do_not_fit_are_refused_with_their_sizes(store, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10 * 2**30))
    with pytest.raises(
        DataError,
        match=r"needs 13\.\d GiB \(train at 8192 px .*, val at .*, test at .*\) and its disk has 10\.0 GiB free",
    ):
        resize_store(store / "manifest.json", 8192, "bilinear")
    assert not (store / "r8192").exists()
