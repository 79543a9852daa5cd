"""Find the images of a user, and return them as the section `data` of a configuration."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resomap.config.data import ALPHA_MASKS, Data
from resomap.config.load import build_config
from resomap.data.sources.decode import BadImageError, FileReader
from resomap.data.sources.folder import PATH_KEY
from resomap.data.sources.layout import MASK_FOLDERS
from resomap.data.sources.listing import Listing
from resomap.data.sources.user_files import list_images
from resomap.errors import ConfigError

OWN_FOLDERS = {"results", "logs", "config", "docs", "tests"}
"""Folders of a working directory that hold no images of the user."""
NUM_SAMPLED = 24
"""Images whose alpha channel is read."""
OBJECT_SHARE = (0.01, 0.99)
"""Share of an image that an object covers where the alpha channel is its mask."""


def find_images(images: Path | None) -> dict[str, Any]:
    """Return the section `data` for a folder or a CSV file; for the reef where there is none.

    Without `images`, the folder inside the working directory that holds a dataset is taken.
    ConfigError where the images cannot be read as a classification dataset.
    """
    if images is None:
        images = find_dataset_here()
    if images is None:
        return {"dataset": "reef"}
    if not images.expanduser().exists():
        raise ConfigError(f"{images}: there is no such folder or file")
    if images.expanduser().is_file():
        return read_csv(images)
    try:
        return read_folder(images)
    except ConfigError as error:
        tables = sorted(images.expanduser().glob("*.csv"))
        if len(tables) == 1 and "holds no folders with images" in str(error):
            return read_csv(images / tables[0].name)
        raise ConfigError(str(error).removeprefix(f"{PATH_KEY}: ")) from None


def find_dataset_here() -> Path | None:
    """Return the only folder of the working directory that is a dataset; None without one.

    ConfigError where there are several, or where the classes themselves lie here.
    """
    folders = [each for each in sorted(Path().iterdir()) if _may_hold_images(each)]
    datasets = [each for each in folders if is_dataset(each)]
    if len(datasets) > 1:
        names = ", ".join(map(str, datasets))
        raise ConfigError(f"{names} hold images: name one, as in `resomap init {datasets[0]}`")
    if not datasets and is_dataset(Path()):
        name = Path().resolve().name
        raise ConfigError(
            "this directory holds the classes themselves, and results would be written among "
            f"them: run `resomap init {name}` in the directory above"
        )
    return datasets[0] if datasets else None


def _may_hold_images(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".") and path.name not in OWN_FOLDERS


def is_dataset(folder: Path) -> bool:
    """Return whether a folder can be read as a classification dataset."""
    try:
        return _list({"dataset": "folder", "path": str(folder)}) is not None
    except ConfigError:
        return False


def read_csv(path: Path) -> dict[str, Any]:
    """Return the section `data` of a CSV file; ConfigError where it lists no images."""
    if path.suffix.lower() != ".csv":
        raise ConfigError(
            f"{path}: it is neither a folder nor a CSV file with the columns path and label"
        )
    data = {"dataset": "csv", "path": str(path)}
    _list(data)
    return data


def read_folder(path: Path) -> dict[str, Any]:
    """Return the section `data` of a folder, with its masks where there are any."""
    data = {"dataset": "folder", "path": str(path)}
    for masks in find_mask_folders(path):
        try:
            _list({**data, "masks": str(masks)})
        except ConfigError:
            continue
        return {**data, "masks": str(masks)}
    listing = _list(data)
    if listing is not None and has_alpha_masks(listing):
        return {**data, "masks": ALPHA_MASKS}
    return data


def find_mask_folders(images: Path) -> Iterator[Path]:
    """Yield the folders named like masks, inside the dataset and beside it."""
    root = images.expanduser()
    for folder, shown in ((root, images), (root.resolve().parent, images.parent)):
        for each in sorted(folder.iterdir()):
            if each.is_dir() and re.sub(r"[\W_]", "", each.name.lower()) in MASK_FOLDERS:
                yield shown / each.name


def has_alpha_masks(listing: Listing) -> bool:
    """Return whether the alpha channel of most images, by a sample, separates an object."""
    step = max(1, len(listing.entries) // NUM_SAMPLED)
    sample = listing.entries[::step][:NUM_SAMPLED]
    found = sum(_has_object(entry.location) for entry in sample)
    return 2 * found > len(sample)


def _has_object(location: Any) -> bool:
    try:
        mask = FileReader()(location._replace(mask=ALPHA_MASKS)).mask
    except BadImageError:
        return False
    if mask is None:
        return False
    histogram = mask.histogram()
    share = 1 - histogram[0] / sum(histogram)
    return OBJECT_SHARE[0] < share < OBJECT_SHARE[1]


def _list(values: dict[str, Any]) -> Listing | None:
    return list_images(data_section(values))


def data_section(values: dict[str, Any]) -> Data:
    """Return the section `data` of the shipped configuration with `values` on top."""
    return build_config({"data": values}).data
