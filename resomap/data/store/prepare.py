"""Preparing the data: every picture once into the native store, and a manifest that says what is in it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resomap.config import data
from resomap.data.sources.listing import classes_without, listing_digest
from resomap.data.sources.open import Source, open_source
from resomap.data.store.disk_space import check_room, store_bytes
from resomap.data.store.filling import partial, publish
from resomap.data.store.manifest import Account, printable
from resomap.data.store.native_size import fix_native_side, native_side
from resomap.data.store.rowfile import take_rows
from resomap.data.store.spectrum import sample
from resomap.data.store.splits import deal
from resomap.data.store.store import SPLITS, writing
from resomap.data.store.survey import survey
from resomap.errors import DataError
from resomap.system import files


def prepare(
    data: data.Data,
    directory: Path,
    *,
    code: str = "",
    download: bool = False,
    resolutions: Sequence[int] = (),
    workers: int = 1,
) -> None:
    """Write the native store of `data` into `directory`, a few pictures in memory at a time; what an earlier try has done is kept.

    The manifest comes last: where there is one, the store is whole. DataError names every picture that cannot be read, once all are
    looked at, unless `data.on_bad_image` leaves them out; and it tells the sizes where the store and `resolutions` do not fit on the disk.
    """
    source = open_source(data, download=download)
    side = native_side(data, source, directory)
    fix_native_side(data, side, directory)
    count = len(source.listing.entries)
    manifest = directory / "manifest.json"
    manifest.unlink(missing_ok=True)
    growing = partial(directory) / "native.npy"
    there = {"native": growing.stat().st_blocks * 512} if growing.exists() else {}
    check_room(directory, store_bytes(count, side, resolutions, source.listing.masked), there)
    account = _take_account(data, source, side, np.arange(count), directory, code, workers)
    if account.survey.bad and data.on_bad_image == "error":
        raise DataError(bad_pictures_told(account.survey.bad))
    _write_arrays(account, directory)
    account.write(directory, growing)
    publish(directory, {"native": "native.npy"})
    files.write_json(manifest, account.manifest())


def look(data: data.Data, store: Path, directory: Path, workers: int) -> Account:
    """All that `prepare` would find out of pictures for `store` and tell, written into `directory`; pictures are kept for its tables only.

    Bad pictures are left out, whatever `data.on_bad_image` says; a set of torchvision is fetched if `data` says so.
    """
    source = open_source(data, download=data.download)
    side = native_side(data, source, store)
    labels = np.array([entry.label for entry in source.listing.entries])
    chosen = sample(labels, len(source.listing.classes))
    rows = np.full(len(labels), -1)
    rows[chosen] = np.arange(len(chosen))
    account = _take_account(data, source, side, rows, directory, "", workers)
    account.write(directory, partial(directory) / "native.npy")
    files.write_json(directory / "manifest.json", account.manifest())
    return account


def _take_account(
    data: data.Data,
    source: Source,
    side: int,
    rows: np.ndarray,
    directory: Path,
    code: str,
    workers: int,
) -> Account:
    """Look at every picture and deal the good ones to splits; DataError where a class has none left to train on."""
    listing = source.listing
    place = data.model_dump_json(include={"dataset", "torchvision", "reef"})
    named = listing_digest(listing) if data.torchvision is None and data.reef is None else ""
    found = survey(data, source, side, rows.tolist(), directory, (code, place, named), workers)
    good = np.flatnonzero(found.good).tolist()
    dealt, drawn = deal(
        [listing.entries[index] for index in good], found.lines["pixels"][good], data.splits
    )
    trained = {
        listing.entries[index].label
        for index, split in zip(good, dealt, strict=True)
        if split == "train"
    }
    empty = classes_without(listing, trained)
    if empty:
        raise DataError(
            f"no training picture of class {empty} can be read.\n{bad_pictures_told(found.bad)}"
        )
    splits: list[str | None] = [None] * len(listing.entries)
    for index, split in zip(good, dealt, strict=True):
        splits[index] = split
    return Account(data, source, found, splits, drawn, rows, side)


def bad_pictures_told(bad: Sequence[tuple[str, str]]) -> str:
    """Every bad picture with its reason, a line each."""
    lines = [f"{printable(name)}: {printable(reason)}" for name, reason in bad]
    head = f"{len(bad)} of the files are no pictures that can be used (data.on_bad_image: skip leaves them out):"
    return "\n  ".join([head, *lines])


def _write_arrays(account: Account, directory: Path) -> None:
    """Write labels and rows of each split, and the masks of the test pictures."""
    for split in SPLITS:
        members = account.members(split)
        files.write_array(directory / f"labels_{split}.npy", account.labels[members])
        files.write_array(
            directory / f"rows_{split}.npy", account.rows[members].astype(np.int64)
        )
    rows = (
        account.rows[account.members("test")]
        if account.source.listing.masked
        else np.zeros(0, np.int64)
    )
    with writing(
        directory / "masks_test.npy", (len(rows), account.side, account.side)
    ) as masks:
        for index, row in enumerate(rows):
            masks[index] = take_rows(partial(directory) / "masks.npy", [int(row)])[0]
