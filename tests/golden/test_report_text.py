"""The English of the report, one snapshot per page.

After an intended change: `pytest tests/golden/test_report_text.py --snapshot-update`, then read the diff.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from resomap.analysis.decision.choice import choose
from resomap.analysis.facts import Facts, read_facts
from resomap.analysis.findings import accuracy as accuracy_findings
from resomap.analysis.findings import cost as cost_findings
from resomap.analysis.findings import data as data_findings
from resomap.analysis.findings import evidence as evidence_findings
from resomap.analysis.findings import limits as limit_findings
from resomap.analysis.findings.agreement import agreement_finding
from resomap.analysis.findings.baseline import majority_baseline
from resomap.analysis.findings.finding import Estimate, Finding
from resomap.analysis.tables import Tables, read_tables
from resomap.report.catalogue import figure_names
from resomap.report.finding_lines import FindingLine, finding_lines
from resomap.report.page import page_limits
from resomap.report.text import accuracy, choice, cost, data, evidence, limits
from resomap.report.text.choice_title import choice_title
from resomap.report.text.page import charts
from tests.dataset_facts import copy_row
from tests.synthetic import Sweep, aggregate
from tests.unit.analysis.decision.test_choice import at_chance, candidate, few_images, rules
from tests.unit.analysis.findings import test_agreement as agreement_rows
from tests.unit.analysis.findings import test_evidence as evidence_rows

TWO_PLACES = {
    "places": {24: ["medium", "fine"], 48: ["all"]},
    "models": ["net"],
    "refuted": False,
}
REFUTED = {"places": {24: ["all"], 48: ["all"]}, "models": [], "refuted": True}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A staircase with all that a sweep can measure."""
    folder = tmp_path_factory.mktemp("results")
    variants = ("eager", "compiled", "training_step")
    sweep = Sweep(
        test=400, val=400, failed_methods=("saliency",), variants=variants, energy=True
    )
    aggregate(folder, sweep)
    return folder


@pytest.fixture(scope="module")
def tables(folder: Path) -> Tables:
    return read_tables(folder / "tables")


@pytest.fixture(scope="module")
def facts(folder: Path) -> Facts:
    return read_facts(folder / "data")


def page(sections: dict[str, Any]) -> str:
    """Return the sentences of a page, one per line, below their headings."""
    lines = []
    for heading, sentences in sections.items():
        lines += [f"# {heading}", *([sentences] if isinstance(sentences, str) else sentences)]
    return "\n".join(lines)


def findings(tables: Tables, facts: Facts, subject: str) -> list[str]:
    """Return the line of a subject: its claim, its reasons, and its numbers."""
    lines = finding_lines(tables, facts, figure_names("reef", explain=True))
    (line,) = [line for line in lines if line.subject == subject]
    return describe_line(line)


def describe_line(line: FindingLine) -> list[str]:
    rows = [" | ".join(row).strip(" |") for row in line.numbers]
    return [line.claim, *line.reasons, *rows, f"figure {line.figure}", *line.evidence]


def test_headline_page(tables: Tables, snapshot: Any) -> None:
    few: dict[str, Any] = {"seeds": (0,), "images": 100}
    undecided, seeds = [few_images(48, 0.94, 2, 0), few_images(96, 0.95, 8, 1)], (0, 1, 2, 3)
    cells = {
        "chosen": [candidate(24, 0.7, 1), candidate(48, 0.949, 2), candidate(96, 0.95, 8)],
        "best": [candidate(24, 0.7, 1), candidate(96, 0.95, 8)],
        "best and cheapest": [candidate(24, 0.95, 1), candidate(96, 0.7, 8)],
        "cheaper is open": [candidate(48, 0.94, 2, **few), candidate(96, 0.95, 8, **few)],
        "undecided": undecided,
        "control": [candidate(24, 0.94, 1, seeds=seeds), candidate(96, 0.95, 8, seeds=seeds)],
        "only": [candidate(48, 0.9, 2, valid=False)],
        "no latency": [candidate(48, 0.95, None), candidate(96, 0.951, None)],
        "nothing finished": [],
        "nothing learned": [at_chance(16), at_chance(24)],
        "provisional": [candidate(48, 0.949, 2, valid=False), candidate(96, 0.95, 8)],
    }
    sections = {"sweep": [tables.choice["headline"], *tables.choice["reasons"]]}
    for name, candidates in cells.items():
        record = choice.describe_choice(choose(candidates, rules()))
        sections[name] = [choice_title(record), record["headline"], *record["reasons"]]
    for name, candidates in (("frugal", cells["chosen"]), ("frugal, undecided", undecided)):
        record = choice.describe_choice(choose(candidates, rules(attitude="frugal")))
        sections[name] = [choice_title(record), record["headline"], *record["reasons"]]
    excluded = choose([candidate(48, 0.8, 2)], rules(min_accuracy=0.9))
    record = choice.describe_choice(excluded)
    sections["excluded"] = [record["headline"], *record["reasons"]]
    budget = [at_chance(16), candidate(96, 0.95, 8)]
    record = choice.describe_choice(choose(budget, rules(max_latency_ms=2)))
    sections["none learned within the budgets"] = [record["headline"], *record["reasons"]]
    assert page(sections) == snapshot


