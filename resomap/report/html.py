"""The report: one page that needs nothing but itself."""

import base64
import re
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import pandas as pd

from resomap import recipe, sections
from resomap.analysis.verdict import milliseconds, points
from resomap.report import limits, sentences
from resomap.report.figures import CATALOGUE, figure_names
from resomap.report.inputs import Tables
from resomap.report.style import CHOSEN, GRID, INK, MUTED, PAPER

LARGEST_SVG = 400_000
"""Larger drawings, in bytes, go into the page as PNG."""
LARGEST_CSV = 100_000
VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    PAPER: "var(--paper)",
    CHOSEN: "var(--chosen)",
    "#0072b2": "var(--blue)",
    "#b0257f": "var(--magenta)",
}
"""Colours of the figures that on the page follow light and dark."""


class Figure(NamedTuple):
    """A figure on the page: its markup, how to read it, and its data as a link."""

    name: str
    category: str
    markup: str
    caption: str
    data: str


def build_page(
    tables: Tables,
    manifest: dict[str, Any],
    figures: Path,
    *,
    experiment: sections.Experiment,
    training: recipe.Training,
    report: sections.Report,
    seeds: tuple[int, ...],
    explain: bool,
    code: str,
) -> str:
    """The whole report as HTML; every figure, style and number is inside."""
    shown = [_read_figure(figures, name) for name in figure_names(manifest["dataset"], explain)]
    page = {
        "experiment": experiment.name,
        "choice": tables.choice,
        "missing": list(limits.missing_sentences(tables.runs)),
        "rules": report,
        "findings": findings(tables, report.confidence),
        "categories": {
            category: [figure for figure in shown if figure.category == category] for category in dict.fromkeys(f.category for f in shown)
        },
        "cells": cell_table(tables),
        "limits": limits.limit_sentences(tables, manifest["native_resolution"]),
        "protocol": protocol(tables, manifest, training, report, seeds),
        "provenance": {
            "report code": code,
            "training code": ", ".join(tables.runs["code"].dropna().astype(str).unique()),
            **_splits(manifest),
        },
    }
    return _templates().get_template("index.html.j2").render(page)


def _templates() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["ms"] = milliseconds
    environment.filters["unbroken"] = _unbroken
    return environment


def _unbroken(text: str) -> str:
    """Keep `0.983-0.994` on one line."""
    return re.sub(r"(?<=\d)\N{EN DASH}(?=\d)", "\N{WORD JOINER}\N{EN DASH}\N{WORD JOINER}", text)


def findings(tables: Tables, confidence: float) -> dict[str, list[str]]:
    """What the sweep shows, by subject, alarms first; subjects of which nothing is known are left out."""
    model = sentences.focus_model(tables)
    if model is None:
        return {"Accuracy": ["No run has finished."]}
    told = {
        "Alarm": sentences.wrong_reason_sentences(tables.groups, tables.explanations),
        "Sampling": sentences.sampling_sentences(tables.groups, tables.cells, model, confidence),
        "Accuracy": sentences.accuracy_sentences(tables.cells, tables.knees, confidence),
        "Other sizes": sentences.transfer_sentences(tables.matrix),
        "Cost": sentences.cost_sentences(tables.profiles),
        "Evidence": sentences.evidence_sentences(tables.explanations, model),
    }
    return {subject: said for subject, claims in told.items() if (said := list(claims))}


def _read_figure(folder: Path, name: str) -> Figure:
    svg = (folder / f"{name}.svg").read_text(encoding="utf-8")
    found = re.search(r"<dc:title>(.*?)</dc:title>", svg, re.DOTALL)
    title = found.group(1) if found else name
    markup = inline_svg(svg, name, title) if len(svg) <= LARGEST_SVG else _inline_png(folder / f"{name}.png", title)
    return Figure(name, CATALOGUE[name].category, markup, CATALOGUE[name].caption, _data_link(folder / f"{name}.csv"))


def inline_svg(svg: str, name: str, title: str) -> str:
    """The drawing as an element of a page: ids unique by `name`, neutral colours as CSS variables, as wide as its column."""
    drawing = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    drawing = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", drawing)
    for colour, variable in VARIABLES.items():
        drawing = drawing.replace(colour, variable)
    return re.sub(
        r'^<svg ([^>]*?)(?:width|height)="[^"]*"([^>]*?)(?:width|height)="[^"]*"', rf'<svg role="img" aria-label="{title}" \1\2', drawing
    )


