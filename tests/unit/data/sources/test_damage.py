"""Files that lost a part and still decode."""

import io

import numpy as np
import pytest
from PIL import Image

from resomap.data.sources.decode import BadImageError, FileReader
from resomap.data.sources.listing import ImageFile
from tests.image_files import noise, save


def read(path):
    return FileReader()(ImageFile(str(path)))


def photograph(side=128):
    rows, columns = np.mgrid[0:side, 0:side] * 230 // side
    gradients = np.stack([columns, rows, (rows + columns) // 2], axis=-1)
    return Image.fromarray(
        (gradients + noise(1, width=side, height=side) // 13).astype(np.uint8)
    )


def encode(ending, **options):
    stream = io.BytesIO()
    formats = {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000", "ppm": "PPM"}
    photograph().save(stream, formats.get(ending, ending.upper()), **options)
    return stream.getvalue()


FORMATS = [
    ("jpg", {}),
    ("jpg", {"progressive": True}),
    ("jpg", {"optimize": True, "subsampling": 0}),
    ("png", {}),
    ("webp", {}),
    ("webp", {"lossless": True}),
    ("tif", {}),
    ("bmp", {}),
    ("ppm", {}),
    ("tga", {}),
    ("gif", {}),
    ("jp2", {}),
    ("avif", {}),
]


@pytest.mark.parametrize(("ending", "options"), FORMATS)
@pytest.mark.parametrize("share", [0.37, 0.52, 0.57])
@pytest.mark.parametrize("fill", [b"", b"\0", b"\xff", b"\xff\xd9"])
def test_lost_part_is_found_whatever_fills_it(tmp_path, ending, options, share, fill):
    content = encode(ending, **options)
    kept = content[: int(share * len(content))]
    lost = len(content) - len(kept)
    path = tmp_path / f"a.{ending}"
    path.write_bytes(kept + (fill if len(fill) == 2 else fill * lost))
    with pytest.raises(BadImageError, match=r"lost|decoded|not an image"):
        read(path)


@pytest.mark.parametrize(("ending", "options"), FORMATS)
def test_whole_file_is_accepted(tmp_path, ending, options):
    (tmp_path / f"a.{ending}").write_bytes(encode(ending, **options))
    assert read(tmp_path / f"a.{ending}").image.size == (128, 128)


def test_jpeg_with_bytes_after_its_end_is_accepted(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encode("jpg") + bytes(500))
    assert read(tmp_path / "a.jpg").image.size == (128, 128)


@pytest.mark.parametrize("rows", [8, 40])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}])
def test_jpeg_that_ends_in_grey_is_accepted(tmp_path, rows, options):
    pixels = np.array(photograph())
    pixels[-rows:] = 128
    path = save(tmp_path / "a.jpg", pixels, quality=90, **options)
    assert read(path).image.size == (128, 128)


@pytest.mark.parametrize("ending", ["tif", "bmp", "ppm", "png"])
@pytest.mark.parametrize("value", [0, 255])
def test_plain_border_is_accepted(tmp_path, ending, value):
    pixels = np.array(photograph())
    pixels[-40:] = value
    pixels[:20] = value
    read(save(tmp_path / f"bar.{ending}", pixels))
    # An object on a plain ground: its last row is short.
    rows, columns = np.mgrid[0:128, 0:128]
    pixels[(rows - 64) ** 2 + (columns - 64) ** 2 > 40**2] = value
    read(save(tmp_path / f"disc.{ending}", pixels))
    read(save(tmp_path / f"plain.{ending}", np.full_like(pixels, value)))


def test_rotated_jpeg_that_lost_its_end_is_found(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encode("jpg", exif=exif)
    (tmp_path / "a.jpg").write_bytes(content[: len(content) // 2] + b"\xff\xd9")
    with pytest.raises(BadImageError, match="lost"):
        read(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\0\0\0\x18ftypheic" + bytes(200), "HEIC photograph"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
)
def test_other_content_is_named(tmp_path, content, reason):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(BadImageError, match=f"not an image but .*{reason}"):
        read(tmp_path / "a.jpg")
