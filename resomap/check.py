"""Look at the pictures before any training, and say what the sweep would need."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from resomap.config.schema import Config
from resomap.data.sources.open import Source, open_source
from resomap.data.store.disk_space import GIB, store_bytes
from resomap.data.store.native_resolution import choose_native_resolution
from resomap.data.store.prepare import inspect_images
from resomap.errors import DataError
from resomap.report.data_page import write_data_page
from resomap.workflow.targets import count_jobs, run_files

STORE = Path("results/data")
PAGE = Path("results/check.html")


def inspect(config: Config, workers: int) -> tuple[list[str], list[str]]:
    """What is seen in the user's pictures, and the bad ones with their reasons; a page with all of it is written to results/check.html.

    Of the reef, whose pictures are drawn, nothing is asked.
    """
    if config.data.reef is not None:
        return [], []
    with TemporaryDirectory(prefix="resomap-") as folder:
        inventory = inspect_images(config.data, STORE, Path(folder), workers)
        told = write_data_page(
            Path(folder), sorted(config.sweep.resolutions), PAGE, config.experiment.name
        )
    bad = [f"{name}: {reason}" for name, reason in inventory.bad]
    return [*told, f"The page with all of it: {PAGE.resolve()}"], bad


def needs(config: Config) -> Iterator[str]:
    """Pictures, disk and jobs of the sweep."""
    source = open_source(config.data, download=config.data.download)
    count = len(source.listing.entries)
    needed = bytes_of_store(config, source)
    runs, jobs = len(run_files(config, "{seed}")), count_jobs(config)
    free = shutil.disk_usage(Path()).free
    yield f"the sweep needs: {count:,} pictures, {jobs:,} jobs ({runs:,} of them trainings), {needed / GIB:,.2f} GiB of disk for the pictures"
    if needed > free:
        raise DataError(
            f"only {free / GIB:,.2f} GiB are free here: make room, or take fewer or smaller resolutions"
        )


def bytes_of_store(config: Config, source: Source) -> int:
    """What the pictures take on the disk, at native size and at each resolution of the sweep."""
    count = len(source.listing.entries)
    side = choose_native_resolution(config.data, source, STORE)
    return sum(
        store_bytes(count, side, config.sweep.resolutions, source.listing.has_masks).values()
    )
