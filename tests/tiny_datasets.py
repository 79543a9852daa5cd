"""Tiny datasets in the official formats of ten datasets of torchvision.

torchvision reads them with its integrity checks on. CIFAR10, CIFAR100, STL10, SVHN
and Flowers102 check the md5 of their files: these are read only in the process that wrote them,
while its monkeypatch holds. Any process reads the others.
"""

import csv
import hashlib
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

CIFAR10_NAMES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
STL10_NAMES = (
    *("airplane", "bird", "car", "cat", "deer"),
    *("dog", "horse", "monkey", "ship", "truck"),
)
PETS = {"Abyssinian": 1, "american_bulldog": 2, "american_pit_bull_terrier": 2}
"""Breed to species, 1 for cats and 2 for dogs."""
WNIDS = {"n01440764": "tench", "n02102040": "English springer", "n02979186": "cassette player"}


@dataclass(frozen=True)
class TinyDataset:
    """What was written, by split (or all), in torchvision's order.

    images uint8 (H, W, 3), labels, and masks uint8 (H, W).
    """

    classes: tuple[str, ...]
    lossless: bool
    images: dict[str, list[np.ndarray]] = field(default_factory=dict)
    labels: dict[str, list[int]] = field(default_factory=dict)
    masks: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def draw(
        self, split: str, each: int, height: int, width: int, mixed: bool
    ) -> list[tuple[np.ndarray, int]]:
        """Draw images and labels of a split, `each` per class, in order or `mixed`."""
        labels = np.repeat(np.arange(len(self.classes)), each)
        self.labels[split] = (
            np.random.default_rng(1).permutation(labels) if mixed else labels
        ).tolist()
        self.images[split] = [
            _gradient(split, number, height, width) for number in range(len(labels))
        ]
        return list(zip(self.images[split], self.labels[split], strict=True))


def write(name: str, root: Path, monkeypatch: pytest.MonkeyPatch, each: int = 2) -> TinyDataset:
    """Write `torchvision.datasets.<name>` in `root`, with `each` images per class and split."""
    return _WRITERS[name](root, monkeypatch, each)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def _gradient(split: str, number: int, height: int, width: int) -> np.ndarray:
    """Return colour gradients: smooth enough for JPEG, and different for every image."""
    ground, down, right = np.random.default_rng([*split.encode(), number]).integers(
        20, 80, (3, 3)
    )
    y, x = np.linspace(0, 1, height)[:, None, None], np.linspace(0, 1, width)[None, :, None]
    return np.round(ground + down * y + right * x**2).astype(np.uint8)


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, quality=95, subsampling=0)


