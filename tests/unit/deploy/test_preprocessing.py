import json
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image

from resomap.data.loading.augment import Normalise
from resomap.data.sources.decode import FileReader
from resomap.data.sources.listing import ImageFile
from resomap.data.sources.open import open_source
from resomap.data.store.resize import make_square, resize_store
from resomap.data.store.store import open_store
from resomap.deploy import predict
from resomap.deploy.preprocessing import (
    Preprocessing,
    describe_preprocessing,
    read_preprocessing,
    write_preprocessing,
)
from resomap.errors import DataError
from tests.image_files import noise, prepare_images, save, write_good
from tests.tiny_training import NORMALISE

ASPECTS, FILTERS = (
    ("squash", "center_crop", "letterbox"),
    ("box", "bilinear", "bicubic", "lanczos"),
)
STATISTICS = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def describe(**changes) -> Preprocessing:
    values = {
        "native_resolution": 32,
        "resolution": 16,
        "aspect": "squash",
        "filter": "bilinear",
        **STATISTICS,
    }
    return describe_preprocessing(**values | changes)


@pytest.fixture(scope="module")
def good_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    write_good(folder)
    save(folder / "wide.jpg", noise(30, width=131, height=47), quality=95)
    return folder


def test_decoding_of_every_kind_of_file_equals_the_source(good_files):
    spec, reader = describe().as_json(), FileReader()
    names = sorted(path for path in good_files.iterdir())
    assert len(names) > 35
    for path in names:
        expected = np.asarray(reader(ImageFile(str(path))).image)
        assert np.array_equal(np.asarray(predict.decode(path, spec)), expected), path.name


def test_12_bits_are_scaled_as_in_the_source(tmp_path):
    values = np.random.default_rng(0).integers(0, 2**12, (16, 20), np.uint16)
    path = save(tmp_path / "deep.png", Image.fromarray(values))
    expected = np.asarray(FileReader(12)(ImageFile(str(path))).image)
    spec = describe(bit_depth=12).as_json()
    assert np.array_equal(np.asarray(predict.decode(path, spec)), expected)
    with pytest.raises(ValueError, match="more than 8 bit"):
        predict.decode(path, describe(bit_depth=8).as_json())


@pytest.mark.parametrize(("aspect", "filter"), list(product(ASPECTS, FILTERS)))
def test_resized_pixels_equal_those_of_the_store(good_files, aspect, filter):
    resampling, reader = Image.Resampling[filter.upper()], FileReader()
    for native, side in ((32, 16), (16, 40), (17, 17)):
        described = describe(
            native_resolution=native, resolution=side, aspect=aspect, filter=filter
        )
        for path in sorted(good_files.iterdir())[::5]:
            image = reader(ImageFile(str(path))).image
            stored = make_square(image, native, aspect, resampling)
            expected = np.asarray(make_square(stored, side, aspect, resampling))
            assert np.array_equal(described.read(path), expected), path.name


@pytest.mark.parametrize("aspect", ASPECTS)
def test_files_of_a_store_give_its_arrays_byte_for_byte(tmp_path, aspect):
    for index in range(30):
        name = tmp_path / "images" / "ab"[index % 2] / f"{index}.jpg"
        exif = Image.Exif()
        exif[0x0112] = 1 + index % 8
        save(name, noise(index, width=40 + index, height=57), quality=90, exif=exif)
    folder = prepare_images(tmp_path, native_resolution=24, aspect=aspect)
    store = open_store(folder / "manifest.json")
    rows = (folder / "pictures.csv").read_text().splitlines()
    described = describe(native_resolution=24, resolution=13, aspect=aspect)
    resize_store(folder / "manifest.json", 13, "bilinear")
    native, found = store.native_images(), 0
    for split in ("train", "val", "test"):
        images = store.images(split, 13)
        assert np.array_equal(described.resize(native[store.rows(split)]), images)
        found += len(images)
    assert found == 30 == len(rows) - 1
    paths = sorted((tmp_path / "images").rglob("*.jpg"))
    from_files = {described.read(path).tobytes() for path in paths}
    assert from_files == {
        image.tobytes()
        for split in ("train", "val", "test")
        for image in store.images(split, 13)
    }


