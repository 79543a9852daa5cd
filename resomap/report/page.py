"""The report: one self-contained page, with its findings in words."""

from collections.abc import Iterator
from pathlib import Path

from resomap.analysis.facts import Facts
from resomap.analysis.findings import accuracy as accuracy_findings
from resomap.analysis.findings import cost as cost_findings
from resomap.analysis.findings import evidence as evidence_findings
from resomap.analysis.findings import limits as limit_findings
from resomap.analysis.findings.agreement import agreement_finding, reference_agreement
from resomap.analysis.findings.baseline import majority_baseline
from resomap.analysis.findings.cascades import best_cascade
from resomap.analysis.findings.demand import demand_of_model
from resomap.analysis.findings.user_files import larger_files
from resomap.analysis.sanity_check import drop_failed_methods, failed_methods
from resomap.analysis.tables import Tables
from resomap.config import schema, training
from resomap.config.report import Report
from resomap.report import markup
from resomap.report.browser.section import browser_section
from resomap.report.catalogue import COST, DATA, EVIDENCE, figure_names
from resomap.report.cell_cards import cell_cards
from resomap.report.protocol import protocol, provenance
from resomap.report.scripts import read_scripts
from resomap.report.tables import cell_table, variant_table
from resomap.report.text import accuracy, cascades, cost, data, demand, evidence, limits
from resomap.report.text.format import candidate_size

# More models than this have no sentence of their own.
MAX_MODELS = 4
MAX_ALARMS = 6


def build_page(
    tables: Tables,
    facts: Facts,
    figures: Path,
    *,
    experiment: schema.Experiment,
    training: training.Training,
    report: Report,
    seeds: tuple[int, ...],
    explain: bool,
    code: str,
) -> str:
    """Build the report as HTML with all figures, styles and numbers inside."""
    manifest = facts.manifest
    missing = limit_findings.missing_runs(tables.runs)
    browser, cells = browser_section(figures), cell_table(tables)
    page = {
        "experiment": experiment.title,
        "choice": tables.choice,
        "chosen_size": tables.choice["choice"] and candidate_size(tables.choice["choice"]),
        "missing": [limits.missing_sentence(finding) for finding in missing],
        "rules": report,
        "findings": page_findings(tables, facts, report.confidence),
        "categories": markup.categories(figures, figure_names(manifest["dataset"], explain)),
        "cost_category": COST,
        "variants": variant_table(tables.profiles),
        "data_category": DATA,
        "data": markup.data_section(facts),
        "cells": cells,
        "energy": len(tables.energy) > 0,
        "limits": page_limits(tables, facts),
        "protocol": protocol(tables, manifest, training, report, seeds),
        "provenance": provenance(tables, manifest, code),
        "scripts": read_scripts(),
        "evidence_category": EVIDENCE,
        "browser": browser.shown,
        "data_blocks": {
            "cell-cards": cell_cards(tables, cells, report.confidence),
            **browser.blocks,
        },
    }
    return markup.render("index.html.j2", page)


def page_findings(tables: Tables, facts: Facts, confidence: float) -> dict[str, list[str]]:
    """Return the findings as sentences by subject, alarms first."""
    resolutions = sorted(set(tables.cells["resolution"]))
    sentences = {"Alarm": list(_alarms(tables, facts, confidence))}
    model = accuracy_findings.model_in_focus(tables)
    if model is None:
        sentences["Accuracy"] = ["No run has finished."]
    else:
        sentences |= {
            "Accuracy": list(_accuracy(tables, confidence)),
            "Sampling": list(_sampling(tables, model, confidence)),
            "Other sizes": list(_transfer(tables)),
            "Cost": list(_cost(tables, confidence)),
            "Evidence": list(_evidence(tables, model, confidence)),
        }
    # Known without any training, so also on the page of a sweep that has just begun.
    sentences["Images"] = list(data.detail_sentences(facts, resolutions))
    return {subject: claims for subject, claims in sentences.items() if claims}


def page_limits(tables: Tables, facts: Facts) -> list[str]:
    """Return the limits of the dataset and of the sweep as sentences."""
    larger = larger_files(facts, sorted(set(tables.cells["resolution"])))
    findings = limit_findings.limit_findings(tables, facts.native_resolution, larger)
    return [*data.dataset_limits(facts), *map(limits.limit_sentence, findings)]