def test_accuracy_page(tables: Tables, facts: Facts, snapshot: Any) -> None:
    fires = {"model": "simple_cnn", "group": "broad", "resolution": 24, "state": "fires"}
    wrong = accuracy_findings.stripe_findings(
        tables.groups, pd.DataFrame([fires]), "simple_cnn"
    )
    models = accuracy_findings.accuracy_of_models(tables.cells, tables.knees)
    knees = [
        " ".join(accuracy.knee_sentences(replace(models[0], state=state)))
        for state in ("below", "above", "open", "bracketed", "unknown", "not learned")
    ]
    flat = dict(models[0].subject) | {"climbs": False}
    claims = [
        accuracy.accuracy_claim(replace(models[0], subject=flat | changes))
        for changes in ({}, {"best": 24}, {"smallest": 96})
    ]
    baseline = majority_baseline(tables.cells)
    unbeaten = replace(
        baseline, numbers=dict(baseline.numbers) | {"cells_above": Estimate(0, n=6)}
    )
    best = accuracy_findings.most_accurate_model(models)
    transfer = accuracy_findings.transfer(tables.matrix)
    transfers = [
        accuracy.transfer_title(replace(transfer, state=state))
        for state in ("gain", "loss", "not shown", "one resolution", "unknown")
    ]
    ends = {"read_up_to": Estimate(0.42), "lost_from": Estimate(0.55)}
    cliffs = [
        accuracy.cliff_title(Finding("stripe cliff", state, "", numbers=ends))
        for state in ("shown", "open", "unknown")
    ]
    stripes = accuracy_findings.stripe_findings(tables.groups)
    sections = {
        "Accuracy": findings(tables, facts, "Accuracy"),
        "Resolution": findings(tables, facts, "Resolution"),
        "wrong reason": list(accuracy.stripes_sentences(wrong[2])),
        "knees": knees,
        "claims": claims,
        "baseline": accuracy.baseline_sentence(unbeaten),
        "titles": [
            accuracy.accuracy_title(best),
            accuracy.accuracy_title(None),
            accuracy.accuracy_title(replace(models[0], state="not learned")),
        ],
        "stripes": [accuracy.stripes_title(stripes), accuracy.stripes_title([])],
        "transfer": transfers,
        "cliff": cliffs,
    }
    assert page(sections) == snapshot


def test_cost_page(tables: Tables, facts: Facts, snapshot: Any) -> None:
    growing = tables.cost.assign(
        crossover_px=48.0, crossover_ratio=1.01, crossover_ratio_low=0.98
    )
    crossovers = [
        cost_findings.latency_of_models(
            tables.profiles, growing.assign(crossover_ratio_high=high)
        )[0]
        for high in (1.04, 1.4)
    ]
    row = tables.neighbours.iloc[0].to_dict() | {"verdict": "inverted"}
    ratio = {"ratio": 0.9, "ratio_low": 0.88, "ratio_high": 0.92}
    inverted = cost_findings.inversions(pd.DataFrame([row | ratio]))
    latencies = cost_findings.latency_of_models(tables.profiles, tables.cost)
    steepest = cost_findings.steepest_latency(latencies)
    breakdown = cost_findings.time_breakdown(tables.stages)
    resize = replace(breakdown, subject={"stage": "resize"})
    sections = {
        "Cost": findings(tables, facts, "Cost"),
        "crossover": [
            sentence for finding in crossovers for sentence in cost.latency_sentences(finding)
        ],
        "inversion": [cost.inversion_claim(inverted), *cost.inversion_sentences(inverted)],
        "inversions": cost.inversion_claim(inverted * 2),
        "titles": [
            cost.latency_title(steepest, measured=True),
            cost.latency_title(None, measured=True),
            cost.latency_title(None, measured=False),
            cost.breakdown_title(breakdown),
            cost.breakdown_title(resize),
            cost.breakdown_title(cost_findings.time_breakdown(tables.stages[:0])),
        ],
    }
    assert page(sections) == snapshot


