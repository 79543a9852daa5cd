"""Mutated image files through the preparation, in bounded memory and time.

Each is stored, or listed with a reason; none ends the preparation. A PNG has checksums, so that
one which is stored must have the pixels that it had. In formats without them a changed file
may be another valid image, which nothing can notice.
"""

import csv
import io
import json
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import NamedTemporaryFile

import numpy as np
from PIL import Image

from resomap.data.sources.decode import BadImageError, FileReader
from resomap.data.sources.listing import ImageFile
from resomap.data.store.prepare import prepare_store
from tests.faults.forked_jobs import run_forked
from tests.faults.sweep import Ended
from tests.faults.trials import TRACEBACK, Trial, Verdict, first_message, trial_rng
from tests.image_files import data_section, noise, write_classes

BATCH = 50
MAX_MEMORY_MIB = 1536
"""Address space that a preparation may add to what the process has at its start."""
MAX_CPU_SECONDS = 60
SIDE = 48

# Ending, format, mode and options of Pillow.
FORMATS: tuple[tuple[str, str, str, dict[str, object]], ...] = (
    *((".png", "PNG", mode, {}) for mode in ("RGB", "RGBA", "L", "P", "1", "I;16")),
    *((".jpg", "JPEG", mode, {}) for mode in ("RGB", "L", "CMYK")),
    (".jpg", "JPEG", "RGB", {"progressive": True}),
    *((".webp", "WEBP", "RGB", {"lossless": lossless}) for lossless in (True, False)),
    (".gif", "GIF", "P", {}),
    (".bmp", "BMP", "RGB", {}),
    *(
        (".tif", "TIFF", "RGB", {"compression": name})
        for name in (None, "tiff_lzw", "tiff_deflate", "jpeg")
    ),
    *((".tif", "TIFF", mode, {}) for mode in ("I;16", "CMYK", "1")),
    (".ppm", "PPM", "RGB", {}),
    (".tga", "TGA", "RGB", {"compression": "tga_rle"}),
    (".pcx", "PCX", "RGB", {}),
    (".jp2", "JPEG2000", "RGB", {}),
    (".avif", "AVIF", "RGB", {}),
)


def _flip_bits(content: bytearray, rng: Random) -> None:
    for _ in range(rng.choice([1, 1, 4, 32])):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _change_head(content: bytearray, rng: Random) -> None:
    # Sizes, depths and offsets stand here.
    for _ in range(rng.randrange(1, 6)):
        content[rng.randrange(min(64, len(content)))] = rng.choice(
            [0, 1, 0x7F, 0xFF, rng.randrange(256)]
        )


def _cut(content: bytearray, rng: Random) -> None:
    del content[rng.randrange(1, len(content)) :]


def _cut_and_fill(content: bytearray, rng: Random) -> None:
    start = rng.randrange(1, len(content))
    content[start:] = bytes([rng.choice([0, 255])]) * (len(content) - start)


def _insert(content: bytearray, rng: Random) -> None:
    start = rng.randrange(len(content))
    content[start:start] = rng.randbytes(rng.choice([1, 16, 4096]))


def _repeat(content: bytearray, rng: Random) -> None:
    start = rng.randrange(len(content))
    content[start:start] = content[start : start + rng.choice([4, 64, 1024])] * rng.choice(
        [1, 8]
    )


def _overwrite(content: bytearray, rng: Random) -> None:
    start, size = rng.randrange(len(content)), rng.choice([2, 4, 64])
    content[start : start + size] = rng.choice([b"\xff", b"\x00", rng.randbytes(1)]) * size


MUTATIONS: dict[str, Callable[[bytearray, Random], None]] = {
    "bits flipped": _flip_bits,
    "header changed": _change_head,
    "cut": _cut,
    "cut and filled": _cut_and_fill,
    "bytes inserted": _insert,
    "bytes repeated": _repeat,
    "bytes overwritten": _overwrite,
}


def _encode(number: int, rng: Random) -> tuple[str, bytes]:
    """Return ending and content of an image: of smooth content, as photographs have."""
    ending, kind, mode, options = rng.choice(FORMATS)
    small = Image.fromarray(noise(number, width=8, height=8))
    image = small.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    stored = io.BytesIO()
    image.save(stored, kind, **options)
    return ending, stored.getvalue()


