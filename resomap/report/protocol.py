"""The protocol on the page: how the numbers were made, as names and values."""

from typing import Any

import pandas as pd

from resomap.analysis.profiles import main_variant_rows
from resomap.analysis.tables import Tables
from resomap.config import training
from resomap.config.report import Report
from resomap.report.text.data import SQUARED
from resomap.report.text.format import variant_name
from resomap.text import agree, format_count, format_percent, format_points


def protocol(
    tables: Tables,
    manifest: dict[str, Any],
    training: training.Training,
    report: Report,
    seeds: tuple[int, ...],
) -> dict[str, str]:
    """Return how data, training, selection, intervals and cost were made."""
    # More than one value of an entry is a confound, so all are listed.
    environment = {
        name.capitalize(): ", ".join(map(str, values))
        for name, values in tables.environment.items()
    }
    return {
        **_data_protocol(manifest),
        "Seeds": f"{', '.join(map(str, seeds))}; the same at every resolution (blocked)",
        **_training_protocol(training),
        "Selection": (
            "on validation images; test images are read once, for the numbers on this page"
        ),
        **_statistics_protocol(tables, report),
        "Cost": _cost_protocol(tables.profiles),
        "Energy": _energy_protocol(tables.energy),
        **environment,
    }


def _data_protocol(manifest: dict[str, Any]) -> dict[str, str]:
    """Return where the images come from, and how they are stored and resized."""
    counts = [f"{split['count']} {name}" for name, split in manifest["splits"].items()]
    classes = format_count(len(manifest["classes"]), "class")
    native, squared = manifest["native_resolution"], SQUARED[manifest["aspect"]]
    return {
        "Images": f"{manifest['dataset']}: {', '.join(counts)}; {classes}",
        "Stored at": f"{native} px, {squared}; information ends here",
        "Resize": f"once per resolution, {manifest['filter']}, antialiased",
    }


def _training_protocol(training: training.Training) -> dict[str, str]:
    """Return the recipe of the training, and which weights are kept."""
    optimizer, schedule, monitor = training.optimizer, training.schedule, training.monitor
    recipe: tuple[str, ...] = (
        f"{format_count(training.epochs, 'epoch')}, batch {training.batch_size}",
        f"{optimizer.type} at {optimizer.learning_rate:g}",
        _schedule(schedule),
        f"label smoothing {training.label_smoothing:g}",
        training.precision,
    )
    if not training.start.is_random:
        recipe = (*recipe, f"initial weights: {training.start}")
    return {
        "Training": ", ".join(recipe),
        "Weights kept": (
            f"the epoch with the {monitor.mode} {monitor.name}; "
            "test images are never read in training"
        ),
    }


def _schedule(schedule: training.Schedule) -> str:
    """Return `cosine after 2 epochs of warm-up`."""
    warmup = schedule.warmup_epochs
    if not warmup:
        return f"{schedule.type} without warm-up"
    return f"{schedule.type} after {warmup:g} {agree(warmup, 'epoch', 'epochs')} of warm-up"


def _statistics_protocol(tables: Tables, report: Report) -> dict[str, str]:
    """Return how intervals and the margin are made."""
    # Cells may differ in their number of seeds, and so in how the interval was made.
    methods = ", ".join(tables.cells["interval"].dropna().unique()) or "none"
    return {
        "Intervals": (
            f"{100 * report.confidence:g} %; {methods} "
            "(seeds crossed with images; Obuchowski-Rockette, df of Hillis)"
        ),
        "Margin": (
            f"{format_points(report.margin)}; shown by non-inferiority to every cell, "
            "error shared by the cheaper ones"
        ),
    }


def _cost_protocol(profiles: pd.DataFrame) -> str:
    """Return how latency was measured."""
    measured = main_variant_rows(profiles, profiles).dropna(subset="latency_ms_p50")
    if measured.empty:
        return "not measured"
    # All cells are measured in one way; the error is that of the worst one.
    first, error = measured.iloc[0], measured["relative_error"].max()
    parts = [first["device"], first["precision"], first["memory_format"]]
    parts += [variant_name(first["variant"]), format_count(first["threads"], "thread")]
    repetitions = format_count(int(measured["n"].min()), "repetition")
    text = f"{', '.join(parts)}; at least {repetitions} per cell"
    if pd.isna(error):
        return text
    return f"{text}, medians known to within {format_percent(error)} between rounds"


def _energy_protocol(energy: pd.DataFrame) -> str:
    """Return how energy was measured."""
    if energy.empty:
        return "not measured"
    idle = energy["idle_power_w"].median()
    return f"by the counter of the device, whose idle power was {idle:.3g} W"


def provenance(tables: Tables, manifest: dict[str, Any], code: str) -> dict[str, str]:
    """Return the digests of the code and of the images."""
    # Several digests mean that code changed between runs.
    training_code = tables.runs["code"].dropna().astype(str).unique()
    digests = {"report code": code, "training code": ", ".join(training_code)}
    for name, split in manifest["splits"].items():
        digests[f"{name} images (sha256)"] = split["sha256"][:16]
    return digests
