"""Which file of a folder of masks belongs to which image."""

import os
from collections.abc import Sequence
from pathlib import Path

from resomap.config.data import ALPHA_MASKS, Folder
from resomap.data.sources.tree import scan_folder
from resomap.errors import ConfigError

MASKS_KEY = "config/data.yaml: data.folder.masks"


class MaskIndex:
    """The masks of a folder by the name of their image, without its ending."""

    def __init__(self, folder: Path, root: Path) -> None:
        """List `folder`; ConfigError where it is missing or holds the images of `root`."""
        if not folder.is_dir():
            raise ConfigError(f"{MASKS_KEY}: there is no folder {folder}")
        if folder.resolve() == root.resolve() or folder.resolve() in root.resolve().parents:
            raise ConfigError(
                f"{MASKS_KEY}: {folder} holds the images: give masks a folder of their own"
            )
        self.folder = folder
        self._by_name: dict[str, str] = {}
        self._used: set[str] = set()
        for name in scan_folder(folder)[0].walk():
            key, ending = os.path.splitext(name)  # noqa: PTH122 (a million names)
            # Of several masks of one image a PNG counts, because it is lossless.
            if key not in self._by_name or ending.lower() == ".png":
                self._by_name[key] = name

    def find(self, image: str) -> str | None:
        """Return the path of the mask of an image, or None."""
        stem = os.path.splitext(image)[0]  # noqa: PTH122
        # Some tools append the ending: a.jpg.png is the mask of a.jpg.
        for key in (stem, image):
            if key in self._by_name:
                self._used.add(key)
                return str(self.folder / self._by_name[key])
        return None

    @property
    def num_unmatched(self) -> int:
        """Number of masks that belong to no image."""
        return len(self._by_name) - len(self._used)

    def check_matches(self, images: Sequence[str]) -> None:
        """Raise ConfigError where no image has a mask."""
        if self._used or not images:
            return
        if not self._by_name:
            raise ConfigError(f"{MASKS_KEY}: {self.folder} holds no image file")
        actual = _most_similar(images[0], list(self._by_name.values()))
        expected = Path(images[0]).with_suffix(".png").as_posix()
        raise ConfigError(
            f"{MASKS_KEY}: no image has a mask in {self.folder}: the mask of {images[0]} "
            f"would be {expected}, and there is {actual}.\n"
            "A mask has the folders and the name of its image, without a suffix or prefix"
        )


def open_masks(folder: Folder, root: Path) -> MaskIndex | None:
    """Return the index of `data.folder.masks`; None without masks or for alpha channels."""
    if folder.masks in (None, ALPHA_MASKS):
        return None
    return MaskIndex(Path(folder.masks or "").expanduser(), root)


def _most_similar(image: str, masks: list[str]) -> str:
    """Return a mask whose name contains that of the image, or the first one."""
    stem = Path(image).stem
    containing = [name for name in masks if stem in name]
    return min(containing or masks)
