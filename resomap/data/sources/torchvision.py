"""Datasets of torchvision by name: their splits, images, labels, class names and masks.

Those in TESTED_DATASETS are tested in their official formats. Any other class of
torchvision.datasets that gives images and integer labels is opened by its signature, at the
user's risk. torchvision checks what it downloads, and what it reads where it can.
"""

import operator
from collections.abc import Iterable
from http.client import HTTPException
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from resomap.errors import DataError, suggest

if TYPE_CHECKING:
    from torchvision.datasets import VisionDataset

_TRAIN_FLAG = {"train": {"train": True}, "test": {"train": False}}
_TRAIN_TEST = {"train": {"split": "train"}, "test": {"split": "test"}}
_TRAIN_VAL_TEST = {
    "train": {"split": "train"},
    "val": {"split": "val"},
    "test": {"split": "test"},
}
_ALL: dict[str, dict[str, Any]] = {"all": {}}

TESTED_DATASETS: dict[str, dict[str, dict[str, Any]]] = {
    "CIFAR10": _TRAIN_FLAG,
    "CIFAR100": _TRAIN_FLAG,
    "STL10": _TRAIN_TEST,
    "SVHN": _TRAIN_TEST,
    "Flowers102": _TRAIN_VAL_TEST,
    "OxfordIIITPet": {"train": {"split": "trainval"}, "test": {"split": "test"}},
    "DTD": _TRAIN_VAL_TEST,
    "EuroSAT": _ALL,
    "GTSRB": _TRAIN_TEST,
    "Imagenette": {"train": {"split": "train"}, "test": {"split": "val"}},
}
"""The splits of each tested dataset with the arguments of its class; `all` where it has none.

Imagenette's val is our test split: published scores are on it, so nothing may be chosen by it.
"""

DATASET_ARCHIVES: dict[str, tuple[str, ...]] = {
    "CIFAR10": ("cifar-10-python.tar.gz",),
    "CIFAR100": ("cifar-100-python.tar.gz",),
    "STL10": ("stl10_binary.tar.gz",),
    "SVHN": ("train_32x32.mat", "test_32x32.mat"),
    "Flowers102": (
        "flowers-102/102flowers.tgz",
        "flowers-102/imagelabels.mat",
        "flowers-102/setid.mat",
    ),
    "OxfordIIITPet": ("oxford-iiit-pet/images.tar.gz", "oxford-iiit-pet/annotations.tar.gz"),
    "DTD": ("dtd/dtd-r1.0.1.tar.gz",),
    "EuroSAT": ("eurosat/EuroSAT.zip",),
    "GTSRB": (
        "gtsrb/GTSRB-Training_fixed.zip",
        "gtsrb/GTSRB_Final_Test_Images.zip",
        "gtsrb/GTSRB_Final_Test_GT.zip",
    ),
    "Imagenette": ("imagenette2.tgz",),
}
"""Where below the root torchvision looks for the files of each tested dataset."""


def open_splits(name: str, root: Path, download: bool) -> dict[str, "VisionDataset"]:
    """Open `torchvision.datasets.<name>` in `root`: one dataset per split, or one as `all`.

    DataError where torchvision has no such dataset, where it is not in `root` or cannot be
    downloaded, or where it has no split train.
    """
    kind, root = _find_class(name), root.expanduser()
    if name in TESTED_DATASETS:
        return _open_all(kind, root, download, TESTED_DATASETS[name])
    parameters = signature(kind).parameters
    if "split" in parameters:
        return _open_accepted_splits(kind, root, download)
    splits = _TRAIN_FLAG if "train" in parameters else _ALL
    return _open_all(kind, root, download, splits)


def class_names(dataset: "VisionDataset") -> tuple[str, ...]:
    """Return the class names in the order of the labels.

    Of several synonyms the first counts; classes without names are numbered up to the largest
    label.
    """
    names = getattr(dataset, "classes", None)
    if names is None:
        return tuple(map(str, range(max(read_labels(dataset)) + 1)))
    # ImageNet names a class by a tuple of synonyms.
    return tuple(name if isinstance(name, str) else name[0] for name in names)


