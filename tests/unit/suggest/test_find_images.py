"""The images of a user are found as a dataset, or refused in a line."""

import csv

import numpy as np
import pytest
from PIL import Image

from resomap.errors import ConfigError
from resomap.suggest.find_images import find_images
from tests.image_files import noise, save, write_classes

TWO = {"cat": 3, "dog": 3}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_table(path, rows):
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("path", "label"), *rows])


def test_folder_per_class_is_found(here):
    write_classes(here / "photos", TWO)
    folder = here / "photos"
    assert find_images(folder) == {"dataset": "folder", "path": str(folder)}


@pytest.mark.parametrize("place", ["photos/masks", "Ground_Truth"])
def test_masks_are_found_inside_and_beside_the_dataset(here, place):
    write_classes(here / "photos", TWO)
    write_classes(here / place, TWO)
    assert find_images(here / "photos")["masks"] == str(here / place)


def test_masks_of_other_images_are_not_taken(here):
    write_classes(here / "photos", TWO)
    write_classes(here / "masks", {"bird": 2})
    assert "masks" not in find_images(here / "photos")


@pytest.mark.parametrize(("cut_out", "expected"), [(True, "alpha"), (False, None)])
def test_alpha_channel_is_a_mask_where_it_separates_an_object(here, cut_out, expected):
    for label, name in enumerate(TWO):
        for index in range(4):
            pixels = noise(label, index, bands=4)
            pixels[..., 3] = 255
            if cut_out:
                pixels[:8, :, 3] = 0
            save(here / "photos" / name / f"{index}.png", Image.fromarray(pixels))
    assert find_images(here / "photos").get("masks") == expected


def test_table_is_found_by_its_path_and_in_its_folder(here):
    for index in range(6):
        save(here / "photos" / f"{index}.png", noise(index))
    rows = [(f"{index}.png", ("cat", "dog")[index % 2]) for index in range(6)]
    table = here / "photos" / "labels.csv"
    write_table(table, rows)
    expected = {"dataset": "csv", "path": str(table)}
    assert find_images(table) == find_images(here / "photos") == expected


def test_only_dataset_of_the_working_directory_is_found(here):
    write_classes(here / "photos", TWO)
    write_classes(here / "results", {"figures": 2, "maps": 2})
    (here / "notes").mkdir()
    assert find_images(None) == {"dataset": "folder", "path": "photos"}


def test_directory_without_images_gets_the_reef(here):
    assert find_images(None) == {"dataset": "reef"}


def test_several_datasets_are_named(here):
    write_classes(here / "one", TWO)
    write_classes(here / "two", TWO)
    with pytest.raises(ConfigError, match="one, two hold images: name one"):
        find_images(None)


def test_classes_in_the_working_directory_are_refused(here):
    write_classes(here, TWO)
    with pytest.raises(ConfigError, match="in the directory above"):
        find_images(None)


def write_one_class(folder):
    write_classes(folder, {"cat": 3})


def write_loose_images(folder):
    save(folder / "a.png", noise(1))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda folder: None, "there is no such folder or file"),
        (lambda folder: folder.mkdir(), "holds no folders with images"),
        (write_loose_images, "holds no folders with images"),
        (write_one_class, "holds one class"),
        (lambda folder: folder.write_text("x"), "neither a folder nor a CSV file"),
    ],
    ids=["no path", "empty", "no classes", "one class", "another file"],
)
def test_first_mistakes_are_named_in_three_lines(here, write, message):
    write(here / "photos")
    with pytest.raises(ConfigError, match=message) as caught:
        find_images(here / "photos")
    assert len(str(caught.value).splitlines()) <= 3


def test_transparent_images_are_no_masks(here):
    glass = noise(1, bands=4)
    glass[..., 3] = np.uint8(0)
    for name in TWO:
        for index in range(4):
            save(here / "photos" / name / f"{index}.png", Image.fromarray(glass))
    assert "masks" not in find_images(here / "photos")
