"""Where pictures come from: files of the user, torchvision's data sets, or the reef; all of them listed first and read one by one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from resomap.config import data
from resomap.data.reef import reef
from resomap.data.sources import torchvision
from resomap.data.sources.decode import DECODER_ERRORS, BadPictureError, read_picture, read_size
from resomap.data.sources.entries import Entry, Listing
from resomap.data.sources.listing import list_pictures

REEF_SIDE = 128
REEF_FACTS = ("frequency", "orientation_degrees", "x", "y")


class Read(NamedTuple):
    """A picture (RGB), the mask of its object (L) or None, what is unusual about its file, and numbers that its source knows of it."""

    image: Image.Image
    mask: Image.Image | None
    notes: tuple[str, ...] = ()
    facts: tuple[float, ...] = ()


@dataclass(frozen=True)
class Source:
    """Pictures by name, and `read`, which turns an entry's place into a picture in any process, or raises BadPictureError.

    `size` tells a place's width and height as cheaply as can be, None of no picture; `facts` names the numbers that come with each;
    `known` is what is known of the classes (groups, pairs, frequencies; see store.Store).
    """

    listing: Listing
    read: Callable[[Any], Read]
    size: Callable[[Any], tuple[int, int] | None]
    facts: tuple[str, ...] = ()
    known: dict[str, Any] = field(
        default_factory=lambda: {"groups": None, "pairs": None, "frequencies": None}
    )


def open_source(data: data.Data, *, download: bool = False) -> Source:
    """List what `data` names; torchvision's sets are fetched first where they are missing and `download` says so."""
    listing = list_pictures(data)
    if listing is not None:
        return Source(listing, read_file, _size_of_file)
    if data.torchvision is not None:
        return _open_set(data.dataset, data.torchvision.root or "", download)
    assert data.reef is not None
    return _open_reef(data.reef, data.native_resolution or REEF_SIDE)


def read_file(place: Any) -> Read:
    """Read a picture of the user's."""
    return Read(*read_picture(place))


def _size_of_file(place: Any) -> tuple[int, int] | None:
    return read_size(place.path)


def _open_set(name: str, root: str, download: bool) -> Source:
    parts = torchvision.open_sets(name, Path(root).expanduser(), download)
    classes = torchvision.class_names(next(iter(parts.values())))
    entries = [
        Entry(
            f"{part}/{index:06d}", label, None if part == "all" else part, None, (part, index)
        )
        for part, pictures in parts.items()
        for index, label in enumerate(torchvision.labels(pictures))
    ]
    reader = SetReader(name, root)
    return Source(
        Listing(classes, entries, [], masked=name == "OxfordIIITPet"), reader, reader.size
    )


@dataclass(frozen=True)
class SetReader:
    """Reads (part, index) of a data set of torchvision, which each process opens once."""

    name: str
    root: str

    def __call__(self, place: Any) -> Read:
        """Read a picture."""
        part, index = place
        pictures = _opened_set(self.name, self.root)[part]
        try:
            picture, mask = (
                torchvision.item(pictures, index).convert("RGB"),
                torchvision.mask(pictures, index),
            )
        except DECODER_ERRORS as error:
            raise BadPictureError(f"cannot be decoded: {error}") from error
        return Read(picture, None if mask is None else Image.fromarray(mask))

    def size(self, place: Any) -> tuple[int, int] | None:
        """Width and height of a picture."""
        try:
            return self(place).image.size
        except BadPictureError:
            return None


@lru_cache(maxsize=1)
def _opened_set(name: str, root: str) -> dict[str, Any]:
    return torchvision.open_sets(name, Path(root).expanduser(), False)


def _open_reef(settings: data.Reef, canvas: int) -> Source:
    entries = [
        Entry(
            f"reef/{split}/{index:06d}",
            label,
            split,
            reef.GROUPS[reef.CLASSES[label]],
            (split, index),
        )
        for split in ("train", "val", "test")
        for index, label in enumerate(reef.labels(settings, split, getattr(settings, split)))
    ]
    known = {
        "groups": reef.GROUPS,
        "pairs": reef.PAIRS,
        "frequencies": dict(zip(reef.RUNGS, settings.frequencies, strict=True)),
    }
    listing = Listing(tuple(reef.CLASSES), entries, [], masked=True)
    return Source(
        listing, ReefReader(settings, canvas), lambda _: (canvas, canvas), REEF_FACTS, known
    )


@dataclass(frozen=True)
class ReefReader:
    """Draws picture (split, index) of the reef on a canvas; only test pictures come with a mask."""

    settings: data.Reef
    canvas: int

    def __call__(self, place: Any) -> Read:
        """Draw a picture."""
        split, index = place
        scene = _scenes(self.settings, split, index // reef.CHUNK)[index % reef.CHUNK]
        image, mask, _, _ = reef.draw(scene, self.canvas)
        wave = scene.fish.wave
        facts = (wave.frequency, wave.orientation, scene.fish.x, scene.fish.y)
        return Read(
            Image.fromarray(image),
            Image.fromarray(mask) if split == "test" else None,
            (),
            facts,
        )


@lru_cache(maxsize=2)
def _scenes(settings: data.Reef, split: str, chunk: int) -> Any:
    return reef.draw_chunk(settings, split, chunk)
