"""Prepare the data: store every image once at native resolution, and describe the store."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resomap.config.data import Data
from resomap.data.sources.open import Source, open_source
from resomap.data.store.disk_space import check_disk_space, store_bytes
from resomap.data.store.inventory import Inventory
from resomap.data.store.manifest import write_manifest, write_tables
from resomap.data.store.native_resolution import choose_native_resolution, fix_native_resolution
from resomap.data.store.npy_file import read_rows
from resomap.data.store.resumable_arrays import partial_folder, publish_arrays
from resomap.data.store.spectrum import sample_per_class
from resomap.data.store.store import SPLITS, new_array
from resomap.data.store.take_inventory import take_inventory
from resomap.errors import DataError
from resomap.system import files


def prepare_store(
    data: Data,
    directory: Path,
    *,
    code: str = "",
    download: bool = False,
    resolutions: Sequence[int] = (),
    workers: int = 1,
) -> None:
    """Write the native store of `data` into `directory`, resuming an interrupted attempt.

    A few images are in memory at a time. DataError names all images that cannot be decoded,
    unless `data.on_bad_image` skips them, and gives the sizes where the store and `resolutions`
    do not fit on the disk. `code` is the digest of the code: another one restarts.
    """
    source = open_source(data, download=download)
    side = choose_native_resolution(data, source, directory)
    fix_native_resolution(data, side, directory)
    num_images = len(source.listing.entries)
    # The manifest is removed first and written last: where it exists, the store is complete.
    manifest = directory / "manifest.json"
    manifest.unlink(missing_ok=True)
    native = partial_folder(directory) / "native.npy"
    # st_blocks counts 512 bytes, whatever the block size of the file system.
    existing = native.stat().st_blocks * 512 if native.exists() else 0
    parts = store_bytes(num_images, side, resolutions, source.listing.has_masks)
    check_disk_space(directory, parts, existing)
    # The row is the position in the listing; a bad image leaves its row empty.
    rows = np.arange(num_images)
    inventory = take_inventory(data, source, side, rows, directory, code, workers)
    errors = list(inventory.problems)
    if inventory.bad and (errors or data.on_bad_image == "error"):
        errors.append(format_bad_images(inventory.bad))
    if errors:
        raise DataError("\n".join(errors))
    _write_arrays(inventory, directory)
    duplicates = write_tables(inventory, directory, native)
    publish_arrays(directory, {"native": "native.npy"})
    write_manifest(inventory, duplicates, manifest)


def inspect_images(
    data: Data, source: Source, side: int, directory: Path, workers: int
) -> Inventory:
    """Write into `directory` the tables and manifest of a store of native resolution `side`.

    Every image is decoded, and only the sample for spectra and contact sheet is stored. Bad
    images are skipped whatever `data.on_bad_image` is. Where the inventory has problems,
    nothing is written.
    """
    labels = np.array([entry.label for entry in source.listing.entries])
    sampled = sample_per_class(labels, len(source.listing.classes))
    rows = np.full(len(labels), -1)
    rows[sampled] = np.arange(len(sampled))
    inventory = take_inventory(data, source, side, rows, directory, "", workers)
    if not inventory.problems:
        native = partial_folder(directory) / "native.npy"
        duplicates = write_tables(inventory, directory, native)
        write_manifest(inventory, duplicates, directory / "manifest.json")
    return inventory


def format_bad_images(bad: Sequence[tuple[str, str]]) -> str:
    """Return a message with one line per bad image and its reason."""
    head = (
        f"{len(bad)} of the files cannot be used as images "
        "(data.on_bad_image: skip leaves them out):"
    )
    return "\n  ".join([head, *(f"{name}: {reason}" for name, reason in bad)])


def _write_arrays(inventory: Inventory, directory: Path) -> None:
    """Write the labels and rows of each split, and the masks of the test images."""
    for split in SPLITS:
        members = inventory.members(split)
        files.write_array(directory / f"labels_{split}.npy", inventory.labels[members])
        rows = inventory.rows[members].astype(np.int64)
        files.write_array(directory / f"rows_{split}.npy", rows)
    rows = np.zeros(0, np.int64)
    if inventory.source.listing.has_masks:
        rows = inventory.rows[inventory.members("test")]
    shape = (len(rows), inventory.side, inventory.side)
    with new_array(directory / "masks_test.npy", shape) as masks:
        for index, row in enumerate(rows):
            masks[index] = read_rows(partial_folder(directory) / "masks.npy", [int(row)])[0]
