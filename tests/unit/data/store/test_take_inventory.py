"""What keeps images from being used, and what the manifest says about the files."""

import numpy as np
import pytest

from resomap.errors import DataError
from resomap.system.files import read_json
from tests.image_files import noise, prepare_images, read_table, save, write_classes


def write_deep(folder, top, dtype=np.uint16, ending="png"):
    for number in range(16):
        values = np.linspace(0, top, 256).reshape(16, 16).round()
        values[1, 1] = number * top // 15  # no two images are equal
        name = f"{('cat', 'dog')[number % 2]}/{number // 2}.{ending}"
        save(folder / "images" / name, values.astype(dtype))
    return folder


@pytest.mark.parametrize(
    ("top", "dtype", "ending", "bits"),
    [
        (4095, np.uint16, "png", 12),
        (4095, np.uint16, "tif", 12),
        (1023, np.uint16, "png", 10),
        (255, np.uint16, "png", 8),
        (255, np.int32, "tif", 8),
        (15, np.int32, "tif", 8),
    ],
)
def test_fewer_bits_than_stored_are_refused_with_their_number(
    tmp_path, top, dtype, ending, bits
):
    write_deep(tmp_path, top, dtype, ending)
    with pytest.raises(DataError, match=rf"{top:,} \({bits} bit\), .* data.bit_depth: {bits},"):
        prepare_images(tmp_path)


@pytest.mark.parametrize(("top", "bits"), [(4095, 12), (255, 8), (65535, None), (4095, 16)])
def test_stored_values_reach_white_at_the_right_depth(tmp_path, top, bits):
    store = prepare_images(write_deep(tmp_path, top), bit_depth=bits)
    native = np.load(store / "native.npy")
    scale = 255 / (2 ** (bits or 16) - 1)
    assert native.max() == pytest.approx(top * scale, abs=1)
    assert native.mean() == pytest.approx(top / 2 * scale, abs=2)


def test_many_dark_images_are_counted(tmp_path):
    write_classes(tmp_path / "images", {"cat": 8, "dog": 8})
    for index in range(3):
        save(tmp_path / "images" / "cat" / f"dark{index}.png", noise(index) // 16)
    narrow = read_json(prepare_images(tmp_path) / "manifest.json")["narrow"]
    assert narrow == {"images": 3, "share": 0.0588, "example": "cat/dark0.png"}


def write_masked(folder, values):
    write_classes(folder / "images", {"cat": 10, "dog": 10})
    for label in ("cat", "dog"):
        for index, value in enumerate(values):
            mask = np.full((16, 20), value, np.uint8)
            mask[:8] = 0 if value < 255 else value
            save(folder / "masks" / label / f"{index:04d}.png", mask)
    return {"masks": str(folder / "masks")}


def test_masks_are_counted_with_the_share_they_cover(tmp_path):
    keys = write_masked(tmp_path, [1] * 6 + [255] * 2)
    store = prepare_images(tmp_path, **keys)
    objects = read_json(store / "manifest.json")["objects"]
    rows = [row for row in read_table(store / "pictures.csv") if row["split"] == "test"]
    assert objects == {
        "images": 16,
        "test_images": sum(int(row["source"][4:8]) < 8 for row in rows),
        "share": 0.625,
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [(0, "all 20 masks are empty"), (255, "all 20 masks or boxes cover their whole")],
)
def test_masks_without_an_object_are_refused(tmp_path, value, message):
    keys = write_masked(tmp_path, [value] * 10)
    with pytest.raises(DataError, match=message):
        prepare_images(tmp_path, **keys)


def test_alpha_masks_without_alpha_are_refused(tmp_path):
    write_classes(tmp_path / "images", {"cat": 5, "dog": 5})
    with pytest.raises(DataError, match="masks: alpha: no image has an alpha channel"):
        prepare_images(tmp_path, masks="alpha")


def test_every_complaint_is_in_one_message(tmp_path):
    write_deep(tmp_path, 4095)
    for label in ("cat", "dog"):
        (tmp_path / "images" / label / "bad.jpg").write_bytes(b"")
        for index in range(1, 8):
            (tmp_path / "images" / label / f"{index}.png").write_text("broken")
    with pytest.raises(DataError) as caught:
        prepare_images(tmp_path, on_bad_image="skip")
    message = str(caught.value)
    for part in (
        "too few images",
        "data.bit_depth: 12",
        "cat/bad.jpg: 0 bytes",
        "dog/7.png: not",
    ):
        assert part in message


def test_group_larger_than_its_split_is_recorded(tmp_path):
    rows = ["path,label,group"]
    for index in range(40):
        save(tmp_path / f"{index}.png", noise(index))
        rows.append(f"{index}.png,{'xy'[index % 2]},{'big' if index < 24 else index // 2}")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    seeds = {}
    for seed in range(8):
        store = prepare_images(
            tmp_path,
            dataset="csv",
            path=str(tmp_path / "list.csv"),
            splits={"val": 0.15, "test": 0.2, "seed": seed},
        )
        manifest = read_json(store / "manifest.json")
        test = manifest["assigned"]["test"]
        assert test["requested"] == 0.2
        assert test["actual"] == manifest["splits"]["test"]["count"] / 40
        seeds[seed] = (test["largest_group"], test["largest_group_images"])
    assert ("big", 24) in seeds.values()


def test_pictures_csv_has_the_names_of_classes(tmp_path):
    write_classes(tmp_path / "images", {"cat": 5, "dog": 5})
    for row in read_table(prepare_images(tmp_path) / "pictures.csv"):
        assert row["class"] == row["source"].split("/")[0]