def test_data_page(facts: Facts, tmp_path: Path, snapshot: Any) -> None:
    copies = (
        copy_row("test/1.jpg", "test", "train/1.jpg", "train"),
        copy_row("val/0.jpg", "val", "train/9.jpg", "train", 1, 2),
    )
    sweep = Sweep(
        models=(),
        grouped=False,
        test=6,
        val=24,
        native=48,
        copies=copies,
        bad=(("a.jpg", "cannot be decoded"),),
        notes={"animated": 2, "palette": 1200},
        drawn=("val",),
    )
    aggregate(tmp_path, sweep)
    folder_facts = read_facts(tmp_path / "data")
    leak_outside_test = replace(folder_facts, copies=folder_facts.copies[1:])
    sizes = data_findings.image_sizes(folder_facts, [24, 48])
    squares = [
        data.squaring_title(Finding("squaring", "shown", "", {"aspect": aspect}, mean))
        for aspect, mean in (
            ("squash", {"mean": Estimate(1.5)}),
            ("center_crop", {"mean": Estimate(0.25)}),
            ("letterbox", {"mean": Estimate(0.25)}),
        )
    ]
    counts = pd.DataFrame([[4, 1], [20, 6]], index=["starfish", "torpedo"])
    balances = [
        data.balance_title(data_findings.class_balance(frame))
        for frame in (counts, counts * 0, counts * 0 + 1)
    ]
    sections = {
        "reef": [
            sentence for group in data.dataset_facts(facts).values() for sentence in group
        ],
        "folder": [
            f"{subject}: {sentence}"
            for subject, group in data.dataset_facts(folder_facts).items()
            for sentence in group
        ],
        "alarms": list(data.dataset_alarms(folder_facts)),
        "limits": list(data.dataset_limits(folder_facts)),
        "leak outside of test": list(data.dataset_limits(leak_outside_test)),
        "detail": [
            *data.detail_sentences(facts, [24, 48]),
            *data.detail_sentences(folder_facts, [24, 96]),
            *data.detail_sentences(folder_facts, [48]),
        ],
        "sizes": [data.sizes_title(replace(sizes, state="none upscaled"))],
        "squaring": squares,
        "balance": balances,
        "sheet": [data.sheet_title(8, 8), data.sheet_title(8, 1000)],
    }
    assert page(sections) == snapshot


def agreement_sentences(*rows: dict[str, Any]) -> list[str]:
    """Return the title and the sentences of an agreement between 24 and 96 px."""
    table = pd.DataFrame(rows)
    finding = agreement_finding(table, "net", set())
    return [evidence.agreement_title(finding), *evidence.agreement_sentences(finding)]


