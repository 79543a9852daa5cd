"""The report: one page that needs nothing but itself."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from resomap.analysis.measurements import fastest, primary
from resomap.analysis.verdict import points
from resomap.config import schema, training
from resomap.report import markup
from resomap.report.catalogue import COST, DATA, figure_names
from resomap.report.facts import Facts
from resomap.report.tables import Tables
from resomap.report.text import accuracy, alarm, cost, data, evidence, limits
from resomap.report.text.cost_titles import mode_name
from resomap.report.text.data_titles import STORED, percent
from resomap.report.variants import variant_table


def build_page(
    tables: Tables,
    facts: Facts,
    figures: Path,
    *,
    experiment: schema.Experiment,
    training: training.Training,
    report: schema.Report,
    seeds: tuple[int, ...],
    explain: bool,
    code: str,
) -> str:
    """The whole report as HTML; every figure, style and number is inside."""
    manifest = facts.manifest
    page = {
        "experiment": experiment.name,
        "choice": tables.choice,
        "missing": list(limits.missing_sentences(tables.runs)),
        "rules": report,
        "findings": findings(tables, facts, report.confidence),
        "categories": markup.categories(figures, figure_names(manifest["dataset"], explain)),
        "cost_category": COST,
        "variants": variant_table(tables.profiles),
        "data_category": DATA,
        "data": markup.data_section(facts),
        "cells": cell_table(tables),
        "energy": len(tables.energy) > 0,
        "limits": [
            *data.limit_sentences(facts),
            *limits.limit_sentences(tables, manifest["native_resolution"]),
        ],
        "protocol": protocol(tables, manifest, training, report, seeds),
        "provenance": {
            "report code": code,
            "training code": ", ".join(tables.runs["code"].dropna().astype(str).unique()),
            **_splits(manifest),
        },
    }
    return markup.render("index.html.j2", page)


def findings(tables: Tables, facts: Facts, confidence: float) -> dict[str, list[str]]:
    """What the sweep shows, by subject, alarms first; subjects of which nothing is known are left out."""
    pictures = data.information_sentences(facts, sorted(set(tables.cells["resolution"])))
    told = {
        "Alarm": [
            *data.alarm_sentences(facts),
            *cost.inversion_sentences(tables.neighbours),
            *alarm.wrong_reason_sentences(tables.alarms, tables.interventions, confidence),
        ],
        **_learnt(tables, confidence),
        "Pictures": pictures,
    }
    return {subject: said for subject, claims in told.items() if (said := list(claims))}


def _learnt(tables: Tables, confidence: float) -> dict[str, Iterable[str]]:
    model = accuracy.focus_model(tables)
    if model is None:
        return {"Accuracy": ["No run has finished."]}
    return {
        "Sampling": accuracy.sampling_sentences(
            tables.groups, tables.cells, tables.alarms, model, confidence
        ),
        "Accuracy": accuracy.accuracy_sentences(tables.cells, tables.knees, confidence),
        "Other sizes": accuracy.transfer_sentences(tables.matrix),
        "Cost": cost.cost_sentences(tables, confidence),
        "Evidence": evidence.evidence_sentences(tables, model, confidence),
    }


def cell_table(tables: Tables) -> list[dict[str, Any]]:
    """One row a cell for the page: what it scores, what it costs, and what the comparison with the best said."""
    scores = tables.runs.groupby(["model", "resolution"], as_index=False)[
        ["balanced_accuracy", "macro_f1", "ece", "train_seconds"]
    ].mean()
    macs = tables.profiles.drop_duplicates(["model", "resolution"])[
        ["model", "resolution", "macs"]
    ]
    rates = fastest(tables.profiles)[["model", "resolution", "inference_images_per_second"]]
    energy = (
        primary(tables.energy, tables.profiles)
        .groupby(["model", "resolution"], as_index=False)["energy_j_per_image"]
        .min()
    )
    rows = tables.cells
    for more in (scores, macs, rates, energy):
        rows = rows.merge(more, on=["model", "resolution"], how="left")
    return [
        row | {"verdict": _verdict(tables, row)}
        for row in rows.astype(object).where(rows.notna(), None).to_dict("records")
    ]


def _verdict(tables: Tables, row: dict[Any, Any]) -> str:
    choice = tables.choice

    def is_row(cell: dict[str, Any] | None) -> bool:
        return cell is not None and (cell["model"], cell["resolution"]) == (
            row["model"],
            row["resolution"],
        )

    if is_row(choice["choice"]):
        return "undecided, taken" if choice["status"] == "undecided" else "chosen"
    if is_row(choice["best"]):
        return "best"
    words = {"within": "within the margin", "worse": "worse", "open": "open"}
    compared = [words[one["verdict"]] for one in choice["comparisons"] if is_row(one)]
    return (
        compared
        or ["left out" if any(map(is_row, choice["excluded"])) else _ending(tables, row)]
    )[0]


def _ending(tables: Tables, row: dict[Any, Any]) -> str:
    """What became of a cell without a number."""
    own = tables.runs[
        (tables.runs["model"] == row["model"])
        & (tables.runs["resolution"] == row["resolution"])
    ]
    return ", ".join(own["status"].unique())


def protocol(
    tables: Tables,
    manifest: dict[str, Any],
    training: training.Training,
    report: schema.Report,
    seeds: tuple[int, ...],
) -> dict[str, str]:
    """How the numbers were made, as names and values."""
    counts = {split: about["count"] for split, about in manifest["splits"].items()}
    optimizer, schedule = training.optimizer, training.schedule
    return {
        "Pictures": f"{manifest['dataset']}: {counts['train']} train, {counts['val']} val, {counts['test']} test; {len(manifest['classes'])} classes",
        "Stored at": f"{manifest['native_resolution']} px, {STORED[manifest['aspect']]}; information ends here",
        "Resize": f"one a resolution, {manifest['filter']}, antialiased",
        "Seeds": f"{', '.join(map(str, seeds))}; the same at every resolution (blocked by seed)",
        "Training": f"{training.epochs} epochs, batch {training.batch_size}, {optimizer.type} at {optimizer.learning_rate:g}, {schedule.type} after {schedule.warmup_epochs:g} epochs of warm-up, "
        f"label smoothing {training.label_smoothing:g}, {training.precision}",
        "Weights kept": f"the epoch with the {training.monitor.mode} {training.monitor.name}; test pictures are never read in training",
        "Selection": "on validation pictures; test pictures are read once, for the numbers on this page",
        "Intervals": f"{100 * report.confidence:g} %; {', '.join(tables.cells['interval'].dropna().unique()) or 'none'} (seeds crossed with pictures; Obuchowski-Rockette, df of Hillis)",
        "Margin": f"{points(report.margin)}; shown by non-inferiority to every cell, error shared by the cheaper ones",
        "Cost": _cost_protocol(tables.profiles),
        "Energy": _energy_protocol(tables.energy),
        **{
            name.capitalize(): ", ".join(map(str, values))
            for name, values in tables.environment.items()
        },
    }


def _cost_protocol(profiles: pd.DataFrame) -> str:
    measured = primary(profiles, profiles).dropna(subset="latency_ms_p50")
    if measured.empty:
        return "not measured"
    first, error = measured.iloc[0], measured["relative_error"].max()
    return (
        f"{first['device']}, {first['precision']}, {first['memory_format']}, {mode_name(first['variant'])}, {first['threads']} thread(s); "
        f"at least {measured['n'].min():.0f} repetitions a cell{'' if pd.isna(error) else f', medians known to within {percent(error)} between rounds'}"
    )


def _energy_protocol(energy: pd.DataFrame) -> str:
    if energy.empty:
        return "not measured"
    return f"by the counter of the device, whose idle power was {energy['idle_power_w'].median():.3g} W"


def _splits(manifest: dict[str, Any]) -> dict[str, str]:
    return {
        f"{split} pictures (sha256)": about["sha256"][:16]
        for split, about in manifest["splits"].items()
    }
