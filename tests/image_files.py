"""Image files for tests: plain ones, real scans, and every kind that has broken a loader."""

import csv
import struct
import zlib
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from resomap.config.data import Data
from resomap.config.load import load_config
from resomap.data.store.prepare import prepare_store
from resomap.system.files import write_text

CONFIG = Path(__file__).parents[1] / "config"


def data_section(folder: Path, **keys) -> Data:
    """Return the data section of a user's file with `keys`, as a sweep would read it."""
    write_text(folder / "mine.yaml", yaml.safe_dump({"data": keys}))
    return load_config(CONFIG, [folder / "mine.yaml"]).data


def prepare_images(folder: Path, **keys) -> Path:
    """Prepare the images below folder / "images" into the store folder / "store"."""
    keys = {"dataset": "folder", "path": str(folder / "images"), **keys}
    prepare_store(data_section(folder, **keys), folder / "store")
    return folder / "store"


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def noise(*key: int, width: int = 20, height: int = 16, bands: int = 3) -> np.ndarray:
    """Return a different image for every key: uint8 (height, width, bands)."""
    return np.random.default_rng(key).integers(0, 256, (height, width, bands), np.uint8)


def save(path: Path, pixels: np.ndarray | Image.Image, **options) -> Path:
    """Write an image in the format of its file name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def write_classes(folder: Path, counts: dict[str, int], start: int = 0, **size: int) -> Path:
    """Write PNGs of noise, `counts` in the folder of each class."""
    for label, (name, count) in enumerate(counts.items()):
        for index in range(start, start + count):
            save(folder / name / f"{index:04d}.png", noise(label, index, **size))
    return folder


def write_digits(folder: Path) -> Path:
    """Write scikit-learn's 1,797 scans of handwritten digits, 8 x 8 pixels, by class."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for index, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        pixels = np.rint(image * 255 / 16).astype(np.uint8)
        save(folder / str(label) / f"{index:04d}.png", pixels)
    return folder


class _Files:
    """Files in a folder, with the RGB pixels that decoding each should give."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.expected = folder, dict[str, np.ndarray]()

    def add(
        self, name: str, image: Image.Image, expected: np.ndarray | None = None, **options
    ) -> None:
        """Save an image; without `expected` it is what Pillow's own conversion gives."""
        path = save(self.folder / name, image, **options)
        self.expected[name] = _convert(path) if expected is None else expected


def write_good(folder: Path) -> dict[str, np.ndarray]:
    """Write every kind of file that is an image; return name -> RGB pixels, upright."""
    files = _Files(folder)
    image = Image.fromarray(noise(1))
    _add_modes(files, image)
    _add_transparent(files, image)
    _add_16_bit(files)
    _add_exif(files, image)
    _add_frames(files, image)
    _add_shapes_and_names(files, image)
    return files.expected


def _add_modes(files: _Files, image: Image.Image) -> None:
    for name in ("rgb.png", "rgb.bmp", "rgb.tif", "rgb.jpg", "rgb.JPEG", "rgb.webp"):
        files.add(name, image)
    palette = image.convert("P", palette=Image.Palette.ADAPTIVE)
    files.add("grey.png", image.convert("L"))
    files.add("bits.png", image.convert("1"))
    files.add("palette.png", palette)
    files.add("palette.gif", palette)
    files.add("cmyk.jpg", image.convert("CMYK"))
    files.add("cmyk.tif", image.convert("CMYK"))


def _add_transparent(files: _Files, image: Image.Image) -> None:
    glass = Image.fromarray(noise(2, bands=4))
    files.add("alpha.png", glass, _on_white(glass))
    files.add("alpha.webp", glass, _on_white(glass), lossless=True, exact=True)
    files.add("grey_alpha.png", glass.convert("LA"), _on_white(glass.convert("LA")))
    palette = image.convert("P", palette=Image.Palette.ADAPTIVE)
    transparent = palette.getpixel((0, 0))
    path = save(files.folder / "palette_alpha.png", palette, transparency=transparent)
    with Image.open(path) as stored:
        files.expected[path.name] = _on_white(stored)


def _add_16_bit(files: _Files) -> None:
    deep = np.random.default_rng(3).integers(0, 2**16, (16, 20), np.uint16)
    expected = np.repeat(np.rint(deep / 257).astype(np.uint8)[..., None], 3, axis=2)
    files.add("deep.png", Image.fromarray(deep), expected)
    files.add("deep.tif", Image.fromarray(deep), expected)


