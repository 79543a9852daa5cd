"""A folder with every file that has ever broken a loader."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from resomap.data.store.prepare import prepare_store
from resomap.data.store.resize import make_square
from resomap.errors import DataError
from tests.pictures import data_section, noise, save, write_bad, write_classes, write_good


def rows(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def torture(tmp_path):
    good = write_good(tmp_path / "pictures" / "strange")
    write_classes(tmp_path / "pictures", {"plain": 12})
    return tmp_path, good


def prepared(folder, **keys):
    data = data_section(folder, dataset="folder", path=str(folder / "pictures"), **keys)
    prepare_store(data, folder / "store")
    return folder / "store"


def stored(store):
    native = np.load(store / "native.npy")
    return {
        row["source"].removeprefix("strange/"): native[int(row["row"])]
        for row in rows(store / "pictures.csv")
    }


@pytest.mark.parametrize("aspect", ["squash", "center_crop", "letterbox"])
def test_every_good_picture_is_what_pillow_makes_of_it(torture, aspect):
    folder, good = torture
    found = stored(prepared(folder, native_resolution=24, aspect=aspect))
    for name, pixels in good.items():
        expected = make_square(Image.fromarray(pixels), 24, aspect, Image.Resampling.BILINEAR)
        assert (
            found[name.encode("utf-8", "backslashreplace").decode()] == np.asarray(expected)
        ).all(), name


def test_a_picture_of_native_size_is_stored_to_the_bit(tmp_path):
    for label in range(2):
        for index in range(6):
            save(
                tmp_path / "pictures" / f"c{label}" / f"{index}.png",
                noise(label, index, width=16, height=16),
            )
    found = stored(prepared(tmp_path))
    assert all(
        (found[f"c{label}/{index}.png"] == noise(label, index, width=16, height=16)).all()
        for label in range(2)
        for index in range(6)
    )


def test_all_bad_files_are_named_in_one_run_with_their_reasons(torture):
    folder, _ = torture
    bad = write_bad(folder / "pictures" / "bad")
    write_classes(folder / "pictures", {"bad": 9})
    with pytest.raises(DataError) as told:
        prepared(folder)
    lines = {line.strip().split(": ")[0]: line for line in str(told.value).splitlines()[1:]}
    assert set(lines) == {f"bad/{name}" for name in bad}
    assert [name for name, reason in bad.items() if reason not in lines[f"bad/{name}"]] == []
    assert not (folder / "store" / "manifest.json").exists()


def test_bad_files_are_left_out_and_counted_where_the_user_says_so(torture):
    folder, good = torture
    bad = write_bad(folder / "pictures" / "bad")
    write_classes(folder / "pictures", {"bad": 9})
    store = prepared(folder, on_bad_image="skip")
    assert {row["source"] for row in rows(store / "bad_pictures.csv")} == {
        f"bad/{name}" for name in bad
    }
    assert json.loads((store / "manifest.json").read_text())["bad"] == len(bad)
    assert len(rows(store / "pictures.csv")) == len(good) + 12 + 9


def test_what_is_unusual_about_a_file_is_written_down(torture):
    store = prepared(torture[0])
    notes = {
        row["source"].removeprefix("strange/"): row["note"]
        for row in rows(store / "pictures.csv")
    }
    assert notes["moving.gif"] == "animated; palette"
    assert notes["deep.png"] == "16 bit; grey"
    assert notes["palette_alpha.png"] == "alpha; palette"
    assert notes["cmyk.jpg"] == "CMYK"
    assert notes["exif_left.png"] == "rotated by EXIF"
    assert notes["rgb.png"] == notes["exif_plain.png"] == ""
    assert json.loads((store / "manifest.json").read_text())["notes"]["animated"] == 3


def test_a_loop_of_folders_ends(tmp_path):
    write_classes(tmp_path / "pictures", {"a": 6, "b": 6})
    (tmp_path / "pictures" / "a" / "up").symlink_to(tmp_path / "pictures")
    (tmp_path / "pictures" / "b" / "again").symlink_to(tmp_path / "pictures" / "b")
    store = prepared(tmp_path)
    names = [row["source"] for row in rows(store / "pictures.csv")]
    assert len(names) == len(set(names))
    assert {name.split("/")[0] for name in names} == {"a", "b"}


def test_memory_for_a_bomb_is_never_taken(tmp_path):
    import tracemalloc

    from resomap.data.sources.decode import BadImageError, decode_image
    from resomap.data.sources.listing import ImageFile
    from tests.pictures import bomb

    (tmp_path / "bomb.png").write_bytes(bomb(40_000, 40_000))
    tracemalloc.start()
    with pytest.raises(BadImageError, match="bomb"):
        decode_image(ImageFile(str(tmp_path / "bomb.png")))
    assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    tracemalloc.stop()
