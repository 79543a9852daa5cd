"""How a trained network's images are made, as a typed description that ships with the network.

The reference implementation is in `predict`, by Pillow and numpy alone: the file that a bundle
runs is the one that is tested against the training path.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from PIL import Image
from pydantic import Field, ValidationError, model_validator

from resomap.config.data import Aspect, Filter
from resomap.config.start import Normalisation
from resomap.config.types import Section, SideLength
from resomap.deploy import predict
from resomap.errors import DataError
from resomap.system import files

FILE = "preprocessing.json"
SCHEMA = 1
GREY, WHITE = (128, 128, 128), (255, 255, 255)
Level = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Level, Level, Level]
PerChannel = Annotated[tuple[float, ...], Field(min_length=3, max_length=3)]


class Rounding(Section):
    """How the geometry of a resize becomes whole pixels."""

    crop: Literal["none"] = "none"
    """The box of center_crop keeps its fractions of a pixel."""
    size: Literal["half to even"] = "half to even"
    """The short side of a letterbox, at least 1."""
    pad: Literal["down"] = "down"
    """The left and upper border of a letterbox."""


class Preprocessing(Section):
    """The way from an image file to the input of a network."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    """Version of this description."""
    exif_rotation: Literal[True] = True
    """Images are rotated by their EXIF orientation."""
    background: Colour = WHITE
    """Colour that transparency is composited on."""
    bit_depth: Annotated[int, Field(ge=8, le=16)] = 16
    """Bits per value of images that are stored in more than 8."""
    aspect: Aspect
    """How an image becomes square, as in `data.aspect`."""
    sides: Annotated[tuple[SideLength, ...], Field(min_length=1)]
    """Sides in pixels that an image is resized to, one after the other: as it was stored for the
    training, then the input of the network."""
    filter: Filter
    """Filter of every resize, by Pillow."""
    antialias: Literal[True] = True
    """The filter is widened by the reduction."""
    rounding: Rounding = Rounding()
    padding: Colour = GREY
    """Colour of the borders of a letterbox."""
    colour_order: Literal["RGB"] = "RGB"
    mean: PerChannel
    """Mean of each channel on the scale 0 to 1."""
    std: PerChannel
    """Standard deviation of each channel on the scale 0 to 1."""
    dtype: Literal["float32"] = "float32"
    layout: Literal["NCHW"] = "NCHW"

    @model_validator(mode="after")
    def _check_normalisation(self) -> Self:
        # Refuses values that a training would refuse.
        Normalisation.model_validate({"mean": self.mean, "std": self.std})
        return self

    @property
    def resolution(self) -> int:
        """Side in pixels of the network's input."""
        return self.sides[-1]

    def as_json(self) -> dict[str, Any]:
        """Return the content of preprocessing.json."""
        return self.model_dump(mode="json", by_alias=True)

    def at(self, resolution: int) -> Self:
        """Return the same preprocessing for inputs of another resolution."""
        return self.model_copy(update={"sides": (*self.sides[:-1], resolution)})

    def read(self, path: Path) -> np.ndarray:
        """Return the resized pixels of an image file: uint8 (r, r, 3)."""
        spec = self.as_json()
        return predict.resize(predict.decode(path, spec), spec)

    def resize(self, images: np.ndarray) -> np.ndarray:
        """Resize images, uint8 (N, H, W, 3), to (N, r, r, 3)."""
        spec = self.as_json()
        return np.stack([predict.resize(Image.fromarray(image), spec) for image in images])

    def normalise(self, images: np.ndarray) -> np.ndarray:
        """Return the network's input of resized images: float32 (N, 3, r, r)."""
        return predict.normalise(images, self.as_json())


def describe_preprocessing(
    *,
    native_resolution: int,
    resolution: int,
    aspect: Aspect,
    filter: Filter,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    bit_depth: int | None = None,
) -> Preprocessing:
    """Describe how the images of a run were made, from its store and `data.bit_depth`."""
    return Preprocessing(
        aspect=aspect,
        sides=(native_resolution, resolution),
        filter=filter,
        mean=tuple(mean),
        std=tuple(std),
        bit_depth=bit_depth or 16,
    )


def write_preprocessing(preprocessing: Preprocessing, path: Path) -> None:
    """Write preprocessing.json; every key is written, those with one known value too."""
    files.write_json(path, preprocessing.as_json())


def read_preprocessing(path: Path) -> Preprocessing:
    """Read preprocessing.json; DataError names the file, the keys and what is wrong."""
    try:
        content = files.read_json(path)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected the keys of a preprocessing, found {content!r:.40}")
    version = content.get("schema")
    if version != SCHEMA or isinstance(version, bool):
        raise DataError(
            f"{path}: schema: {version!r} is not known, but {SCHEMA}: export the network again"
        )
    missing = [key for key in (*predict.FIXED_KEYS, *predict.CHOSEN_KEYS) if key not in content]
    if missing:
        raise DataError(f"{path}: lacks {', '.join(missing)}: export the network again")
    try:
        # From JSON: in strict mode a list is no tuple, but in JSON there are lists only.
        return Preprocessing.model_validate_json(path.read_bytes())
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise DataError(f"{path}: {'; '.join(lines)}") from error
