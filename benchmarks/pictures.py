"""The same pictures twice: JPEG files in folders of classes, as people keep them, and the store that ResoMap prepares from them."""

import os
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

from PIL import Image

from resomap.config.data import Data, Folder
from resomap.data.reef import render
from resomap.data.store.prepare import prepare_store
from resomap.data.store.resize import resize_store
from resomap.data.store.store import open_store

NATIVE = 256
QUALITY = 95
TEST = 8


@dataclass(frozen=True)
class Pictures:
    """The folder with train/, val/ and test/, the manifest of the store made of it, and what that took once."""

    folder: Path
    manifest: Path
    train: int
    wall: float
    cpu: float


def counts(train: int) -> dict[str, int]:
    """Pictures of each split: a fifth as many for validation, and a few for the test that nobody takes, so that none are dealt to it."""
    return {"train": train, "val": train // 5, "test": TEST}


def draw_jpegs(data: Data, folder: Path, train: int) -> None:
    """Draw `train` pictures of 256 px, and those of the other splits, as JPEG files in a folder a class."""
    for split, count in counts(train).items():
        at = 0
        for chunk in render.render_chunks(data.reef, split, count, NATIVE):
            for image, label in zip(chunk.images, chunk.labels, strict=True):
                path = folder / split / render.CLASSES[label] / f"{at:06d}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path, quality=QUALITY)
                at += 1


def take(source: Path, folder: Path, train: int) -> None:
    """Link the first `train` pictures of `source`, and those of the other splits, into `folder`."""
    for split, count in counts(train).items():
        for path in sorted((source / split).glob("*/*.jpg"), key=lambda path: path.name)[
            :count
        ]:
            target = folder / split / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)


def of_folder(data: Data, folder: Path, side: int) -> Data:
    """The section `data`, but of the pictures in `folder`, stored at `side`."""
    there = Folder(path=str(folder), masks=None, group=None)
    return data.model_copy(
        update={"dataset": "folder", "native_resolution": side, "folder": there, "reef": None}
    )


def prepare_and_resize(folder: Path, directory: Path, data: Data, resolution: int) -> Pictures:
    """Prepare the pictures of `folder` and resize them once to `resolution`, by one process."""
    wall, cpu, manifest = perf_counter(), process_time(), directory / "manifest.json"
    prepare_store(of_folder(data, folder, NATIVE), directory)
    resize_store(manifest, resolution, data.filter)
    return Pictures(
        folder,
        manifest,
        open_store(manifest).counts["train"],
        perf_counter() - wall,
        process_time() - cpu,
    )
