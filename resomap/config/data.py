"""The dataset of a sweep: source of the images, square format, splits."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from resomap.config.types import (
    MAX_COUNT,
    FilePath,
    Fraction,
    OpenFraction,
    RegularExpression,
    Section,
    Seed,
    SideLength,
)
from resomap.errors import suggest

SOURCES = ("reef", "folder", "csv")
TORCHVISION = (
    *("CIFAR10", "CIFAR100", "STL10", "SVHN", "Flowers102"),
    *("OxfordIIITPet", "DTD", "EuroSAT", "GTSRB", "Imagenette"),
)
"""Tested classes of torchvision.datasets. Other classification datasets are accepted
untested."""
MOST_HELD_OUT = 0.9
ALPHA_MASKS = "alpha"
"""Value of `data.folder.masks` for images whose alpha channel is their mask."""

# A frequency above half of the largest side could not be drawn.
Frequency = Annotated[float, Field(gt=0, le=2048)]
Filter = Literal["box", "bilinear", "bicubic", "lanczos"]
Aspect = Literal["squash", "center_crop", "letterbox"]


def _check_dataset(name: str) -> str:
    # Capitalised names are classes of torchvision.datasets. They are looked up when the dataset is
    # opened, because importing torchvision here would load torch into Snakemake.
    if name in SOURCES or name[:1].isupper():
        return name
    known = (*SOURCES, *TORCHVISION)
    hint = suggest(name, known, listed=(*known, "another class of torchvision.datasets"))
    raise ValueError(f"unknown dataset {name!r}; {hint}")


class Reef(Section):
    """The embedded dataset of striped fish, drawn with a known answer."""

    train: Annotated[int, Field(ge=8, le=MAX_COUNT)]
    """Number of training images."""
    val: Annotated[int, Field(ge=8, le=MAX_COUNT)]
    """Number of validation images. They select checkpoints and the recommended cell."""
    test: Annotated[int, Field(ge=8, le=MAX_COUNT)]
    """Number of test images. They are used once, for the reported numbers."""
    seed: Seed
    """Seed of the drawn images."""
    frequencies: tuple[Frequency, Frequency, Frequency]
    """Stripe frequencies of the groups broad, medium and fine, in cycles per image."""
    shortcut: Fraction | None
    """Probability that a corner sticker agrees with the stripes, or null for no sticker."""


class Folder(Section):
    """Images in one folder per class, optionally inside folders train, val and test."""

    path: FilePath | None
    """Folder of the dataset."""
    masks: FilePath | None
    """Folder of object masks with the layout of `path`, `alpha` for the alpha channel of the
    images, or null. Pixels other than 0 belong to the object."""
    group: RegularExpression | None
    """Regular expression on an image's path whose match is its group (such as a patient), or
    null. A group stays within one split."""


class Csv(Section):
    """Images listed in a CSV file.

    Columns: path and label; optionally split, group, mask, and a box as xmin, ymin, xmax, ymax in
    pixels.
    """

    path: FilePath | None
    """CSV file. Paths in it are relative to its folder."""


class Torchvision(Section):
    """A classification dataset of torchvision. `data.dataset` names its class."""

    root: FilePath | None
    """Folder of the dataset, in torchvision's layout."""
    download: bool
    """Download the dataset if it is missing."""


class Splits(Section):
    """Random splits for images that come without one.

    They are stratified by class, and a group stays within one split.
    """

    val: OpenFraction
    """Fraction of the images used for validation."""
    test: OpenFraction
    """Fraction of the images used for testing."""
    seed: Seed
    """Seed of the random assignment."""


class Data(Section):
    """The dataset, and how its images are brought to each resolution."""

    dataset: Annotated[str, AfterValidator(_check_dataset)]
    """Source of the images: reef (drawn), folder, csv, or a class of torchvision.datasets such
    as CIFAR10."""
    # Never derived from the sweep: a larger resolution must not rebuild the store.
    native_resolution: SideLength | None
    """Side in pixels at which every image is stored once. null: 128 for reef, else the 95th
    percentile of the side that decides (8 to 512), fixed at the first preparation."""
    # One filter for training and test: a mismatch of antialiasing alone costs accuracy.
    filter: Filter
    """Antialiasing filter for both resizes: to native_resolution, and from there to each
    resolution."""
    aspect: Aspect
    """How an image becomes square: squash scales the sides apart, center_crop cuts off the
    longer side, letterbox pads with grey."""
    bit_depth: Annotated[int, Field(ge=8, le=16)] | None
    """Bits per value of images that are stored in 16 or 32 bits, such as 12. null: 16, and an
    error if the values use fewer bits."""
    group_leaks: Literal["error", "allow"]
    """What to do with a group in two given splits: stop (error), or report it (allow)."""
    on_bad_image: Literal["error", "skip"]
    """What to do with unreadable images, once all are checked: stop with a list of them
    (error), or leave them out and report them (skip)."""
    splits: Splits
    """Random splits for images that come without one."""
    folder: Folder | None
    """Options of `dataset: folder`."""
    csv: Csv | None
    """Options of `dataset: csv`."""
    torchvision: Torchvision | None
    """Options of torchvision's datasets."""
    reef: Reef | None
    """Options of `dataset: reef`."""

    @property
    def variant(self) -> str:
        """Name of the section with the options of `dataset`."""
        return self.dataset if self.dataset in SOURCES else "torchvision"

    @property
    def download(self) -> bool:
        """Return whether a missing dataset is downloaded."""
        return self.torchvision is not None and self.torchvision.download

    @model_validator(mode="after")
    def _check_source_path(self) -> Self:
        if self.dataset == "reef" and self.reef is None:
            raise ValueError("dataset: reef needs the section reef, which is null")
        for variant, key in (("folder", "path"), ("csv", "path"), ("torchvision", "root")):
            if self.variant == variant and getattr(getattr(self, variant), key, None) is None:
                raise ValueError(
                    f"dataset: {self.dataset} needs {variant}.{key}, or {key} beside it for short"
                )
        return self

    @model_validator(mode="after")
    def _check_training_share(self) -> Self:
        if self.splits.val + self.splits.test > MOST_HELD_OUT:
            raise ValueError(
                "splits.val and splits.test leave less than "
                f"{1 - MOST_HELD_OUT:.0%} of the images to train on"
            )
        return self


class PrepareOptions(Section):
    """Options of the preparation that do not change what is stored.

    They are therefore no part of the job.
    """

    download: bool
    """Download a missing dataset of torchvision."""
    resolutions: tuple[int, ...]
    """Resolutions of the sweep. Their disk space is checked before the first image is
    written."""