def _add_exif(files: _Files, image: Image.Image) -> None:
    names = ("plain", "mirrored", "half", "flipped")
    names += ("transposed", "right", "transversed", "left")
    for orientation, name in enumerate(names, start=1):
        exif = Image.Exif()
        exif[0x0112] = orientation
        upright = _turn_upright(np.asarray(image), orientation)
        files.add(f"exif_{name}.png", image, upright, exif=exif)


def _add_frames(files: _Files, image: Image.Image) -> None:
    others = [Image.fromarray(noise(4)), Image.fromarray(noise(5))]
    for name, options in (("moving.gif", {}), ("moving.webp", {"lossless": True})):
        files.add(name, image, save_all=True, append_images=others, **options)
    files.add("pages.tif", image, save_all=True, append_images=others)


def _add_shapes_and_names(files: _Files, image: Image.Image) -> None:
    files.add("thin.png", Image.fromarray(noise(6, width=9000, height=1)))
    files.add("tall.png", Image.fromarray(noise(7, width=1, height=9000)))
    files.add("dot.png", Image.fromarray(noise(8, width=1, height=1)))
    files.add("Straße 猫 ñ.png", Image.fromarray(noise(9)))
    files.add(f"{'long' * 62}.png", Image.fromarray(noise(10)))
    files.add("line\nbreak, comma;.png", Image.fromarray(noise(11)))
    files.add("no_extension", Image.fromarray(noise(12)), format="PNG")
    files.add("wrong.png", image, format="JPEG")
    (files.folder / "link.png").symlink_to(files.folder / "rgb.png")
    files.expected["link.png"] = np.asarray(image)
    # A name whose bytes are no UTF-8.
    files.add("latin_\udce9.png", Image.fromarray(noise(13)))


def _convert(path: Path) -> np.ndarray:
    with Image.open(path) as stored:
        return np.asarray(stored.convert("RGB"))


def _on_white(image: Image.Image) -> np.ndarray:
    layers = image.convert("RGBA")
    return np.asarray(
        Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
    )


def _turn_upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an orientation of EXIF 2.3, section 4.6.4: the side of the first row and column."""
    swapped = pixels.transpose(1, 0, 2) if orientation > 4 else pixels
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(swapped[::rows, ::columns])


def write_bad(folder: Path) -> dict[str, str]:
    """Write every kind of file that is no image; return name -> a word of the reason."""
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, str] = {}

    def add(name: str, content: bytes, reason: str) -> None:
        (folder / name).write_bytes(content)
        made[name] = reason

    def encoded(name: str, **options) -> bytes:
        return save(folder / name, noise(20, width=64, height=64), **options).read_bytes()

    add("empty.png", b"", "0 bytes")
    add("text.jpg", b"this is not an image\n" * 20, "not an image")
    add("notes.png", b"do not forget the milk", "not an image")
    add("page.jpg", b"<!doctype html><title>404</title>", "a web page")
    for name in ("cut.jpg", "cut.png", "cut.webp", "cut.tif", "cut.bmp"):
        whole = encoded(name)
        add(name, whole[: len(whole) // 2], "decoded")
    add("head.png", encoded("head.png")[:20], "decoded")
    add("bomb.png", bomb(40_000, 40_000), "bomb")
    damaged = bytearray(encoded("crc.png"))
    damaged[len(damaged) // 2] ^= 0xFF
    add("crc.png", bytes(damaged), "decoded")
    save(
        folder / "floats.tif",
        Image.fromarray(np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)),
    )
    made["floats.tif"] = "floating point"
    save(folder / "integers.tif", Image.fromarray(np.full((16, 16), 2**20, np.int32)))
    made["integers.tif"] = "32 bit integers"
    (folder / "broken_link.png").symlink_to(folder / "gone.png")
    (folder / "itself.png").symlink_to(folder / "itself.png")
    made |= {"broken_link.png": "broken link", "itself.png": "broken link"}
    return made


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of a few hundred bytes whose header promises width x height pixels."""
    return _build_png((width, height), 8, bytes(1000))


def png_chunks(values: np.ndarray) -> bytes:
    """Return 16-bit colours, big-endian uint16 (H, W, 3), as a PNG, which Pillow cannot write."""
    rows = [b"\0" + row.tobytes() for row in values]
    return _build_png((values.shape[1], values.shape[0]), 16, b"".join(rows))


def _build_png(size: tuple[int, int], bits: int, rows: bytes) -> bytes:
    header = _png_chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, 2, 0, 0, 0))
    pixels = _png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + _png_chunk(b"IEND", b"")


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum
