"""Pixels of more than 8 bits, of unusual TIFF files and of colour profiles."""

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from resomap.data.sources.decode import BadImageError, FileReader
from resomap.data.sources.listing import ImageFile
from tests.image_files import noise, png_chunks, save


def read(path, bit_depth=None):
    return FileReader(bit_depth)(ImageFile(str(path)))


def ramp(top, dtype):
    return np.linspace(0, top, 320).round().reshape(16, 20).astype(dtype)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize(
    ("dtype", "name"), [(np.uint16, "a.png"), (np.uint16, "a.tif"), (np.int32, "a.tif")]
)
def test_values_are_scaled_from_their_bit_depth(tmp_path, bits, dtype, name):
    values = ramp(2**bits - 1, dtype)
    decoded = read(save(tmp_path / name, values), bits)
    expected = np.floor(values.astype(float) * 255 / (2**bits - 1) + 0.5)
    assert (np.asarray(decoded.image) == expected[..., None]).all()
    assert decoded.deepest == 2**bits - 1


def test_value_above_bit_depth_is_refused(tmp_path):
    with pytest.raises(BadImageError, match=r"holds 5,000, more than the 4,095 of .*: 12"):
        read(save(tmp_path / "a.png", ramp(5000, np.uint16)), 12)


def test_negative_value_is_refused(tmp_path):
    with pytest.raises(BadImageError, match="32 bit integers"):
        read(save(tmp_path / "a.tif", ramp(9, np.int32) - 3))


def write_tiff(path, image, tags):
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        info[tag] = value
    image.save(path, tiffinfo=info)
    return path


def patch_tag(path, tag, value):
    """Overwrite the value of a short tag in the first directory of a little-endian TIFF."""
    content = bytearray(path.read_bytes())
    start = int.from_bytes(content[4:8], "little")
    for entry in range(start + 2, start + 2 + 12 * content[start], 12):
        if int.from_bytes(content[entry : entry + 2], "little") == tag:
            content[entry + 8 : entry + 10] = value.to_bytes(2, "little")
    path.write_bytes(content)
    return path


def test_white_is_zero_of_16_bits_is_inverted(tmp_path):
    values = ramp(65535, np.uint16)
    path = patch_tag(save(tmp_path / "a.tif", values), 262, 0)
    expected = np.floor((65535 - values.astype(int)) / 257 + 0.5)
    assert (np.asarray(read(path).image)[..., 0] == expected).all()


def test_white_is_zero_of_8_bits_is_inverted_once(tmp_path):
    values = ramp(255, np.uint8)
    path = patch_tag(save(tmp_path / "a.tif", values), 262, 0)
    assert (np.asarray(read(path).image)[..., 0] == 255 - values).all()


@pytest.mark.parametrize("tags", [{254: 1}, {50706: b"\1\4\0\0"}])
def test_thumbnail_of_raw_photograph_is_refused(tmp_path, tags):
    path = write_tiff(tmp_path / "a.tif", Image.fromarray(noise(1)), tags)
    with pytest.raises(BadImageError, match="thumbnail of a raw photograph"):
        read(path)


def planes(values, planar, extra):
    """Return an uncompressed little-endian TIFF of (H, W, bands) as bytes."""
    height, width, bands = values.shape
    data = values.transpose(2, 0, 1).tobytes() if planar == 2 else values.tobytes()
    bits = 8 * values.itemsize
    table = 8 + 2 + 12 * (10 + bool(extra)) + 4
    strips = bands if planar == 2 else 1
    body = table + 2 * bands + 8 * strips
    sizes = [len(data) // strips] * strips
    offsets = [body + sum(sizes[:index]) for index in range(strips)]

    def entry(tag, kind, count, value):
        return b"".join(
            [
                tag.to_bytes(2, "little"),
                kind.to_bytes(2, "little"),
                count.to_bytes(4, "little"),
                value.to_bytes(4, "little"),
            ]
        )

    entries = [
        entry(256, 4, 1, width),
        entry(257, 4, 1, height),
        entry(258, 3, bands, table),
        entry(259, 3, 1, 1),
        entry(262, 3, 1, 2),
        entry(273, 4, strips, table + 2 * bands if strips > 1 else offsets[0]),
        entry(277, 3, 1, bands),
        entry(278, 4, 1, height),
        entry(279, 4, strips, table + 2 * bands + 4 * strips if strips > 1 else sizes[0]),
        entry(284, 3, 1, planar),
    ]
    if extra:
        entries.append(entry(338, 3, 1, extra[0]))
    head = b"II*\0" + (8).to_bytes(4, "little") + len(entries).to_bytes(2, "little")
    numbers = b"".join(bits.to_bytes(2, "little") for _ in range(bands))
    numbers += b"".join(value.to_bytes(4, "little") for value in [*offsets, *sizes])
    return head + b"".join(entries) + bytes(4) + numbers + data


def test_planar_tiff_of_16_bits_is_refused_and_of_8_bits_read(tmp_path):
    path, values = tmp_path / "a.tif", noise(1)
    path.write_bytes(planes(values, 2, ()))
    assert (np.asarray(read(path).image) == values).all()
    path.write_bytes(planes(values.astype(np.uint16) * 257, 2, ()))
    with pytest.raises(BadImageError, match=r"planar|decoded"):
        read(path)


def test_fourth_band_counts_only_as_declared(tmp_path):
    path, values = tmp_path / "a.tif", noise(1, bands=4)
    path.write_bytes(planes(values, 1, (0,)))
    assert (np.asarray(read(path).image) == values[..., :3]).all()
    path.write_bytes(planes(values, 1, (2,)))
    assert "alpha" in read(path).notes
    path.write_bytes(planes(values, 1, ()))
    with pytest.raises(BadImageError, match="fourth band is not declared as alpha"):
        read(path)


def test_16_bit_colours_are_measured_and_refused_at_other_depths(tmp_path):
    path = tmp_path / "a.png"
    values = noise(1).astype(int) % 16 * 256
    values[0, 0] = 4095
    path.write_bytes(png_chunks(values.astype(">u2")))
    decoded = read(path)
    assert decoded.deepest == 4095
    assert np.asarray(decoded.image).max() == 15
    with pytest.raises(BadImageError, match="16 bit colours"):
        read(path, 12)


def test_other_colour_profile_is_noted(tmp_path):
    profiles = {
        name: ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()
        for name in ("sRGB", "LAB")
    }
    notes = {
        name: read(save(tmp_path / "a.png", noise(1), icc_profile=profile)).notes
        for name, profile in profiles.items()
    }
    assert notes == {"sRGB": (), "LAB": ("colour profile",)}