def _alarms(tables: Tables, facts: Facts, confidence: float) -> Iterator[str]:
    """Yield the alarms about the dataset, the latency and the evidence."""
    yield from data.dataset_alarms(facts)
    inversions = cost_findings.inversions(tables.neighbours)
    yield from map(cost.inversion_sentence, inversions[:MAX_ALARMS])
    if len(inversions) > MAX_ALARMS:
        more = len(inversions) - MAX_ALARMS
        yield f"{more} more inversions are in results/tables/neighbours.csv."
    alarms = evidence_findings.evidence_alarms(tables.alarms, tables.interventions)
    for finding in alarms[:MAX_ALARMS]:
        yield evidence.alarm_sentence(finding, confidence)
    if len(alarms) > MAX_ALARMS:
        yield f"{len(alarms) - MAX_ALARMS} more such alarms are in results/tables/alarms.csv."


def _sampling(tables: Tables, model: str, confidence: float) -> Iterator[str]:
    """Yield which stripes a model reads, and what sampling theory predicts."""
    for finding in accuracy_findings.stripe_findings(tables.groups, tables.alarms, model):
        # A group that is neither lost nor read anywhere has no sentence.
        if finding.state != "not shown":
            yield accuracy.stripes_sentence(finding, confidence)
    theory = accuracy_findings.sampling_theory(tables.groups, tables.cells, model)
    if theory is not None:
        yield accuracy.sampling_theory_sentence(theory)


def _accuracy(tables: Tables, confidence: float) -> Iterator[str]:
    """Yield the baseline and the accuracy of each model; the first names the interval."""
    yield accuracy.baseline_sentence(majority_baseline(tables.cells))
    models = accuracy_findings.accuracy_of_models(tables.cells, tables.knees)[:MAX_MODELS]
    for number, finding in enumerate(models):
        yield accuracy.accuracy_sentence(finding, None if number else confidence)


def _transfer(tables: Tables) -> Iterator[str]:
    """Yield what testing at another resolution gains or loses, as trained and adapted."""
    finding = accuracy_findings.transfer(tables.matrix)
    if finding.numbers:
        yield accuracy.transfer_sentence(finding)
    needed = demand_of_model(tables.demand, accuracy_findings.model_in_focus(tables))
    if needed.state == "described":
        yield demand.demand_sentence(needed)
    yield from map(accuracy.adaptation_sentence, accuracy_findings.adaptations(tables.matrix))


def _cost(tables: Tables, confidence: float) -> Iterator[str]:
    """Yield the latency of each model, where the time goes, and the energy."""
    latencies = cost_findings.latency_of_models(tables.profiles, tables.cost)[:MAX_MODELS]
    for number, finding in enumerate(latencies):
        yield cost.latency_sentences(finding, None if number else confidence)
    breakdown = cost_findings.time_breakdown(tables.stages)
    if breakdown.state == "shown":
        yield cost.breakdown_sentence(breakdown)
    yield from map(cost.energy_sentence, cost_findings.energy_findings(tables))
    cascade = best_cascade(tables.cascades)
    if cascade.state != "unknown":
        yield cascades.cascade_sentence(cascade)


def _evidence(tables: Tables, model: str, confidence: float) -> Iterator[str]:
    """Yield agreement, localisation, faithfulness and interventions of a model."""
    failed = failed_methods(tables.sanity)
    agreement = agreement_finding(tables.agreement, model, failed)
    if agreement.state != "unknown":
        references = reference_agreement(tables.agreement, agreement)
        yield from evidence.agreement_sentences(agreement, references)
    localisation = evidence_findings.localisation(tables.explanations, failed, model)
    if localisation.state != "unknown":
        yield evidence.localisation_sentence(localisation)
    contrast = evidence_findings.contrast(tables.explanations, failed, model)
    if contrast is not None:
        yield evidence.contrast_sentence(contrast)
    gains = evidence_findings.faithfulness_gains(tables.faithfulness)
    # A method that ignores the weights supports no sentence about the network.
    gains = drop_failed_methods(gains, failed)
    faithfulness = evidence_findings.faithfulness_of_model(gains, model)
    if faithfulness is not None:
        yield evidence.faithfulness_sentence(faithfulness)
    for finding in evidence_findings.interventions_of_model(tables.interventions, model):
        yield evidence.intervention_sentence(finding, confidence)