def read_labels(dataset: "VisionDataset") -> list[int]:
    """Return the label of every image; DataError where a label is no integer.

    No image is decoded where the dataset keeps its labels apart.
    """
    try:
        # operator.index accepts integers of numpy and torch, and refuses floats and text.
        return [operator.index(label) for label in _stored_labels(dataset)]
    except TypeError as error:
        raise DataError(
            f"torchvision.datasets.{type(dataset).__name__} is not a classification dataset: "
            "a label is no integer"
        ) from error


def read_image(dataset: "VisionDataset", index: int) -> Image.Image:
    """Return one image as torchvision gives it; errors of its decoder pass through."""
    return dataset[index][0]


def read_mask(dataset: "VisionDataset", index: int) -> np.ndarray | None:
    """Return the mask of the animal and its border in an image of OxfordIIITPet; else None.

    uint8 (H, W), 255 on the animal and 0 elsewhere.
    """
    trimaps = getattr(dataset, "_segs", None)
    if trimaps is None:
        return None
    with Image.open(trimaps[index]) as trimap:
        background = np.asarray(trimap) == 2  # 1 is the animal, 3 the border between both
    return np.where(background, 0, 255).astype(np.uint8)


def _find_class(name: str) -> type["VisionDataset"]:
    # torchvision imports torch, seconds that the driver of a workflow must not pay.
    from torchvision import datasets

    if name in datasets.__all__:
        return getattr(datasets, name)
    hint = suggest(name, datasets.__all__, listed=TESTED_DATASETS)
    raise DataError(f"torchvision has no dataset {name!r}; {hint}")


def _open_all(
    kind: type["VisionDataset"], root: Path, download: bool, splits: dict[str, dict[str, Any]]
) -> dict[str, "VisionDataset"]:
    return {
        split: _open(kind, root, download, arguments) for split, arguments in splits.items()
    }


def _open_accepted_splits(
    kind: type["VisionDataset"], root: Path, download: bool
) -> dict[str, "VisionDataset"]:
    """Open those of train, val and test that an untested class accepts."""
    opened, refused = {}, {}
    for split, arguments in _TRAIN_VAL_TEST.items():
        try:
            opened[split] = _open(kind, root, download, arguments)
        except ValueError as error:  # what torchvision raises for an unknown split
            refused[split] = error
    if "train" in refused:
        raise DataError(
            f"torchvision.datasets.{kind.__name__} has no split train: {refused['train']}"
        )
    return opened


def _open(
    kind: type["VisionDataset"], root: Path, download: bool, arguments: dict[str, Any]
) -> "VisionDataset":
    # Some classes have no parameter `download`, and one (SEMEION) downloads by default.
    options = {}
    if download or "download" in signature(kind).parameters:
        options = {"download": download}
    try:
        return kind(root=str(root), **arguments, **options)
    except TypeError as error:
        raise DataError(
            f"torchvision.datasets.{kind.__name__} cannot be opened by root, split and "
            f"download alone: {error}"
        ) from error
    except (RuntimeError, OSError, HTTPException) as error:
        reason = str(error).partition(" You can use download=True")[0].rstrip(".")
        describe = _describe_failed_download if download else _describe_absence
        raise DataError(
            describe(kind.__name__, root, reason or type(error).__name__)
        ) from error


def _describe_absence(name: str, root: Path, reason: str) -> str:
    return (
        f"{name} is incomplete in {root} ({reason}).\n"
        "Name its folder in data.torchvision.root, or set download: true"
    )


def _describe_failed_download(name: str, root: Path, reason: str) -> str:
    archives = ", ".join(str(root / archive) for archive in DATASET_ARCHIVES.get(name, ()))
    advice = (
        "Place it there yourself, laid out as in the documentation of "
        f"torchvision.datasets.{name}"
    )
    if archives:
        advice = (
            "Place these files there yourself and run again; they are checked and unpacked: "
            f"{archives}"
        )
    return f"{name} could not be downloaded into {root} ({reason}).\n{advice}"


def _stored_labels(dataset: "VisionDataset") -> Iterable[Any]:
    """Return the labels from where torchvision's classes keep them, else with the images."""
    for attribute in ("targets", "labels", "_labels"):
        if hasattr(dataset, attribute):
            return getattr(dataset, attribute)
    if hasattr(dataset, "_samples"):
        return [target for _, target in dataset._samples]
    return (dataset[index][1] for index in range(len(dataset)))
