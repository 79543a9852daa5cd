"""Preparing the data: every picture once into the native store, and a manifest that says what is in it."""

import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from resomap import files, sections
from resomap.data import reef
from resomap.data.store import SPLITS, writing

COLUMNS = ("split", "index", "label", "group", "source", "frequency", "orientation_degrees", "x", "y")


def prepare(data: sections.Data, directory: Path) -> None:
    """Write the native store of `data` into `directory`, a few pictures in memory at a time.

    An old manifest goes before the first array is touched and the new one comes last: where there is one, the store is whole.
    """
    manifest = directory / "manifest.json"
    manifest.unlink(missing_ok=True)
    rows = {split: _write_split(data, directory, split) for split in SPLITS}
    files.write_rows(directory / "pictures.csv", [row for split in SPLITS for row in rows[split]], COLUMNS)
    files.write_json(manifest, _describe(data, directory, rows))


def _write_split(data: sections.Data, directory: Path, split: str) -> list[dict[str, Any]]:
    """Write pictures, labels and (of test) masks of one split; returns what pictures.csv says of them."""
    rows: list[dict[str, Any]] = []
    shape = (getattr(data.reef, split), data.native_resolution, data.native_resolution)
    masked = writing(directory / f"masks_{split}.npy", shape) if split == "test" else nullcontext()
    with writing(directory / f"{split}.npy", (*shape, 3)) as images, masked as masks:
        for pictures in _with_bar(data, split):
            here = slice(len(rows), len(rows) + len(pictures.labels))
            images[here] = pictures.images
            if masks is not None:
                masks[here] = pictures.masks
            rows += _rows(pictures, split, here.start)
    files.write_array(directory / f"labels_{split}.npy", np.array([row["label"] for row in rows], dtype=np.int64))
    return rows


def _with_bar(data: sections.Data, split: str) -> "tqdm[reef.Pictures]":
    count = getattr(data.reef, split)
    pictures = reef.chunks(data.reef, split, count, data.native_resolution)
    return tqdm(pictures, desc=split, total=math.ceil(count / reef.CHUNK), unit=" pictures", unit_scale=reef.CHUNK)


def _rows(pictures: reef.Pictures, split: str, start: int) -> list[dict[str, Any]]:
    return [
        {
            "split": split,
            "index": start + i,
            "label": int(pictures.labels[i]),
            "group": pictures.groups[i],
            "source": "reef",
            "frequency": f"{pictures.frequency[i]:.4f}",
            "orientation_degrees": f"{pictures.orientation[i]:.3f}",
            "x": f"{pictures.x[i]:.5f}",
            "y": f"{pictures.y[i]:.5f}",
        }
        for i in range(len(pictures.labels))
    ]


def _describe(data: sections.Data, directory: Path, rows: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The manifest of a store whose arrays are written."""
    mean, std = channel_statistics(np.load(directory / "train.npy", mmap_mode="r"))
    return {
        "dataset": data.dataset,
        "native_resolution": data.native_resolution,
        "filter": data.filter,
        "classes": reef.CLASSES,
        "groups": reef.GROUPS,
        "pairs": reef.PAIRS,
        "frequencies": dict(zip(reef.RUNGS, data.reef.frequencies, strict=True)),
        "mask": True,
        "splits": {split: _describe_split(directory, split, rows[split]) for split in SPLITS},
        "mean": mean,
        "std": std,
    }


def _describe_split(directory: Path, split: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    per_class = np.bincount([row["label"] for row in rows], minlength=len(reef.CLASSES))
    return {"count": len(rows), "sha256": files.file_sha256(directory / f"{split}.npy"), "per_class": per_class.tolist()}


def channel_statistics(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel of uint8 pictures (N, H, W, 3), on the scale 0 to 1, from exact counts."""
    counts = np.zeros((3, 256), np.int64)
    for image in images:
        counts += [np.bincount(channel, minlength=256) for channel in image.reshape(-1, 3).T]
    share, level = counts / counts.sum(axis=1, keepdims=True), np.arange(256) / 255
    mean = share @ level
    return mean.tolist(), np.sqrt(share @ level**2 - mean**2).tolist()