def _inline_png(path: Path, title: str) -> str:
    return f'<img alt="{title}" src="data:image/png;base64,{_base64(path)}">'


def _data_link(path: Path) -> str:
    return f"data:text/csv;base64,{_base64(path)}" if path.stat().st_size <= LARGEST_CSV else ""


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def cell_table(tables: Tables) -> list[dict[str, Any]]:
    """One row a cell for the page: what it scores, what it costs, and what the comparison with the best said."""
    scores = tables.runs.groupby(["model", "resolution"], as_index=False)[["balanced_accuracy", "macro_f1", "ece", "train_seconds"]].mean()
    batch = tables.profiles[tables.profiles["batch_size"] > 1].drop_duplicates(["model", "resolution"])
    costs = batch[["model", "resolution", "inference_images_per_second", "macs", "num_parameters"]]
    rows = tables.cells.merge(scores, on=["model", "resolution"], how="left").merge(costs, on=["model", "resolution"], how="left")
    return [row | {"verdict": _verdict(tables, row)} for row in rows.astype(object).where(rows.notna(), None).to_dict("records")]


def _verdict(tables: Tables, row: dict[Any, Any]) -> str:
    choice = tables.choice

    def is_row(cell: dict[str, Any] | None) -> bool:
        return cell is not None and (cell["model"], cell["resolution"]) == (row["model"], row["resolution"])

    if is_row(choice["choice"]):
        return "undecided, taken" if choice["status"] == "undecided" else "chosen"
    if is_row(choice["best"]):
        return "best"
    words = {"within": "within the margin", "worse": "worse", "open": "open"}
    compared = [words[one["verdict"]] for one in choice["comparisons"] if is_row(one)]
    return (compared or ["left out" if any(map(is_row, choice["excluded"])) else _ending(tables, row)])[0]


def _ending(tables: Tables, row: dict[Any, Any]) -> str:
    """What became of a cell without a number."""
    own = tables.runs[(tables.runs["model"] == row["model"]) & (tables.runs["resolution"] == row["resolution"])]
    return ", ".join(own["status"].unique())


def protocol(
    tables: Tables, manifest: dict[str, Any], training: recipe.Training, report: sections.Report, seeds: tuple[int, ...]
) -> dict[str, str]:
    """How the numbers were made, as names and values."""
    counts = {split: about["count"] for split, about in manifest["splits"].items()}
    optimizer, schedule = training.optimizer, training.schedule
    return {
        "Pictures": f"{manifest['dataset']}: {counts['train']} train, {counts['val']} val, {counts['test']} test; {len(manifest['classes'])} classes",
        "Stored at": f"{manifest['native_resolution']} px; information ends here",
        "Resize": f"one a resolution, {manifest['filter']}, antialiased",
        "Seeds": f"{', '.join(map(str, seeds))}; the same at every resolution (blocked by seed)",
        "Training": f"{training.epochs} epochs, batch {training.batch_size}, {optimizer.type} at {optimizer.lr:g}, {schedule.type} after {schedule.warmup_epochs:g} epochs of warm-up, "
        f"label smoothing {training.label_smoothing:g}, {training.precision}",
        "Weights kept": f"the epoch with the {training.monitor.mode} {training.monitor.name}; test pictures are never read in training",
        "Selection": "on validation pictures; test pictures are read once, for the numbers on this page",
        "Intervals": f"{100 * report.confidence:g} %; {', '.join(tables.cells['interval'].dropna().unique()) or 'none'} (seeds crossed with pictures; Obuchowski-Rockette, df of Hillis)",
        "Margin": f"{points(report.margin)}; shown by non-inferiority to every cell, error shared by the cheaper ones",
        "Cost": _cost_protocol(tables.profiles),
        **{name.capitalize(): ", ".join(map(str, values)) for name, values in tables.environment.items()},
    }


def _cost_protocol(profiles: pd.DataFrame) -> str:
    if profiles.empty:
        return "not measured"
    first = profiles.iloc[0]
    return f"{first['device']}, {first['precision']}, {first['memory_format']}, {first['variant']}, {first['threads']} thread(s); at least {profiles['n'].min():.0f} repetitions a cell"


def _splits(manifest: dict[str, Any]) -> dict[str, str]:
    return {f"{split} pictures (sha256)": about["sha256"][:16] for split, about in manifest["splits"].items()}
