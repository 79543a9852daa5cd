import numpy as np
import pytest

from resomap.data.resize import resize, resize_store
from resomap.data.store import SPLITS


@pytest.fixture
def native(tmp_path):
    generator = np.random.default_rng(0)
    arrays = {split: generator.integers(0, 256, (70, 32, 32, 3), dtype=np.uint8) for split in SPLITS}
    for split, array in arrays.items():
        np.save(tmp_path / f"{split}.npy", array)
    return arrays


def test_the_native_resolution_comes_back_unchanged(native):
    assert (resize(native["train"], 32, "bilinear") == native["train"]).all()


@pytest.mark.parametrize("resolution", [8, 24, 48])
def test_every_picture_is_square_at_the_resolution(native, resolution):
    resized = resize(native["train"], resolution, "bilinear")
    assert (resized.shape, resized.dtype) == ((70, resolution, resolution, 3), np.uint8)


def test_a_flat_picture_stays_flat():
    flat = np.full((1, 32, 32, 3), 77, np.uint8)
    for filter in ("box", "bilinear", "bicubic", "lanczos"):
        assert (resize(flat, 13, filter) == 77).all()


def test_the_store_of_a_resolution_holds_each_split_resized(tmp_path, native):
    resize_store(tmp_path, 24, "bicubic")
    for split, array in native.items():
        assert (np.load(tmp_path / "r24" / f"{split}.npy") == resize(array, 24, "bicubic")).all()


def test_the_store_of_the_native_resolution_is_a_copy(tmp_path, native):
    resize_store(tmp_path, 32, "bilinear")
    assert (tmp_path / "r32" / "train.npy").read_bytes() == (tmp_path / "train.npy").read_bytes()


def test_a_resize_that_fails_leaves_no_array(tmp_path, native, monkeypatch):
    monkeypatch.setattr("resomap.data.resize.resize", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        resize_store(tmp_path, 24, "bilinear")
    assert list((tmp_path / "r24").iterdir()) == []
