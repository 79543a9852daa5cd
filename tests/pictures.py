"""Folders of pictures that tests make: plain ones, real scans, and every kind of file that has ever broken a loader."""

import struct
import zlib
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from resomap.config.data import Data
from resomap.config.load import load_config
from resomap.system.files import write_text

CONFIG = Path(__file__).parents[1] / "config"


def data_section(folder: Path, **keys) -> Data:
    """The data section of a user's file that holds `keys`, as a sweep would read it."""
    write_text(folder / "mine.yaml", yaml.safe_dump({"data": keys}))
    return load_config(CONFIG, [folder / "mine.yaml"]).data


def noise(*key: int, width: int = 20, height: int = 16, bands: int = 3) -> np.ndarray:
    """A picture of its own for every key, uint8 (height, width, bands)."""
    return np.random.default_rng(key).integers(0, 256, (height, width, bands), np.uint8)


def save(path: Path, pixels: np.ndarray | Image.Image, **options) -> Path:
    """Write a picture in the format of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def write_classes(folder: Path, counts: dict[str, int], start: int = 0) -> Path:
    """PNGs of noise in a folder a class."""
    for label, (name, count) in enumerate(counts.items()):
        for index in range(start, start + count):
            save(folder / name / f"{index:04d}.png", noise(label, index))
    return folder


def write_digits(folder: Path) -> Path:
    """scikit-learn's 1,797 scans of handwritten digits, 8 x 8 pixels, in a folder a digit."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for index, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        save(
            folder / str(label) / f"{index:04d}.png", np.rint(image * 255 / 16).astype(np.uint8)
        )
    return folder


def write_good(folder: Path) -> dict[str, np.ndarray]:
    """Every kind of file that is a picture, and the RGB pixels that Pillow itself makes of it, upright and before any resize."""
    made: dict[str, np.ndarray] = {}
    pixels = noise(1)
    picture = Image.fromarray(pixels)

    def add(
        name: str, image: Image.Image, expected: np.ndarray | None = None, **options
    ) -> None:
        path = save(folder / name, image, **options)
        made[name] = _converted(path) if expected is None else expected

    for name in ("rgb.png", "rgb.bmp", "rgb.tif", "rgb.jpg", "rgb.JPEG", "rgb.webp"):
        add(name, picture)
    add("grey.png", picture.convert("L"))
    add("bits.png", picture.convert("1"))
    add("palette.png", picture.convert("P", palette=Image.Palette.ADAPTIVE))
    add("palette.gif", picture.convert("P", palette=Image.Palette.ADAPTIVE))
    add("cmyk.jpg", picture.convert("CMYK"))
    add("cmyk.tif", picture.convert("CMYK"))
    glass = Image.fromarray(noise(2, bands=4))
    add("alpha.png", glass, _on_white(glass))
    add("alpha.webp", glass, _on_white(glass), lossless=True, exact=True)
    add("grey_alpha.png", glass.convert("LA"), _on_white(glass.convert("LA")))
    hole = picture.convert("P", palette=Image.Palette.ADAPTIVE)
    path = save(folder / "palette_alpha.png", hole, transparency=hole.getpixel((0, 0)))
    with Image.open(path) as stored:
        made[path.name] = _on_white(stored)
    deep = np.random.default_rng(3).integers(0, 2**16, (16, 20), np.uint16)
    for name in ("deep.png", "deep.tif"):
        add(
            name,
            Image.fromarray(deep),
            np.repeat(np.rint(deep / 257).astype(np.uint8)[..., None], 3, axis=2),
        )
    for turn, name in enumerate(
        ("plain", "mirrored", "half", "flipped", "transposed", "right", "transversed", "left"),
        start=1,
    ):
        exif = Image.Exif()
        exif[0x0112] = turn
        add(f"exif_{name}.png", picture, _upright(pixels, turn), exif=exif)
    frames = [picture, Image.fromarray(noise(4)), Image.fromarray(noise(5))]
    add("moving.gif", frames[0], save_all=True, append_images=frames[1:])
    add("moving.webp", frames[0], save_all=True, append_images=frames[1:], lossless=True)
    add("pages.tif", frames[0], save_all=True, append_images=frames[1:])
    add("thin.png", Image.fromarray(noise(6, width=9000, height=1)))
    add("tall.png", Image.fromarray(noise(7, width=1, height=9000)))
    add("dot.png", Image.fromarray(noise(8, width=1, height=1)))
    add("Straße 猫 ñ.png", Image.fromarray(noise(9)))
    add(f"{'long' * 62}.png", Image.fromarray(noise(10)))
    add("line\nbreak, comma;.png", Image.fromarray(noise(11)))
    add("no_extension", Image.fromarray(noise(12)), format="PNG")
    add("wrong.png", picture, format="JPEG")
    (folder / "link.png").symlink_to(folder / "rgb.png")
    made["link.png"] = pixels
    add("latin_\udce9.png", Image.fromarray(noise(13)))  # a name whose bytes are no UTF-8
    return made


def _converted(path: Path) -> np.ndarray:
    with Image.open(path) as stored:
        return np.asarray(stored.convert("RGB"))


def _on_white(image: Image.Image) -> np.ndarray:
    layers = image.convert("RGBA")
    return np.asarray(
        Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
    )


def _upright(pixels: np.ndarray, turn: int) -> np.ndarray:
    """What EXIF 2.3, 4.6.4 says of orientation 1 to 8: where the stored first row and column lie."""
    swapped = pixels.transpose(1, 0, 2) if turn > 4 else pixels
    rows = -1 if turn in (3, 4, 7, 8) else 1
    columns = -1 if turn in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(swapped[::rows, ::columns])


def write_bad(folder: Path) -> dict[str, str]:
    """Every kind of file that is no picture, and a word of the reason to be told."""
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, str] = {}

    def add(name: str, content: bytes, reason: str) -> None:
        (folder / name).write_bytes(content)
        made[name] = reason

    def encoded(name: str, **options) -> bytes:
        return save(folder / name, noise(20, width=64, height=64), **options).read_bytes()

    add("empty.png", b"", "0 bytes")
    add("text.jpg", b"this is not a picture\n" * 20, "not an image")
    add("notes.txt", b"do not forget the milk", "not an image")
    add("page.html", b"<!doctype html><title>404</title>", "not an image")
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
    """A PNG of a few hundred bytes whose header promises width x height pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data))
            + kind
            + data
            + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )
