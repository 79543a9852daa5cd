"""The report: one self-contained page, with its findings in words."""

from pathlib import Path

from resomap.analysis.facts import Facts
from resomap.analysis.findings import limits as limit_findings
from resomap.analysis.findings.user_files import larger_files
from resomap.analysis.tables import Tables
from resomap.config.schema import Experiment
from resomap.report import markup
from resomap.report.browser.section import browser_section
from resomap.report.candidates import (
    candidate_table,
    candidate_words,
    csv_link,
    shown_verdicts,
)
from resomap.report.catalogue import CLASSES, COST, DATA, EVIDENCE, figure_names
from resomap.report.cell_cards import cell_cards
from resomap.report.charts.draw import draw_charts
from resomap.report.classes import classes_section
from resomap.report.finding_lines import finding_lines
from resomap.report.first_screen import TRADE_OFF, first_screen_data, first_screen_page
from resomap.report.method import SweepConfig, method_section
from resomap.report.protocol import protocol, provenance
from resomap.report.scripts import read_scripts
from resomap.report.tables import cell_table, variant_table
from resomap.report.text import data, limits
from resomap.report.text.page.rounds import round_rows, rounds_sentences


def build_page(
    tables: Tables,
    facts: Facts,
    figures: Path,
    *,
    experiment: Experiment,
    config: SweepConfig,
    code: str,
) -> str:
    """Build the report as HTML with all figures, styles and numbers inside."""
    report = config.report
    manifest = facts.manifest
    missing = limit_findings.missing_runs(tables.runs)
    browser, cells = browser_section(figures), cell_table(tables)
    candidates = candidate_table(tables)
    names = figure_names(manifest["dataset"], config.explainability.enabled)
    categories = markup.categories(figures, names)
    shown = [figure for of_category in categories.values() for figure in of_category]
    trade_off = next(one for one in categories[COST] if one.name == TRADE_OFF)
    # Beside the answer, for which the sweep was run.
    categories[COST].remove(trade_off)
    page = {
        "experiment": experiment.title,
        "choice": tables.choice,
        **first_screen_page(tables, facts),
        "trade_off": trade_off,
        "rounds": rounds_section(tables),
        "missing": [limits.missing_sentence(finding) for finding in missing],
        "rules": report,
        "findings": finding_lines(tables, facts, names),
        "categories": categories,
        "cost_category": COST,
        "variants": variant_table(tables.profiles),
        "classes_category": CLASSES,
        "classes": classes_section(tables, facts, report.confidence),
        "data_category": DATA,
        "data": markup.data_section(facts),
        "candidates": candidates,
        "candidate_verdicts": shown_verdicts(candidates),
        "candidate_csv": csv_link(tables.candidates),
        "cells": cells,
        "energy": len(tables.energy) > 0,
        "limits": page_limits(tables, facts),
        "method": method_section(config, tables, manifest),
        "protocol": protocol(tables, manifest, config.training, report, config.seeds),
        "provenance": {
            "configuration (sha256)": config.digest[:16],
            **provenance(tables, manifest, code),
        },
        "scripts": read_scripts(),
        "evidence_category": EVIDENCE,
        "browser": browser.shown,
        "data_blocks": {
            "answer": tables.answer,
            **first_screen_data(tables),
            "candidates": candidate_words(),
            "charts": draw_charts(tables, shown, report.confidence),
            "cell-cards": cell_cards(tables, candidates, report.confidence),
            **browser.blocks,
        },
    }
    return markup.render("index.html.j2", page)


def rounds_section(tables: Tables) -> dict[str, object]:
    """Return what the page shows of the rounds; empty where the grid was planned at once."""
    record = tables.choice["rounds"]
    if not record:
        return {}
    sentences = rounds_sentences(tables.choice, len(tables.runs))
    return {"sentences": list(sentences), "rows": round_rows(record)}


def page_limits(tables: Tables, facts: Facts) -> list[str]:
    """Return the limits of the dataset and of the sweep as sentences."""
    larger = larger_files(facts, sorted(set(tables.cells["resolution"])))
    findings = limit_findings.limit_findings(tables, facts.native_resolution, larger)
    return [*data.dataset_limits(facts), *map(limits.limit_sentence, findings)]
