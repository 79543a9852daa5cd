"""The same pictures twice: JPEG files in folders of classes, as people keep them, and the store that ResoMap reads, decoded from them."""

import os
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from PIL import Image

from resomap import files
from resomap.data import reef
from resomap.data.prepare import channel_statistics
from resomap.data.resize import CHUNK, resize
from resomap.data.store import writing
from resomap.sections import Data

NATIVE = 256
QUALITY = 95
SPLITS = ("train", "val")


@dataclass(frozen=True)
class Pictures:
    """The folder with train/ and val/, the manifest of the store made of it, and what that took once."""

    folder: Path
    manifest: Path
    train: int
    wall: float
    cpu: float


def draw_jpegs(data: Data, folder: Path, train: int) -> None:
    """Draw `train` pictures of 256 px, and a fifth as many for validation, as JPEG files in a folder a class."""
    for split, count in (("train", train), ("val", train // 5)):
        at = 0
        for chunk in reef.chunks(data.reef, split, count, NATIVE):
            for image, label in zip(chunk.images, chunk.labels, strict=True):
                path = folder / split / reef.CLASSES[label] / f"{at:06d}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path, quality=QUALITY)
                at += 1


def take(source: Path, folder: Path, train: int) -> None:
    """Link the first `train` pictures of `source`, and a fifth as many for validation, into `folder`."""
    for split, count in (("train", train), ("val", train // 5)):
        for path in sorted((source / split).glob("*/*.jpg"), key=lambda path: path.name)[:count]:
            target = folder / split / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)


def prepare_store(folder: Path, directory: Path, data: Data, resolution: int) -> Pictures:
    """Decode the pictures of `folder` once, resize them once to `resolution`, write both and the manifest."""
    wall, cpu = perf_counter(), process_time()
    counts = {split: _write_split(folder / split, directory, split, data, resolution) for split in SPLITS}
    mean, std = channel_statistics(np.load(directory / "train.npy", mmap_mode="r"))
    unknown = dict.fromkeys(("groups", "pairs", "frequencies"))
    splits = {split: {"count": count} for split, count in counts.items()}
    manifest = {"native_resolution": NATIVE, "classes": reef.CLASSES, "mask": False, "splits": splits, "mean": mean, "std": std, **unknown}
    files.write_json(directory / "manifest.json", manifest)
    return Pictures(folder, directory / "manifest.json", counts["train"], perf_counter() - wall, process_time() - cpu)


def _write_split(folder: Path, directory: Path, split: str, data: Data, resolution: int) -> int:
    paths = sorted(folder.glob("*/*.jpg"))
    native, resized = directory / f"{split}.npy", directory / f"r{resolution}" / f"{split}.npy"
    with writing(native, (len(paths), NATIVE, NATIVE, 3)) as whole, writing(resized, (len(paths), resolution, resolution, 3)) as small:
        for start in range(0, len(paths), CHUNK):
            images = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths[start : start + CHUNK]])
            whole[start : start + CHUNK] = images
            small[start : start + CHUNK] = resize(images, resolution, data.filter)
    labels = [reef.CLASSES.index(path.parent.name) for path in paths]
    files.write_array(directory / f"labels_{split}.npy", np.array(labels, dtype=np.int64))
    return len(paths)