def test_evidence_page(tables: Tables, facts: Facts, snapshot: Any) -> None:
    row = agreement_rows.row
    both = [row("gradcam", 0.95, block="rule"), row("integrated_gradients", 1.2)]
    edge = row("edge", None, block="image", network="none", observed=0.8)
    alarms = pd.DataFrame([evidence_rows.fires(), evidence_rows.fires(judged=np.nan)])
    interventions = pd.DataFrame(
        [evidence_rows.exchanged(), evidence_rows.exchanged(kind="sticker")]
    )
    fired = evidence_findings.evidence_alarms(alarms, interventions)
    places = evidence_findings.alarm_places(alarms)
    localisation = evidence_findings.localisation(tables.explanations, set())
    contrast = evidence_findings.contrast(tables.explanations, set())
    assert contrast is not None
    edges_too = replace(
        contrast, state="edges too", subject=dict(contrast.subject) | {"edges_at": [48]}
    )
    nowhere = replace(
        contrast, state="not shown", subject=dict(contrast.subject) | {"followed_at": []}
    )
    methods = {"methods": ["gradcam"], "others": ["saliency", "occlusion"]}
    faithful = [
        evidence.faithfulness_title(Finding("faithful methods", state, "", methods))
        for state in ("all", "some", "none", "unknown")
    ]
    run = {"model": "net", "resolution": 24, "seed": 0}
    sections = {
        "Evidence": findings(tables, facts, "Evidence"),
        "alike": agreement_sentences(*both, row("saliency", 0.02), edge),
        "methods differ": agreement_sentences(both[0], row("integrated_gradients", 0.2)),
        "control missing": agreement_sentences(both[0]),
        "open": agreement_sentences(row("gradcam", None), row("integrated_gradients", None)),
        "one seed": agreement_sentences(row("gradcam", None, observed=None, ceiling=None)),
        "unknown": agreement_sentences(row("gradcam", 0.5, low=24, high=24)),
        "edges": [evidence.contrast_sentence(edges_too), evidence.contrast_sentence(nowhere)],
        "alarms": [
            evidence.alarm_claim(fired),
            *(sentence for one in fired for sentence in evidence.alarm_sentences(one)),
        ],
        "one alarm": evidence.alarm_claim(fired[:1]),
        "localisation titles": [
            evidence.localisation_title(localisation, claim)
            for claim in (contrast, edges_too, nowhere, None)
        ],
        "alarm titles": [
            evidence.alarm_title(places),
            evidence.alarm_title(replace(places, subject=TWO_PLACES)),
            evidence.alarm_title(replace(places, subject=REFUTED)),
            evidence.alarm_title(replace(places, state="silent")),
            evidence.alarm_title(replace(places, state="unknown")),
        ],
        "faithfulness": faithful,
        "panels": [
            evidence.explanations_title(run),
            evidence.correct_and_fooled_title(run, fires=True),
            evidence.correct_and_fooled_title(run, fires=False),
            evidence.mean_maps_title("net"),
        ],
    }
    assert page(sections) == snapshot


def test_limits_page(tables: Tables, facts: Facts, snapshot: Any) -> None:
    profiles = tables.profiles.astype({"valid": object, "why_invalid": object}).copy()
    profiles.loc[0, ["valid", "why_invalid"]] = [False, "crowded"]
    profiles.loc[1, ["valid", "why_invalid"]] = [False, "throttled"]
    profiles.loc[2, "status"] = "unsupported"
    profiles.loc[profiles["resolution"] == 96, "status"] = "infeasible"
    runs = tables.runs.astype({"status": object, "reason": object}).copy()
    runs.loc[0, ["status", "reason"]] = ["diverged", "loss is nan"]
    for number, status in enumerate(("infeasible", "failed", "training", "waiting"), start=1):
        runs.loc[number, "status"] = status
    runs["learning_rate"], runs["micro_batch"] = 0.1, np.nan
    runs.loc[6, ["learning_rate", "micro_batch"]] = [0.05, 16]
    cells = tables.cells.assign(n_seeds=[1, 2, 2, 2, 2, 2], accuracy_low=0.1)
    errors = tables.explanations["completeness_error"] * 6
    explanations = tables.explanations.assign(
        completeness_error=errors, grid=tables.explanations["grid"].clip(upper=3)
    )
    changed = replace(
        tables,
        profiles=profiles,
        runs=runs,
        cells=cells,
        explanations=explanations,
        environment={"torch": ["2.11", "2.15"]},
    )
    findings = limit_findings.limit_findings(changed, native_resolution=64)
    missing = limit_findings.missing_runs(runs)
    sections = {
        "sweep": page_limits(tables, facts),
        "all": [limits.limit_sentence(finding) for finding in findings],
        "missing": [limits.missing_sentence(finding) for finding in missing],
    }
    assert page(sections) == snapshot


def test_charts_page(snapshot: Any) -> None:
    sections = {
        "label": charts.chart_label("A title"),
        "table": [charts.table_summary(1), charts.table_summary(1204)],
        "pointer": [charts.POINTER, charts.DOWNLOAD],
        "trade-off": [
            charts.trade_off_note(0.95, "chosen", disturbed=True),
            charts.trade_off_note(0.9, None, disturbed=False),
            charts.OTHER_LIMITS,
        ],
        "accuracy": [
            charts.accuracy_note(0.95, 0.125, is_drawn=shown, has_runs=shown)
            for shown in (True, False)
        ],
        "matrix": charts.matrix_note(0.125),
        "cost": charts.cost_note(),
        "agreement": [charts.agreement_note(normalised=normal) for normal in (True, False)],
        "names": [
            *map(charts.mode_name, ("raw", "bn", "finetune")),
            charts.failing_name("Saliency", []),
            charts.failing_name("Saliency", [24, 48]),
        ],
    }
    assert page(sections) == snapshot
