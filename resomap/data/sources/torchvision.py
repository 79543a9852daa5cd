"""torchvision's data sets by name: which splits a set has, and how its pictures, labels, class names and masks are asked of it.

Those in TESTED are read in their official formats by our tests; any other class of torchvision.datasets that gives pictures and
integer labels is opened by its signature, at the user's risk. torchvision checks what it downloads, and what it reads where it can.
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

TESTED: dict[str, dict[str, dict[str, Any]]] = {
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
"""Each tested set's splits, and what its class is called with for them; `all` where it has none.

Imagenette's val is our test: everyone reports on it, so nothing may be chosen by it.
"""

ARCHIVES: dict[str, tuple[str, ...]] = {
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
"""Where under the root torchvision looks for the files of each tested set before it downloads them."""


def open_sets(name: str, root: Path, download: bool) -> dict[str, "VisionDataset"]:
    """Open `torchvision.datasets.<name>` under `root`: a set for each of its splits train, val and test, or one as `all`.

    DataError where torchvision has no such set, where it is not under `root` or cannot be downloaded, or where it has no split train.
    """
    kind, root = _class_named(name), root.expanduser()
    if name in TESTED:
        return {
            split: _open(kind, root, download, arguments)
            for split, arguments in TESTED[name].items()
        }
    parameters = signature(kind).parameters
    if "split" in parameters:
        return _open_splits(kind, root, download)
    splits = _TRAIN_FLAG if "train" in parameters else _ALL
    return {
        split: _open(kind, root, download, arguments) for split, arguments in splits.items()
    }


def class_names(dataset: "VisionDataset") -> tuple[str, ...]:
    """Names of the classes in the order of their labels: the first of several synonyms, and numbers up to the largest label without names."""
    names = getattr(dataset, "classes", None)
    if names is None:
        return tuple(map(str, range(max(labels(dataset)) + 1)))
    return tuple(name if isinstance(name, str) else name[0] for name in names)


def labels(dataset: "VisionDataset") -> list[int]:
    """The label of every picture; none is decoded where the set keeps its labels. DataError where a label is no integer."""
    try:
        return [operator.index(label) for label in _targets(dataset)]
    except TypeError as error:
        raise DataError(
            f"torchvision.datasets.{type(dataset).__name__} is not a classification set: a label is no integer"
        ) from error


def item(dataset: "VisionDataset", index: int) -> Image.Image:
    """One picture as torchvision gives it; what its decoder raises passes through."""
    return dataset[index][0]


def mask(dataset: "VisionDataset", index: int) -> np.ndarray | None:
    """Where the animal and its border are in a picture of OxfordIIITPet, uint8 (H, W), 255 or 0; None of any other set."""
    trimaps = getattr(dataset, "_segs", None)
    if trimaps is None:
        return None
    with Image.open(trimaps[index]) as trimap:
        background = np.asarray(trimap) == 2
    return np.where(background, 0, 255).astype(np.uint8)


def _class_named(name: str) -> type["VisionDataset"]:
    from torchvision import datasets

    if name in datasets.__all__:
        return getattr(datasets, name)
    hint = suggest(name, datasets.__all__, listed=TESTED)
    raise DataError(f"torchvision has no dataset {name!r}; {hint}")


def _open_splits(
    kind: type["VisionDataset"], root: Path, download: bool
) -> dict[str, "VisionDataset"]:
    """Those of train, val and test that an untested class takes: it refuses others with a ValueError."""
    found, refused = {}, {}
    for split, arguments in _TRAIN_VAL_TEST.items():
        try:
            found[split] = _open(kind, root, download, arguments)
        except ValueError as error:
            refused[split] = error
    if "train" in refused:
        raise DataError(
            f"torchvision.datasets.{kind.__name__} gives no split train: {refused['train']}"
        )
    return found


def _open(
    kind: type["VisionDataset"], root: Path, download: bool, arguments: dict[str, Any]
) -> "VisionDataset":
    # Some classes have no `download`, and one downloads unless told not to.
    fetch = (
        {"download": download} if download or "download" in signature(kind).parameters else {}
    )
    try:
        return kind(root=str(root), **arguments, **fetch)
    except TypeError as error:
        raise DataError(
            f"torchvision.datasets.{kind.__name__} cannot be opened by root, split and download alone: {error}"
        ) from error
    except (RuntimeError, OSError, HTTPException) as error:
        reason = (
            str(error).partition(" You can use download=True")[0].rstrip(".")
            or type(error).__name__
        )
        raise DataError(
            (_by_hand if download else _absent)(kind.__name__, root, reason)
        ) from error


def _absent(name: str, root: Path, reason: str) -> str:
    return f"{name} is not whole in {root} ({reason}).\nName the folder where it lies in data.torchvision.root, or set download: true"


def _by_hand(name: str, root: Path, reason: str) -> str:
    wanted = ", ".join(str(root / archive) for archive in ARCHIVES.get(name, ()))
    advice = f"Put these there by hand and run again; they are checked and unpacked: {wanted}"
    other = f"Put it there by hand, laid out as the documentation of torchvision.datasets.{name} says"
    return (
        f"{name} could not be downloaded into {root} ({reason}).\n{advice if wanted else other}"
    )


def _targets(dataset: "VisionDataset") -> Iterable[Any]:
    for kept in ("targets", "labels", "_labels"):
        if hasattr(dataset, kept):
            return getattr(dataset, kept)
    if hasattr(dataset, "_samples"):
        return [target for _, target in dataset._samples]
    return (dataset[index][1] for index in range(len(dataset)))
