import numpy as np

from resomap.data.store.npy_file import NpyFile, read_rows


def test_row_file_is_an_ordinary_npy_file(tmp_path):
    path = tmp_path / "a.npy"
    NpyFile.create(path, (5, 2, 3), np.uint8)
    array = NpyFile.open(path, writable=True)
    array[1] = np.full((2, 3), 7)
    array[3] = np.arange(12).reshape(2, 2, 3)
    assert (array[4] == np.arange(6, 12).reshape(2, 3)).all()
    array.close()
    stored = np.load(path)
    assert (stored[0] == 0).all()
    assert (stored[1] == 7).all()
    assert (stored[3:].ravel() == np.arange(12)).all()
    assert (read_rows(path, [3, 1]) == stored[[3, 1]]).all()
    assert read_rows(path, []).shape == (0, 2, 3)