def _pickle(path: Path, value: dict[str, Any]) -> list[str]:
    """Write a file as Python 2 did; return the name and md5 that its class holds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol=2))
    return [path.name, md5(path)]


def _planes(images: list[np.ndarray]) -> np.ndarray:
    """Return rows in the order of CIFAR: all of red, then green, then blue."""
    return np.stack([image.transpose(2, 0, 1).reshape(-1) for image in images])


def _cifar10(root: Path, monkeypatch: pytest.MonkeyPatch, each: int) -> TinyDataset:
    kind, tiny = datasets.CIFAR10, TinyDataset(CIFAR10_NAMES, lossless=True)
    batches: dict[str, list[list[str]]] = {"train": [], "test": []}
    for split, names in {
        "train": [f"data_batch_{n}" for n in range(1, 6)],
        "test": ["test_batch"],
    }.items():
        drawn = tiny.draw(split, each, 32, 32, mixed=True)
        for name, part in zip(
            names, np.array_split(np.arange(len(drawn)), len(names)), strict=True
        ):
            images, labels = zip(*[drawn[i] for i in part], strict=True)
            batch = {
                "batch_label": name,
                "labels": list(labels),
                "data": _planes(images),
                "filenames": [f"{i}.png" for i in part],
            }
            batches[split].append(_pickle(root / kind.base_folder / name, batch))
    meta = _pickle(
        root / kind.base_folder / "batches.meta",
        {"num_cases_per_batch": 2, "label_names": list(CIFAR10_NAMES), "num_vis": 3072},
    )
    _trust_cifar(kind, monkeypatch, batches, meta)
    return tiny


def _cifar100(root: Path, monkeypatch: pytest.MonkeyPatch, each: int) -> TinyDataset:
    kind, tiny = (
        datasets.CIFAR100,
        TinyDataset(tuple(f"thing_{n:02}" for n in range(100)), lossless=True),
    )
    batches = {}
    for split in ("train", "test"):
        images, labels = zip(*tiny.draw(split, each, 32, 32, mixed=True), strict=True)
        fine = {"fine_labels": list(labels), "coarse_labels": [label // 5 for label in labels]}
        batches[split] = [
            _pickle(
                root / kind.base_folder / split,
                {"batch_label": split, **fine, "data": _planes(images)},
            )
        ]
    names = {
        "fine_label_names": list(tiny.classes),
        "coarse_label_names": [f"kind_{n:02}" for n in range(20)],
    }
    _trust_cifar(kind, monkeypatch, batches, _pickle(root / kind.base_folder / "meta", names))
    return tiny


def _trust_cifar(
    kind: type[datasets.CIFAR10],
    monkeypatch: pytest.MonkeyPatch,
    batches: dict[str, list[list[str]]],
    meta: list[str],
) -> None:
    monkeypatch.setattr(kind, "train_list", batches["train"])
    monkeypatch.setattr(kind, "test_list", batches["test"])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": meta[1]})


def _stl10(root: Path, monkeypatch: pytest.MonkeyPatch, each: int) -> TinyDataset:
    """Write each colour plane column by column, and labels from 1."""
    tiny, folder = TinyDataset(STL10_NAMES, lossless=True), root / "stl10_binary"
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        images, labels = zip(*tiny.draw(split, each, 96, 96, mixed=True), strict=True)
        (folder / f"{split}_X.bin").write_bytes(
            np.stack(images).transpose(0, 3, 2, 1).tobytes()
        )
        (folder / f"{split}_y.bin").write_bytes(bytes(label + 1 for label in labels))
    (folder / "unlabeled_X.bin").write_bytes(bytes(3 * 96 * 96))
    (folder / "class_names.txt").write_text("\n".join(STL10_NAMES) + "\n")
    for name in ("train_list", "test_list"):
        monkeypatch.setattr(
            datasets.STL10,
            name,
            [[file, md5(folder / file)] for file, _ in getattr(datasets.STL10, name)],
        )
    return tiny


def _svhn(root: Path, monkeypatch: pytest.MonkeyPatch, each: int) -> TinyDataset:
    """Write the number of the image as the last axis, and 10 for the digit 0."""
    tiny, known = (
        TinyDataset(tuple("0123456789"), lossless=True),
        dict(datasets.SVHN.split_list),
    )
    for split in ("train", "test"):
        images, labels = zip(*tiny.draw(split, each, 32, 32, mixed=True), strict=True)
        url, file, _ = known[split]
        savemat(
            root / file,
            {
                "X": np.stack(images, axis=-1),
                "y": np.array([[label or 10] for label in labels], np.uint8),
            },
        )
        known[split] = [url, file, md5(root / file)]
    monkeypatch.setattr(datasets.SVHN, "split_list", known)
    return tiny


def _flowers102(root: Path, monkeypatch: pytest.MonkeyPatch, each: int) -> TinyDataset:
    """Write numbered images, labels from 1 in one file and splits in another."""
    tiny, folder = (
        TinyDataset(tuple(datasets.Flowers102.classes), lossless=False),
        root / "flowers-102",
    )
    ids = np.random.default_rng(2).permutation(3 * 102 * each) + 1
    splits = dict(zip(("train", "val", "test"), np.split(ids, 3), strict=True))
    by_id = np.zeros((1, len(ids)), np.uint8)
    for split, chosen in splits.items():
        for number, (image, label) in zip(
            chosen, tiny.draw(split, each, 18, 24, mixed=True), strict=True
        ):
            save(folder / "jpg" / f"image_{number:05}.jpg", image)
            by_id[0, number - 1] = label + 1
    savemat(folder / "imagelabels.mat", {"labels": by_id})
    savemat(
        folder / "setid.mat",
        {
            "trnid": splits["train"][None],
            "valid": splits["val"][None],
            "tstid": splits["test"][None],
        },
    )
    known = datasets.Flowers102._file_dict
    trusted = {key: (known[key][0], md5(folder / known[key][0])) for key in ("label", "setid")}
    monkeypatch.setattr(datasets.Flowers102, "_file_dict", {**known, **trusted})
    return tiny


def _pets(root: Path, monkeypatch: pytest.MonkeyPatch, each: int) -> TinyDataset:
    """Write a line per image (name, class from 1, species, breed), and a trimap.

    1 is the animal, 2 the background, 3 the border.
    """
    tiny, folder = (
        TinyDataset(
            ("Abyssinian", "American Bulldog", "American Pit Bull Terrier"), lossless=False
        ),
        root / "oxford-iiit-pet",
    )
    for split, file in {"train": "trainval", "test": "test"}.items():
        lines, tiny.masks[split] = [], []
        for number, (image, label) in enumerate(tiny.draw(split, each, 30, 40, mixed=True)):
            breed = list(PETS)[label]
            name = f"{breed}_{number + 1000 * len(split)}"
            trimap = np.full((30, 40), 2, np.uint8)
            top = 4 + number % 8
            trimap[top:20, 6:30], trimap[top + 1 : 19, 7:29] = 3, 1
            tiny.masks[split].append(np.where(trimap == 2, 0, 255).astype(np.uint8))
            save(folder / "images" / f"{name}.jpg", image)
            save(folder / "annotations" / "trimaps" / f"{name}.png", trimap)
            lines.append(f"{name} {label + 1} {PETS[breed]} {1 + label // 2}\n")
        (folder / "annotations" / f"{file}.txt").write_text("".join(lines))
    return tiny


def _dtd(root: Path, monkeypatch: pytest.MonkeyPatch, each: int) -> TinyDataset:
    tiny, folder = (
        TinyDataset(("banded", "blotchy", "zigzagged"), lossless=False),
        root / "dtd" / "dtd",
    )
    (folder / "labels").mkdir(parents=True)
    for split in ("train", "val", "test"):
        drawn = tiny.draw(split, each, 30, 40, mixed=True)
        names = [
            f"{tiny.classes[label]}/{tiny.classes[label]}_{split}{number:04}.jpg"
            for number, (_, label) in enumerate(drawn)
        ]
        for name, (image, _) in zip(names, drawn, strict=True):
            save(folder / "images" / name, image)
        (folder / "labels" / f"{split}1.txt").write_text("".join(f"{name}\n" for name in names))
    return tiny


def _eurosat(root: Path, monkeypatch: pytest.MonkeyPatch, each: int) -> TinyDataset:
    tiny = TinyDataset(("AnnualCrop", "Forest", "SeaLake"), lossless=False)
    for number, (image, label) in enumerate(tiny.draw("all", each, 64, 64, mixed=False)):
        name = tiny.classes[label]
        save(root / "eurosat" / "2750" / name / f"{name}_{1000 + number}.jpg", image)
    return tiny


def _gtsrb(root: Path, monkeypatch: pytest.MonkeyPatch, each: int) -> TinyDataset:
    """Write training images by class, and test images in one folder with a table."""
    tiny, folder = TinyDataset(("0", "1", "2"), lossless=True), root / "gtsrb"
    for number, (image, label) in enumerate(tiny.draw("train", each, 25, 31, mixed=False)):
        save(folder / "GTSRB" / "Training" / f"{label:05}" / f"00000_{number:05}.ppm", image)
    rows: list[list[Any]] = [
        ["Filename", "Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2", "ClassId"]
    ]
    for number, (image, label) in enumerate(tiny.draw("test", each, 25, 31, mixed=True)):
        save(folder / "GTSRB" / "Final_Test" / "Images" / f"{number:05}.ppm", image)
        rows.append([f"{number:05}.ppm", 31, 25, 5, 5, 26, 20, label])
    with (folder / "GT-final_test.csv").open("w", newline="") as stream:
        csv.writer(stream, delimiter=";").writerows(rows)
    return tiny


def _imagenette(root: Path, monkeypatch: pytest.MonkeyPatch, each: int) -> TinyDataset:
    tiny = TinyDataset(tuple(WNIDS.values()), lossless=False)
    for split, folder in {"train": "train", "test": "val"}.items():
        for number, (image, label) in enumerate(tiny.draw(split, each, 30, 40, mixed=False)):
            wnid = list(WNIDS)[label]
            name = (
                f"{wnid}_{10000 + number}"
                if folder == "train"
                else f"ILSVRC2012_val_{number:08}"
            )
            save(root / "imagenette2" / folder / wnid / f"{name}.JPEG", image)
    return tiny


_WRITERS = {
    "CIFAR10": _cifar10,
    "CIFAR100": _cifar100,
    "STL10": _stl10,
    "SVHN": _svhn,
    "Flowers102": _flowers102,
    "OxfordIIITPet": _pets,
    "DTD": _dtd,
    "EuroSAT": _eurosat,
    "GTSRB": _gtsrb,
    "Imagenette": _imagenette,
}