def mutate(number: int, seed: int) -> tuple[str, str, bytes, bytes]:
    """Return fault, ending, the original and the mutated content of a trial."""
    rng = trial_rng("images", seed, number)
    ending, original = _encode(number, rng)
    fault = rng.choice(list(MUTATIONS))
    content = bytearray(original)
    MUTATIONS[fault](content, rng)
    return fault, ending, original, bytes(content)


def run_images(seed: int, numbers: list[int], folder: Path) -> Iterator[Trial]:
    """Prepare batches of mutated images below `folder`."""
    for start in range(0, len(numbers), BATCH):
        batch = numbers[start : start + BATCH]
        ended, stored, bad = _prepare(seed, batch, folder / "prepared")
        if ended.code == 0:
            for number in batch:
                yield judge(number, seed, stored, bad)
        else:  # which one it was
            for number in batch:
                yield _judge_alone(number, seed, folder / "alone")


def file_name(number: int, ending: str) -> str:
    """Return the name of the file of a trial."""
    return f"{number:05d}{ending}"


def encode_png(pixels: np.ndarray) -> bytes:
    """Return the content of a PNG."""
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, "PNG")
    return stored.getvalue()


def _prepare(
    seed: int, numbers: list[int], folder: Path
) -> tuple[Ended, set[str], dict[str, str]]:
    """Prepare mutated images beside whole ones; return the names stored, and reasons of others."""
    rmtree(folder, ignore_errors=True)
    images, store = folder / "images", folder / "store"
    write_classes(images, {"cat": 20, "dog": 20}, start=10**6)
    for number in numbers:
        _, ending, _, content = mutate(number, seed)
        (images / "cat" / file_name(number, ending)).write_bytes(content)
    keys = {
        "dataset": "folder",
        "path": str(images),
        "native_resolution": 32,
        "on_bad_image": "skip",
    }
    data = data_section(folder, **keys)

    def call() -> None:
        limit = address_space() + MAX_MEMORY_MIB * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        started = time.process_time()
        prepare_store(data, store)
        usage = {"cpu_seconds": time.process_time() - started}
        usage["memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        (folder / "usage.json").write_text(json.dumps(usage))

    ended = run_forked(folder, call, "prepare.log")
    if ended.code:
        return ended, set(), {}
    seconds = json.loads((folder / "usage.json").read_text())["cpu_seconds"]
    if seconds > MAX_CPU_SECONDS:
        return Ended(1, f"error: {seconds:.0f} s of CPU"), set(), {}
    stored = {Path(row["source"]).name for row in _read_rows(store / "pictures.csv")}
    bad = {
        Path(row["source"]).name: row["reason"]
        for row in _read_rows(store / "bad_pictures.csv")
    }
    return ended, stored, bad


def address_space() -> int:
    """Return the bytes of address space of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def _read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def judge(number: int, seed: int, stored: set[str], bad: dict[str, str]) -> Trial:
    """Return the trial of a file, from the names stored and the reasons of the others."""
    fault, ending, original, content = mutate(number, seed)
    name = file_name(number, ending)
    verdict: Verdict = "survived"
    seen = "listed by name with its reason, or read as an image"
    detail = bad.get(name, "stored")
    if (name in stored) == (name in bad):
        verdict, seen = "lost", "neither stored nor listed"
    elif name in stored and ending == ".png" and not _same_pixels(original, content):
        verdict, seen = "silent", "a PNG was stored with other pixels"
    return Trial("images", fault, number, seed, verdict, seen, f"{ending}: {detail}")


def _same_pixels(original: bytes, content: bytes) -> bool:
    decoded = []
    with NamedTemporaryFile(suffix=".png") as file:
        for each in (original, content):
            Path(file.name).write_bytes(each)
            try:
                decoded.append(np.asarray(FileReader()(ImageFile(file.name)).image))
            except BadImageError:
                return False
    return decoded[0].shape == decoded[1].shape and bool((decoded[0] == decoded[1]).all())


def _judge_alone(number: int, seed: int, folder: Path) -> Trial:
    ended, stored, bad = _prepare(seed, [number], folder)
    if ended.code == 0:
        return judge(number, seed, stored, bad)
    fault, ending, _, _ = mutate(number, seed)
    verdict: Verdict = "traceback" if TRACEBACK in ended.text else "lost"
    return Trial("images", fault, number, seed, verdict, first_message(ended.text), ending)
