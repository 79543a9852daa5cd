"""Sources of images: the user's files, torchvision's datasets and the reef.

A source lists all its images first and reads them one by one, in any process.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from resomap.config.data import Data, Reef
from resomap.data.reef import render, scenes
from resomap.data.sources import torchvision
from resomap.data.sources.decode import (
    DECODER_ERRORS,
    BadImageError,
    DecodedImage,
    FileReader,
)
from resomap.data.sources.listing import ImageEntry, Listing
from resomap.data.sources.user_files import list_images

REEF_NATIVE_RESOLUTION = 128
REEF_FACTS = ("frequency", "orientation_degrees", "x", "y")


@dataclass(frozen=True)
class Source:
    """A listing of images with their reader.

    `read` decodes the image at a location or raises BadImageError; `size` returns its width and
    height as cheaply as possible, None for a bad image. `fact_names` names the `facts` of each
    image. `class_facts` are groups, pairs and frequencies of the classes (see store.Store).
    """

    listing: Listing
    read: Callable[[Any], DecodedImage]
    size: Callable[[Any], tuple[int, int] | None]
    fact_names: tuple[str, ...] = ()
    class_facts: dict[str, Any] = field(
        default_factory=lambda: {"groups": None, "pairs": None, "frequencies": None}
    )


def open_source(data: Data, *, download: bool = False) -> Source:
    """List the images of `data`; `download` fetches a missing dataset of torchvision first."""
    listing = list_images(data)
    if listing is not None:
        reader = FileReader(data.bit_depth)
        return Source(listing, reader, reader.size)
    if data.torchvision is not None:
        return _open_torchvision(data.dataset, data.torchvision.root or "", download)
    assert data.reef is not None
    return _open_reef(data.reef, data.native_resolution or REEF_NATIVE_RESOLUTION)


def _open_torchvision(name: str, root: str, download: bool) -> Source:
    splits = torchvision.open_splits(name, Path(root).expanduser(), download)
    classes = torchvision.class_names(next(iter(splits.values())))
    entries = []
    for split, dataset in splits.items():
        given_split = None if split == "all" else split
        for index, label in enumerate(torchvision.read_labels(dataset)):
            image_name = f"{split}/{index:06d}"
            entries.append(ImageEntry(image_name, label, given_split, None, (split, index)))
    reader = TorchvisionReader(name, root)
    listing = Listing(classes, entries, [], has_masks=name == "OxfordIIITPet")
    return Source(listing, reader, reader.size)


@dataclass(frozen=True)
class TorchvisionReader:
    """A reader of (split, index) of a dataset of torchvision, which each process opens once."""

    name: str
    root: str

    def __call__(self, location: Any) -> DecodedImage:
        """Read an image."""
        split, index = location
        dataset = _opened_dataset(self.name, self.root)[split]
        try:
            image = torchvision.read_image(dataset, index).convert("RGB")
            mask = torchvision.read_mask(dataset, index)
        except DECODER_ERRORS as error:
            raise BadImageError(f"cannot be decoded: {error}") from error
        return DecodedImage(image, None if mask is None else Image.fromarray(mask))

    def size(self, location: Any) -> tuple[int, int] | None:
        """Return width and height of an image."""
        try:
            return self(location).image.size
        except BadImageError:
            return None


# The reader is pickled to worker processes, and a dataset may hold all its images: each worker
# opens it again instead.
@lru_cache(maxsize=1)
def _opened_dataset(name: str, root: str) -> dict[str, Any]:
    return torchvision.open_splits(name, Path(root).expanduser(), False)


def _open_reef(settings: Reef, canvas: int) -> Source:
    entries = []
    for split in ("train", "val", "test"):
        labels = scenes.draw_split_labels(settings, split, getattr(settings, split))
        for index, label in enumerate(labels):
            group = scenes.GROUPS[scenes.CLASSES[label]]
            name = f"reef/{split}/{index:06d}"
            entries.append(ImageEntry(name, label, split, group, (split, index)))
    class_facts = {
        "groups": scenes.GROUPS,
        "pairs": scenes.PAIRS,
        "frequencies": dict(zip(scenes.STRIPED_GROUPS, settings.frequencies, strict=True)),
    }
    listing = Listing(tuple(scenes.CLASSES), entries, [], has_masks=True)
    reader = ReefReader(settings, canvas)
    return Source(listing, reader, reader.size, REEF_FACTS, class_facts)


@dataclass(frozen=True)
class ReefReader:
    """A reader of (split, index) of the reef, rendered on a canvas."""

    settings: Reef
    canvas: int

    def __call__(self, location: Any) -> DecodedImage:
        """Render an image."""
        split, index = location
        chunk, position = divmod(index, scenes.SCENES_PER_CHUNK)
        scene = _cached_chunk(self.settings, split, chunk)[position]
        image, mask, _, _ = render.render_scene(scene, self.canvas)
        wave = scene.fish.wave
        return DecodedImage(
            Image.fromarray(image),
            # Explanations are localised on test images only.
            Image.fromarray(mask) if split == "test" else None,
            facts=(wave.frequency, wave.orientation, scene.fish.x, scene.fish.y),
        )

    def size(self, location: Any) -> tuple[int, int] | None:
        """Return the side of the canvas twice."""
        return self.canvas, self.canvas


# The eight scenes of a chunk come from one random stream; images are read in order.
@lru_cache(maxsize=2)
def _cached_chunk(settings: Reef, split: str, chunk: int) -> list[scenes.Scene]:
    return scenes.draw_chunk(settings, split, chunk)
