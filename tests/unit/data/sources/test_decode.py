"""Every kind of file that has broken a loader, decoded alone and prepared into a store."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from resomap.data.sources.decode import BadImageError, FileReader
from resomap.data.sources.listing import ImageFile
from resomap.data.store.resize import make_square
from resomap.errors import DataError
from resomap.system.files import read_json
from tests.image_files import (
    bomb,
    noise,
    prepare_images,
    read_table,
    save,
    write_bad,
    write_classes,
    write_good,
)


@pytest.fixture
def good(tmp_path):
    """Class folders of strange but valid files, and of plain ones; expected pixels by name."""
    write_classes(tmp_path / "images", {"plain": 12})
    return write_good(tmp_path / "images" / "strange")


@pytest.fixture
def bad(good, tmp_path):
    """Bad files in a third class folder; a word of the reason by name."""
    write_classes(tmp_path / "images", {"bad": 9})
    return write_bad(tmp_path / "images" / "bad")


@pytest.mark.parametrize("aspect", ["squash", "center_crop", "letterbox"])
def test_valid_file_is_stored_as_pillow_reads_it(good, tmp_path, aspect):
    store = prepare_images(tmp_path, native_resolution=24, aspect=aspect)
    native = np.load(store / "native.npy")
    rows = {row["source"]: int(row["row"]) for row in read_table(store / "pictures.csv")}
    for name, pixels in good.items():
        square = make_square(Image.fromarray(pixels), 24, aspect, Image.Resampling.BILINEAR)
        printable = name.encode("utf-8", "backslashreplace").decode()
        assert (native[rows[f"strange/{printable}"]] == np.asarray(square)).all(), name


def test_bad_files_are_all_named_with_reasons(bad, tmp_path):
    with pytest.raises(DataError) as caught:
        prepare_images(tmp_path)
    lines = str(caught.value).splitlines()[1:]
    reasons = dict(line.strip().split(": ", 1) for line in lines)
    assert set(reasons) == {f"bad/{name}" for name in bad}
    assert [name for name, word in bad.items() if word not in reasons[f"bad/{name}"]] == []
    assert not (tmp_path / "store" / "manifest.json").exists()


def test_skipped_bad_files_are_listed_and_counted(good, bad, tmp_path):
    store = prepare_images(tmp_path, on_bad_image="skip")
    names = {row["source"] for row in read_table(store / "bad_pictures.csv")}
    assert names == {f"bad/{name}" for name in bad}
    assert read_json(store / "manifest.json")["bad"] == len(bad)
    assert len(read_table(store / "pictures.csv")) == len(good) + 12 + 9


def test_unusual_files_are_noted(good, tmp_path):
    store = prepare_images(tmp_path)
    rows = read_table(store / "pictures.csv")
    notes = {row["source"].removeprefix("strange/"): row["note"] for row in rows}
    expected = {
        "moving.gif": "animated; palette",
        "deep.png": "16 bit; grey",
        "palette_alpha.png": "alpha; palette",
        "cmyk.jpg": "CMYK",
        "exif_left.png": "rotated by EXIF",
        "exif_plain.png": "",
        "rgb.png": "",
    }
    assert {name: notes[name] for name in expected} == expected
    assert read_json(store / "manifest.json")["notes"]["animated"] == 3


def test_decompression_bomb_allocates_no_memory(tmp_path):
    (tmp_path / "bomb.png").write_bytes(bomb(40_000, 40_000))
    tracemalloc.start()
    with pytest.raises(BadImageError, match="bomb"):
        FileReader()(ImageFile(str(tmp_path / "bomb.png")))
    assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    tracemalloc.stop()


def test_avif_with_inserted_bytes_is_read_or_refused(tmp_path):
    path = save(tmp_path / "a.avif", noise(1, width=48, height=48))
    whole, outcomes = path.read_bytes(), set()
    for place in range(0, len(whole), 16):
        path.write_bytes(whole[:place] + b"\x00\xff" * 8 + whole[place:])
        try:
            FileReader()(ImageFile(str(path)))
            outcomes.add("read")
        except BadImageError as error:
            outcomes.add(str(error))
    # libavif raises a RuntimeError, unlike all other decoders.
    assert any("Failed to decode" in outcome for outcome in outcomes), outcomes
