import numpy as np
import pytest

from resomap.data.reef import scenes
from resomap.data.store.resize import resize_store
from resomap.data.store.store import open_store
from resomap.errors import DataError


def test_store_opens_from_its_manifest(manifest):
    resize_store(manifest, 16, "bilinear")
    store = open_store(manifest)
    assert (store.num_classes, store.classes) == (8, scenes.CLASSES)
    assert (store.groups, store.pairs) == (scenes.GROUPS, scenes.PAIRS)
    assert store.images("train", 16).shape == (24, 16, 16, 3)
    assert store.labels("val").shape == (8,)
    assert store.masks("test").shape == (12, 32, 32)
    assert len(store.mean) == len(store.std) == 3


def test_arrays_are_mapped_read_only(manifest):
    resize_store(manifest, 16, "bilinear")
    images = open_store(manifest).images("train", 16)
    assert isinstance(images, np.memmap)
    assert not images.flags.writeable


def test_missing_resolution_is_named(manifest):
    with pytest.raises(DataError, match=r"r48/train\.npy is missing; .*\(24, 48, 48, 3\)"):
        open_store(manifest).images("train", 48)


def test_array_of_other_shape_is_refused(manifest):
    np.save(manifest.parent / "labels_val.npy", np.zeros(7, np.int64))
    with pytest.raises(DataError, match=r"labels_val\.npy holds int64 \(7,\), .*int64 \(8,\)"):
        open_store(manifest).labels("val")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"not an array", None])
def test_broken_or_truncated_array_is_refused(manifest, content):
    path = manifest.parent / "labels_val.npy"
    path.write_bytes(path.read_bytes()[:-8] if content is None else content)
    with pytest.raises(DataError, match=r"labels_val\.npy is damaged: delete it and run again"):
        open_store(manifest).labels("val")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing"),
        ("{", "is damaged: delete it and run again"),
        ("{}", "lacks aspect, classes"),
    ],
)
def test_invalid_manifest_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(DataError, match=message):
        open_store(tmp_path / "manifest.json")
