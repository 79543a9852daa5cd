import pytest

from resomap.errors import DataError
from resomap.system.files import read_json, write_json
from tests.image_files import noise, prepare_images, save, write_classes


def native_resolution(folder, **keys):
    return read_json(prepare_images(folder, **keys) / "manifest.json")["native_resolution"]


@pytest.fixture
def folder(tmp_path):
    """Forty images of 20 to 59 px by 80 px: 38 have a short side of 57 px or less."""
    for label in range(2):
        for index, width in enumerate(range(20 + label, 60, 2)):
            pixels = noise(label, index, width=width, height=80)
            save(tmp_path / "images" / f"c{label}" / f"{index}.png", pixels)
    return tmp_path


@pytest.mark.parametrize(
    ("aspect", "side"), [("squash", 57), ("center_crop", 57), ("letterbox", 80)]
)
def test_native_resolution_is_exceeded_by_few_images(folder, aspect, side):
    assert native_resolution(folder, aspect=aspect) == side


def test_added_images_keep_native_resolution(folder):
    native_resolution(folder)
    write_classes(folder / "images", {"c0": 9, "c1": 9}, start=20, width=190, height=190)
    assert native_resolution(folder) == 57
    assert native_resolution(folder, native_resolution=64) == 64


def test_native_resolution_is_at_most_512(tmp_path):
    write_classes(tmp_path / "images", {"c0": 3, "c1": 3}, width=700, height=900)
    assert native_resolution(tmp_path) == 512


@pytest.mark.parametrize("content", ["", "{}", "[]", "5", "null", '{"source": 1}'])
def test_damaged_native_resolution_is_an_error_that_names_it(folder, content):
    path = prepare_images(folder) / "native_resolution.json"
    path.write_text(content)
    with pytest.raises(DataError, match=f"{path} is damaged: delete it and run again"):
        native_resolution(folder)


def test_flipped_digit_of_native_resolution_is_damage(folder):
    path = prepare_images(folder) / "native_resolution.json"
    text = path.read_text()
    assert '"native_resolution": 57' in text
    path.write_text(text.replace('"native_resolution": 57', '"native_resolution": 55'))
    with pytest.raises(DataError, match="is damaged"):
        native_resolution(folder)


def test_native_resolution_of_an_earlier_version_is_kept(folder):
    path = prepare_images(folder) / "native_resolution.json"
    fixed = read_json(path)
    write_json(path, {"source": fixed["source"], "native_resolution": 40})
    assert native_resolution(folder) == 40
