"""Checks of the images and the disk space before a sweep starts, for `resomap check`."""

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from resomap.config.deploy import check_deploy_packages
from resomap.config.schema import Config
from resomap.config.sweep_checks import check_recall_classes
from resomap.data.sources.open import Source, open_source
from resomap.data.store.disk_space import store_bytes
from resomap.data.store.inventory import Inventory
from resomap.data.store.manifest import describe_notes
from resomap.data.store.native_resolution import choose_native_resolution
from resomap.data.store.prepare import inspect_images
from resomap.errors import ConfigError
from resomap.report.data_page import write_data_page
from resomap.report.text.listing import class_counts, listing_sentences
from resomap.text import format_bytes, format_count
from resomap.workflow.checks.recipe_checks import check_decay_steps
from resomap.workflow.job_params import images_per_pass
from resomap.workflow.targets import (
    count_jobs,
    measurement_files,
    run_files,
    start_files,
    swept_models,
)

STORE_FOLDER = Path("results/data")
CHECK_PAGE = Path("results/check.html")


class CheckResult(NamedTuple):
    """What a check found, as lines, and what is wrong, as messages."""

    lines: list[str]
    errors: list[str]


def check_data(config: Config, workers: int) -> CheckResult:
    """Check the disk space and decode every image; no error keeps another from being found.

    The findings are also written to CHECK_PAGE, with figures. The reef has no files to check.
    """
    source = open_source(config.data, download=config.data.download)
    side = choose_native_resolution(config.data, source, STORE_FOLDER)
    size, errors = _check_size(config, source, side)
    # Else the tables of the finished sweep would be the first to miss the class.
    errors += _complaint(
        lambda _: check_recall_classes(config.report, source.listing.classes), config
    )
    if config.data.reef is not None:
        return CheckResult([size], errors)
    # Not in results/data, where jobs would take it for a prepared dataset.
    with TemporaryDirectory(prefix="resomap-") as name:
        folder = Path(name)
        inventory = inspect_images(config.data, source, side, folder, workers)
        if inventory.problems:
            findings = _describe_listing(source)
        else:
            findings = _write_page(config, folder)
    errors += [*inventory.problems, *_list_bad(inventory)]
    return CheckResult([size, *findings], errors)


def check_recipe(config: Config) -> CheckResult:
    """Check the start weights and the networks; the lines are what is worth knowing of them."""
    # Imported here: it loads torch, which takes a second.
    from resomap.models.check import NetworkUse, Regularisation, inspect_networks
    from resomap.training.initial_weights import StartCheck, check_start

    models, explained = swept_models(config), config.explainability
    use = NetworkUse(
        config.sweep.resolutions,
        images_per_pass(config),
        explained.gradcam_layer,
        explained.enabled_methods,
        Regularisation(config.training.dropout, config.training.drop_path),
    )
    findings = inspect_networks(models, use)
    start = StartCheck(_complaint(start_files, config), [])
    if not start.problems:
        recipe, filter = config.training, config.data.filter
        frozen = recipe.finetune.freeze_bn
        start = check_start(
            recipe.start, models, min(use.resolutions), filter, freeze_bn=frozen
        )
    problems = [
        *start.problems,
        *_complaint(check_decay_steps, config),
        *_complaint(_check_packages, config),
        *_complaint(measurement_files, config),
        *findings.problems,
    ]
    notes = [f"note: {line}" for line in [*start.warnings, *findings.notes]]
    return CheckResult(notes, problems)


def _check_packages(config: Config) -> None:
    check_deploy_packages(config.system.deploy, config.system.profiling.variants)


def _complaint(check: Callable[[Config], object], config: Config) -> list[str]:
    """Return the message of a check that raises ConfigError; nothing where it passes."""
    try:
        check(config)
    except ConfigError as error:
        return [str(error)]
    return []


def _write_page(config: Config, folder: Path) -> list[str]:
    resolutions = sorted(config.sweep.resolutions)
    findings = write_data_page(folder, resolutions, CHECK_PAGE, config.experiment.title)
    return [*findings, f"details: {CHECK_PAGE.resolve()}"]


def _describe_listing(source: Source) -> list[str]:
    """Return how the files were understood, where the images themselves cannot be described."""
    listing = source.listing
    counts = [0] * len(listing.classes)
    for entry in listing.entries:
        counts[entry.label] += 1
    classes = class_counts(dict(zip(listing.classes, counts, strict=True)))
    return [classes, *listing_sentences(describe_notes(listing.notes))]


def _list_bad(inventory: Inventory) -> list[str]:
    if not inventory.bad:
        return []
    summary = f"{format_count(len(inventory.bad), 'file')} cannot be used as images:"
    reasons = [f"{name}: {reason}" for name, reason in inventory.bad]
    return ["\n  ".join([summary, *reasons])]


def _check_size(config: Config, source: Source, side: int) -> tuple[str, list[str]]:
    """Return the size of the sweep as a line, and an error if the disk has too little space."""
    num_images, trainings = len(source.listing.entries), len(run_files(config, "{seed}"))
    needed = _store_bytes(config, source, side)
    line = (
        f"sweep: {format_count(num_images, 'image')}, "
        f"{format_count(count_jobs(config), 'job')} ({format_count(trainings, 'training')}), "
        f"{format_bytes(needed)} of disk space for images"
    )
    free = shutil.disk_usage(Path()).free
    if needed <= free:
        return line, []
    return line, [
        f"only {format_bytes(free)} of disk space are free here: free some space, or use "
        "fewer or smaller resolutions (sweep.resolutions, data.native_resolution)"
    ]


def check_size(config: Config) -> tuple[str, list[str]]:
    """Return the size of the sweep as a line, and an error if the disk has too little space."""
    source = open_source(config.data, download=config.data.download)
    side = choose_native_resolution(config.data, source, STORE_FOLDER)
    return _check_size(config, source, side)


def count_store_bytes(config: Config, source: Source) -> int:
    """Return the disk space of the images, at native resolution and at every other, in bytes."""
    side = choose_native_resolution(config.data, source, STORE_FOLDER)
    return _store_bytes(config, source, side)


def _store_bytes(config: Config, source: Source, side: int) -> int:
    listing, resolutions = source.listing, config.sweep.resolutions
    return sum(store_bytes(len(listing.entries), side, resolutions, listing.has_masks).values())
