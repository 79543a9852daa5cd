"""The pictures of a sweep, as frozen types: where they come from, how they become square and how they are dealt to splits."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from resomap.config.types import (
    Fraction,
    OpenFraction,
    PositiveFloat,
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
"""Classes of torchvision.datasets that are tested; any other that classifies is taken at the user's risk."""
MOST_HELD_OUT = 0.9


def _known_source(name: str) -> str:
    if name in SOURCES or name[:1].isupper():
        return name
    known = (*SOURCES, *TORCHVISION)
    hint = suggest(name, known, listed=(*known, "another class of torchvision.datasets"))
    raise ValueError(f"unknown dataset {name!r}; {hint}")


class Reef(Section):
    """The embedded dataset of striped fish, whose answer is known."""

    train: Annotated[int, Field(ge=8)]
    """Training pictures."""
    val: Annotated[int, Field(ge=8)]
    """Validation pictures: checkpoints and the choice are made on them."""
    test: Annotated[int, Field(ge=8)]
    """Test pictures: read once, for the numbers that are reported."""
    seed: Seed
    """Seed of the pictures."""
    frequencies: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    """Stripes across the picture (cycles per image) of the groups broad, medium and fine."""
    shortcut: Fraction | None
    """Probability that a corner sticker agrees with bars or stripes; null for no sticker."""


class Folder(Section):
    """Pictures in a folder a class; these may stand in folders train, val and test."""

    path: str | None
    """The folder."""
    masks: str | None
    """Folder of masks, laid out as `path` is, as PNG: where a mask is not 0 the object is; null for none."""
    group: RegularExpression | None
    """Regular expression whose match in a picture's path names its group (a patient), which never stands in two splits; null for none."""


class Csv(Section):
    """Pictures that a table lists: columns path and label, and where known split, group, mask, and xmin, ymin, xmax, ymax in pixels."""

    path: str | None
    """The CSV file; paths in it count from its folder."""


class Torchvision(Section):
    """A classification data set of torchvision, by the name of its class in `data.dataset`."""

    root: str | None
    """Folder where it lies, as torchvision lays it out."""
    download: bool
    """Whether to fetch it where it is missing."""


class Splits(Section):
    """How pictures are dealt to train, val and test where their source does not say; stratified by class, a group on one side."""

    val: OpenFraction
    """Share of the pictures for validation."""
    test: OpenFraction
    """Share of the pictures for the test."""
    seed: Seed
    """Another seed deals other pictures."""


class Data(Section):
    """Pictures, and how they reach each resolution."""

    dataset: Annotated[str, AfterValidator(_known_source)]
    """Where the pictures come from: reef (drawn), folder, csv, or a class of torchvision.datasets such as CIFAR10."""
    native_resolution: SideLength | None
    """Side at which every picture is stored once, in pixels; null: reef 128, else the median short side (8 to 512) when first prepared."""
    filter: Literal["box", "bilinear", "bicubic", "lanczos"]
    """Antialiasing filter of the resize to native_resolution, and of the one from there to each resolution."""
    aspect: Literal["squash", "center_crop", "letterbox"]
    """What makes a picture square: its sides are scaled apart, its middle is cut out, or it is set on grey."""
    on_bad_image: Literal["error", "skip"]
    """Whether a file that is no whole picture ends the preparation, once all of them are looked at and named, or is left out and counted."""
    splits: Splits
    """How pictures are dealt where their source does not say."""
    folder: Folder | None
    """A folder a class."""
    csv: Csv | None
    """A table of pictures."""
    torchvision: Torchvision | None
    """A data set of torchvision."""
    reef: Reef | None
    """The embedded dataset."""

    @property
    def variant(self) -> str:
        """The section that says more about `dataset`."""
        return self.dataset if self.dataset in SOURCES else "torchvision"

    @property
    def download(self) -> bool:
        """Whether pictures are fetched where they are missing."""
        return self.torchvision is not None and self.torchvision.download

    @model_validator(mode="after")
    def _is_told_where(self) -> Self:
        for variant, key in (("folder", "path"), ("csv", "path"), ("torchvision", "root")):
            if self.variant == variant and getattr(getattr(self, variant), key, None) is None:
                raise ValueError(
                    f"dataset: {self.dataset} needs {variant}.{key}, or {key} beside it for short"
                )
        if self.splits.val + self.splits.test > MOST_HELD_OUT:
            raise ValueError(
                f"splits.val and splits.test leave less than {1 - MOST_HELD_OUT:.0%} of the pictures to train on"
            )
        return self


class Provision(Section):
    """How pictures are brought in: nothing that changes what is stored."""

    download: bool
    """Whether a data set of torchvision is fetched where it is missing."""
    resolutions: tuple[int, ...]
    """Sides that will be needed, so that room for them can be asked for at once."""
