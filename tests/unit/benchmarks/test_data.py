import re
from argparse import Namespace

import pytest

from benchmarks import data
from benchmarks.data import run_prepare, run_resize

DECODER = (
    "ignore:The image decoding and encoding capabilities of TorchVision:DeprecationWarning"
)


@pytest.fixture
def options(monkeypatch):
    """Return the options of a trial with images from a small field of noise."""
    monkeypatch.setattr(data, "FIELD_SIDE", 640)
    return Namespace(rounds=1, cores=1, images=40)


@pytest.mark.filterwarnings(DECODER)
@pytest.mark.parametrize(
    ("part", "contenders"),
    [
        (run_prepare, {"prepare, 1 process", "Pillow", "torchvision"}),
        (run_resize, {"128 px, resize, 1 process", "64 px, Pillow"}),
    ],
)
def test_part_has_a_row_per_contender(options, tmp_path, part, contenders):
    rows = re.findall(r"^\| (.+?) \| [\d.,]+", part(options, tmp_path), re.MULTILINE)
    assert contenders <= set(rows)


def test_photos_differ_and_fill_all_splits(options, tmp_path):
    photos = data.draw_photos(tmp_path / "photos", 5, 50, 40)
    assert len({path.read_bytes() for path in photos}) == 5
    folder = data.link_photos(photos, tmp_path / "folder", 40)
    splits = [folder / split for split in ("train", "val", "test")]
    assert [len(list(split.glob("class0?/*.jpg"))) for split in splits] == [32, 4, 4]
