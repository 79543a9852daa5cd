"""Checks of the images and the disk space before a sweep starts, for `resomap check`."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from resomap.config.schema import Config
from resomap.data.sources.open import Source, open_source
from resomap.data.store.disk_space import GIB, store_bytes
from resomap.data.store.native_resolution import choose_native_resolution
from resomap.data.store.prepare import inspect_images
from resomap.errors import ConfigError, DataError
from resomap.report.data_page import write_data_page
from resomap.text import format_count
from resomap.workflow.job_params import images_per_pass
from resomap.workflow.recipe_checks import check_decay_steps
from resomap.workflow.targets import count_jobs, run_files, start_files, swept_models

STORE_FOLDER = Path("results/data")
CHECK_PAGE = Path("results/check.html")


def check_images(config: Config, workers: int) -> tuple[list[str], list[str]]:
    """Decode every image; return the findings, and the bad images with their reasons.

    The findings are also written to CHECK_PAGE, with figures. The reef has no files to check.
    """
    if config.data.reef is not None:
        return [], []
    # Not in results/data, where jobs would take it for a prepared dataset.
    with TemporaryDirectory(prefix="resomap-") as name:
        folder = Path(name)
        inventory = inspect_images(config.data, STORE_FOLDER, folder, workers)
        resolutions = sorted(config.sweep.resolutions)
        findings = write_data_page(folder, resolutions, CHECK_PAGE, config.experiment.name)
    bad = [f"{name}: {reason}" for name, reason in inventory.bad]
    return [*findings, f"details: {CHECK_PAGE.resolve()}"], bad


def check_recipe(config: Config) -> list[str]:
    """Return a line for each problem of the start weights and the networks; none if all fit."""
    # Imported here: it loads torch, which takes a second.
    from resomap.models.check import NetworkUse, check_networks

    problems = list[str]()
    for check in (start_files, check_decay_steps):
        try:
            check(config)
        except ConfigError as error:
            problems.append(str(error))
    layer = config.explainability.gradcam_layer
    use = NetworkUse(config.sweep.resolutions, images_per_pass(config), layer)
    return problems + check_networks(swept_models(config), use)


def check_requirements(config: Config) -> Iterator[str]:
    """Yield the size of the sweep: images, jobs and disk space.

    DataError if the disk has too little free space.
    """
    source = open_source(config.data, download=config.data.download)
    num_images, trainings = len(source.listing.entries), len(run_files(config, "{seed}"))
    needed = count_store_bytes(config, source)
    yield (
        f"sweep: {format_count(num_images, 'image')}, "
        f"{format_count(count_jobs(config), 'job')} ({format_count(trainings, 'training')}), "
        f"{needed / GIB:,.2f} GiB of disk space for images"
    )
    free = shutil.disk_usage(Path()).free
    if needed > free:
        raise DataError(
            f"only {free / GIB:,.2f} GiB of disk space are free here: free some space, or use "
            "fewer or smaller resolutions (sweep.resolutions, data.native_resolution)"
        )


def count_store_bytes(config: Config, source: Source) -> int:
    """Return the disk space of the images, at native resolution and at every other, in bytes."""
    side = choose_native_resolution(config.data, source, STORE_FOLDER)
    listing, resolutions = source.listing, config.sweep.resolutions
    return sum(store_bytes(len(listing.entries), side, resolutions, listing.has_masks).values())
