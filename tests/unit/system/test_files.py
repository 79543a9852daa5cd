import hashlib
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from resomap.errors import DataError
from resomap.system.files import (
    file_sha256,
    map_array,
    read_arrays,
    read_json,
    replacing,
    write_array,
    write_arrays,
    write_json,
    write_rows,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_replacing_keeps_old_file_on_error(tmp_path):
    path = tmp_path / "scores.json"
    write_text(path, "old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half of the ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert names(tmp_path) == ["scores.json"]


def test_replacing_moves_file_after_block(tmp_path):
    path = tmp_path / "weights.safetensors"
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert (temporary.parent, temporary.suffix) == (path.parent, path.suffix)
    assert path.read_text() == "new"
    assert names(tmp_path) == ["weights.safetensors"]


def test_open_reader_keeps_old_content(tmp_path):
    path = tmp_path / "runs.csv"
    write_text(path, "old")
    with path.open() as reader:
        write_text(path, "new")
        assert reader.read() == "old"


def test_concurrent_writers_use_own_temporaries(tmp_path):
    path = tmp_path / "table.csv"
    with replacing(path) as first, replacing(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"


def test_write_json_creates_folders(tmp_path):
    write_json(tmp_path / "a" / "b" / "c.json", [1])
    assert read_json(tmp_path / "a" / "b" / "c.json") == [1]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_written_file_follows_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a.txt", "x")
        write_arrays(tmp_path / "a.npz", x=np.zeros(2))
    finally:
        os.umask(before)
    for name in ("a.txt", "a.npz"):
        assert (tmp_path / name).stat().st_mode & 0o777 == mode


def test_write_json_sorts_keys_and_refuses_nan(tmp_path):
    path = tmp_path / "m.json"
    write_json(path, {"b": 1, "a": [0.1]})
    assert path.read_text() == '{\n  "a": [\n    0.1\n  ],\n  "b": 1\n}\n'
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": [0.1], "b": 1}


def test_write_rows_leaves_missing_values_blank(tmp_path):
    path = tmp_path / "runs.csv"
    nan_row = {"a": float("nan"), "b": np.float32("nan")}
    write_rows(path, [{"b": 0.1, "a": 1}, {"a": None}, nan_row, {"a": "x,y"}], ["a", "b"])
    assert path.read_bytes() == b'a,b\n1,0.1\n,\n,\n"x,y",\n'


def test_write_rows_without_rows_writes_header(tmp_path):
    write_rows(tmp_path / "none.csv", [], ["a", "b"])
    assert (tmp_path / "none.csv").read_text() == "a,b\n"


def test_write_rows_refuses_unknown_column(tmp_path):
    with pytest.raises(ValueError, match="accuracy"):
        write_rows(tmp_path / "t.csv", [{"a": 1, "accuracy": 2}], ["a"])
    assert names(tmp_path) == []


def test_write_rows_keeps_floats_exactly(tmp_path):
    values = [0.1, 1 / 3, 1e-300, 2.0**60, np.float64(1) / 7]
    write_rows(tmp_path / "t.csv", [{"x": value} for value in values], ["x"])
    assert [float(line) for line in (tmp_path / "t.csv").read_text().split()[1:]] == values


def test_write_arrays_round_trips(tmp_path):
    arrays = {
        "label": np.arange(3),
        "logits_r24": np.ones((0, 8), np.float32),
        "layer": np.asarray("stages.2"),
    }
    write_arrays(tmp_path / "p.npz", **arrays)
    loaded = read_arrays(tmp_path / "p.npz")
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype


def test_write_arrays_is_deterministic(tmp_path):
    for name in ("one", "two"):
        write_arrays(tmp_path / f"{name}.npz", x=np.linspace(0, 1, 1000), y=np.arange(3))
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.npz") as stored:
        assert {entry.date_time for entry in stored.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_write_array_can_be_memory_mapped(tmp_path):
    images = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
    write_array(tmp_path / "train.npy", images)
    np.testing.assert_array_equal(np.load(tmp_path / "train.npy", mmap_mode="r"), images)


@pytest.mark.parametrize(
    "write", [write_array, lambda path, array: write_arrays(path, x=array)]
)
def test_writers_refuse_objects(tmp_path, write):
    with pytest.raises(ValueError, match="allow_pickle"):
        write(tmp_path / "a.npz", np.array([{}], dtype=object))


def test_readers_refuse_objects(tmp_path):
    objects = np.array([{}], dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=objects)
    with pytest.raises(DataError, match=r"a\.npz is damaged"):
        read_arrays(tmp_path / "a.npz")
    with pytest.raises(DataError, match=r"a\.npy is damaged"):
        map_array(tmp_path / "a.npy")


def test_file_sha256_equals_hash_of_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"fish")
    assert file_sha256(tmp_path / "x") == hashlib.sha256(b"fish").hexdigest()