def test_reef_images_give_the_pixels_of_the_store(tmp_path, config):
    reef = config.data.reef.model_copy(update={"train": 8, "val": 8, "test": 16})
    data = config.data.model_copy(update={"reef": reef, "native_resolution": 64})
    from resomap.data.store.prepare import prepare_store

    prepare_store(data, tmp_path / "store")
    resize_store(tmp_path / "store" / "manifest.json", 24, data.filter)
    store = open_store(tmp_path / "store" / "manifest.json")
    described = describe(
        native_resolution=64, resolution=24, aspect=store.aspect, filter=store.filter
    )
    native = store.native_images()[store.rows("test")]
    assert np.array_equal(described.resize(native), store.images("test", 24))
    assert open_source(data) is not None


@pytest.mark.parametrize("side", [5, 16, 33])
def test_normalised_input_equals_that_of_the_loader(side):
    images = np.random.default_rng(side).integers(0, 256, (7, side, side, 3), np.uint8)
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    for batch in (images, levels):
        normalise = Normalise(**STATISTICS, device=torch.device("cpu"))
        expected = normalise(torch.from_numpy(batch)).numpy()
        result = describe().normalise(batch)
        assert result.dtype == np.float32
        assert result.shape == expected.shape
        # A CPU without fused multiply-add rounds twice: one unit in the last place of the scale.
        np.testing.assert_allclose(result, expected, rtol=0, atol=5e-7)
    exact = NORMALISE(torch.from_numpy(levels)).numpy()
    halves = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
    np.testing.assert_allclose(describe(**halves).normalise(levels), exact, atol=5e-7)


def test_description_written_and_read_is_the_same(tmp_path):
    described = describe(aspect="letterbox", filter="lanczos", bit_depth=12)
    write_preprocessing(described, tmp_path / "preprocessing.json")
    assert read_preprocessing(tmp_path / "preprocessing.json") == described
    spec = predict.load_preprocessing(tmp_path / "preprocessing.json")
    assert spec == described.as_json()
    assert set(spec) == {*predict.FIXED_KEYS, *predict.CHOSEN_KEYS}
    assert describe().at(48).sides == (32, 48)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 2}, ["schema: 2"]),
        ({"schema": True}, ["schema: True"]),
        ({"mean": None, "layout": None}, ["lacks", "mean", "layout"]),
        ({"filter": "nearest", "aspect": "fit"}, ["filter", "aspect"]),
        ({"colour_order": "BGR"}, ["colour_order"]),
        ({"std": [0.2, 0.0, 0.2]}, ["std"]),
        ({"sides": []}, ["sides"]),
        (
            {"rounding": {"crop": "up", "size": "half to even", "pad": "down"}},
            ["rounding.crop"],
        ),
        ({"extra": 1}, ["extra"]),
    ],
)
def test_description_with_fault_is_refused_by_name(tmp_path, change, words):
    content = describe().as_json() | change
    content = {key: value for key, value in content.items() if value is not None}
    path = tmp_path / "preprocessing.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError) as caught:
        read_preprocessing(path)
    assert all(word in str(caught.value) for word in [str(path), *words])


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "null"])
def test_file_without_description_is_refused(tmp_path, content):
    path = tmp_path / "preprocessing.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"preprocessing\.json"):
        read_preprocessing(path)
    path.unlink()
    with pytest.raises(DataError, match="missing"):
        read_preprocessing(path)


@pytest.mark.parametrize(
    ("key", "value"), [("schema", 2), ("colour_order", "BGR"), ("layout", "NHWC")]
)
def test_program_refuses_a_value_it_does_not_do(tmp_path, key, value):
    path = tmp_path / "preprocessing.json"
    path.write_text(json.dumps(describe().as_json() | {key: value}))
    with pytest.raises(ValueError, match=f"{key}: "):
        predict.load_preprocessing(path)
    path.write_text(json.dumps({"schema": 1}))
    with pytest.raises(ValueError, match="lacks"):
        predict.load_preprocessing(path)
