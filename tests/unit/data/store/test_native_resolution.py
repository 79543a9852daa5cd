import pytest

from resomap.system.files import read_json
from tests.image_files import noise, prepare_images, save, write_classes


def native_resolution(folder, **keys):
    return read_json(prepare_images(folder, **keys) / "manifest.json")["native_resolution"]


@pytest.fixture
def folder(tmp_path):
    """Two classes of images whose median short side is 28."""
    for label in range(2):
        for index, width in enumerate((20, 24, 28, 28, 40)):
            pixels = noise(label, index, width=width, height=50)
            save(tmp_path / "images" / f"c{label}" / f"{index}.png", pixels)
    return tmp_path


def test_native_resolution_is_median_short_side(folder):
    assert native_resolution(folder) == 28


def test_added_images_keep_native_resolution(folder):
    native_resolution(folder)
    write_classes(folder / "images", {"c0": 9, "c1": 9}, start=20, width=90, height=90)
    assert native_resolution(folder) == 28
    assert native_resolution(folder, native_resolution=64) == 64


def test_native_resolution_is_at_most_512(tmp_path):
    write_classes(tmp_path / "images", {"c0": 3, "c1": 3}, width=700, height=900)
    assert native_resolution(tmp_path) == 512
