import re
from argparse import Namespace

import pytest

from benchmarks import data
from benchmarks.data import OTHER_PART, PROFILE_PARTS, run_listing, run_prepare, run_resize

DECODER = (
    "ignore:The image decoding and encoding capabilities of TorchVision:DeprecationWarning"
)


@pytest.fixture
def options(monkeypatch):
    """Return the options of a trial with images from a small field of noise."""
    monkeypatch.setattr(data, "FIELD_SIDE", 640)
    return Namespace(rounds=1, cores=1, images=40)


def test_resize_and_listing_have_all_rows(options, tmp_path):
    text = run_resize(options, tmp_path / "resize") + run_listing(options, tmp_path / "listing")
    names = re.findall(r"^\| (.+?) \| [\d.,]+", text, re.MULTILINE)
    expected = {"128 px, resize, 1 process", "64 px, Pillow", "list_images", "listing_digest"}
    assert expected <= set(names)


@pytest.mark.filterwarnings(DECODER)
def test_profile_of_preparing_finds_its_parts(options, tmp_path):
    text = run_prepare(options, tmp_path)
    names = re.findall(r"^\| (.+?) \| [\d.,]+", text, re.MULTILINE)
    assert {"prepare, 1 process", "Pillow", "torchvision"} <= set(names)
    row = r"^\| (.+?) \| [\d.]+ \| (\d+)% \| [\d.]+ \| \d+% \|$"
    shares = {name: int(share) for name, share in re.findall(row, text, re.MULTILINE)}
    assert shares.keys() == {*PROFILE_PARTS, OTHER_PART}
    assert sum(shares.values()) == pytest.approx(100, abs=len(shares))
    assert all(shares[part] > 0 for part in ("JPEG decoding", "resize"))
    assert shares["spectra and contact sheet"] > 0
    assert shares[OTHER_PART] < 60


def test_photos_differ_and_fill_all_splits(options, tmp_path):
    photos = data.draw_photos(tmp_path / "photos", 5, 50, 40)
    assert len({path.read_bytes() for path in photos}) == 5
    folder = data.link_photos(photos, tmp_path / "folder", 40)
    splits = [folder / split for split in ("train", "val", "test")]
    assert [len(list(split.glob("class0?/*.jpg"))) for split in splits] == [32, 4, 4]
