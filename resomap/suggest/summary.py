"""What the images are: decoded once, and summarised for the suggestions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from resomap.analysis.facts import Facts, read_facts
from resomap.analysis.findings import data as findings
from resomap.analysis.findings.user_files import object_masks
from resomap.check import STORE_FOLDER
from resomap.config.data import Data
from resomap.data.sources.open import REEF_NATIVE_RESOLUTION, open_source
from resomap.data.store.inventory import Inventory
from resomap.data.store.native_resolution import choose_native_resolution
from resomap.data.store.prepare import inspect_images
from resomap.errors import DataError
from resomap.report.text.data import dataset_alarms
from resomap.report.text.listing import listing_sentences, mask_sentences
from resomap.text import agree, format_count

SIDES = (8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 224, 320, 384, 512)
"""Resolutions that are suggested, in pixels."""
REEF_CLASSES = 6


@dataclass(frozen=True)
class DatasetSummary:
    """Numbers of a dataset that the suggestions depend on, and sentences about it.

    `native` is the side in pixels that 95 % of the images do not exceed, and `kept` the share
    of the detail that each smaller or equal side of SIDES keeps; empty for the reef.
    """

    name: str
    per_class: Mapping[str, int]
    train: int
    val: int
    test: int
    native: int
    kept: Mapping[int, float]
    assigned: Sequence[str] = ()
    bad: int = 0
    has_masks: bool = False
    sentences: Sequence[str] = ()

    @property
    def images(self) -> int:
        """Return the number of usable images."""
        return self.train + self.val + self.test


def summarise(data: Data, workers: int) -> DatasetSummary:
    """Decode every image and return the summary; DataError where they cannot be trained on."""
    if data.reef is not None:
        return _summarise_reef(data)
    source = open_source(data)
    side = choose_native_resolution(data, source, STORE_FOLDER)
    with TemporaryDirectory(prefix="resomap-") as name:
        inventory = inspect_images(data, source, side, Path(name), workers)
        _check(inventory)
        facts = read_facts(Path(name))
    return _summarise_facts(facts, len(inventory.bad))


def _check(inventory: Inventory) -> None:
    """Raise DataError for problems of the images, with an example of those that are damaged."""
    if not inventory.problems:
        return
    problems = list(inventory.problems)
    if inventory.bad:
        name, reason = inventory.bad[0]
        count = format_count(len(inventory.bad), "file")
        total = f"{len(inventory.source.listing.entries):,}"
        problems.append(f"{count} of {total} cannot be read, such as {name}: {reason}")
    raise DataError("\n".join(problems))


def _summarise_reef(data: Data) -> DatasetSummary:
    reef = data.reef
    assert reef is not None
    return DatasetSummary(
        "the reef",
        {},
        reef.train,
        reef.val,
        reef.test,
        data.native_resolution or REEF_NATIVE_RESOLUTION,
        {},
        has_masks=True,
    )


def _summarise_facts(facts: Facts, bad: int) -> DatasetSummary:
    counts = facts.counts
    native = facts.native_resolution
    totals = counts.sum(axis=1)
    return DatasetSummary(
        name=str(facts.manifest["dataset"]),
        per_class={str(name): int(count) for name, count in totals.items()},
        train=int(counts["train"].sum()),
        val=int(counts["val"].sum()),
        test=int(counts["test"].sum()),
        native=native,
        kept={side: float(facts.energy_kept(side)[0]) for side in SIDES if side <= native},
        assigned=tuple(facts.manifest["drawn"]),
        bad=bad,
        has_masks=object_masks(facts).state == "shown",
        sentences=tuple(_sentences(facts, bad)),
    )


def _sentences(facts: Facts, bad: int) -> list[str]:
    """Return how the files were understood, what is left out, and what is doubtful."""
    lines = list(listing_sentences(facts.manifest["listing"]))
    if bad:
        can = agree(bad, "cannot be read and is", "cannot be read and are")
        lines.append(f"Damaged: {format_count(bad, 'file')} {can} left out.")
    lines += mask_sentences(object_masks(facts))
    copies = findings.copies(facts)
    if copies.state == "shown":
        count = int(copies.numbers["images"].value)
        lines.append(
            f"Copies: {format_count(count, 'image')} with the pixels of an earlier one."
        )
    return [*lines, *dataset_alarms(facts)]
